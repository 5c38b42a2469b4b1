//! Many equal failures: counted to the last one, and never in the way of a different one.

use crate::scene::{Child, Seen, c, collect_until, mount, watch};
use diag::capture::errno_watch::{ErrnoWatch, Scope};
use diag::model::Errno;
use std::process::Command;

const FLOOD: u64 = 100_000;
const ENOTDIR: Errno = Errno(libc::ENOTDIR);

/// How many of the flood's failures were delivered or counted.
fn total(seen: &Seen, pid: u32) -> u64 {
    seen.of(pid, "mount", Errno::ENOENT).len() as u64 + seen.repeated_of(pid, "mount", Errno::ENOENT)
}

/// Collects the rest of a flood of a process that is gone, and checks that every failure is accounted for.
///
/// Since Linux 7 the program can be preempted, and the kernel skips it for whoever runs on that processor
/// meanwhile. Nobody can count what a skipped run would have seen, but that it was skipped is known.
fn accounted_for(watch: &mut ErrnoWatch, seen: &mut Seen, pid: u32) {
    collect_until(watch, seen, "the whole flood", |seen, lost| total(seen, pid) + lost >= FLOOD);
    seen.collect(watch);
    let (counted, lost) = (total(seen, pid), watch.lost());
    println!("{counted} counted, {lost} lost, {} whole", seen.failures.len());
    assert!(counted <= FLOOD, "nothing is counted twice");
    assert!(lost > 0 || counted == FLOOD, "what is not counted is known to be lost");
}

#[test]
fn a_flood_is_counted_and_does_not_hide_a_different_failure() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let (nowhere, file) = (c("/no/such/target"), c("/proc/self/stat/x"));
    let child = Child::start(|_| {
        for turn in 0..FLOOD {
            mount(&nowhere, &nowhere, &nowhere, 0, &nowhere);
            if turn == FLOOD / 2 {
                mount(&nowhere, &file, &nowhere, 0, &nowhere);
            }
        }
        0
    });
    let pid = child.pid;
    assert_eq!(child.end(), 0);
    let mut seen = Seen::default();
    accounted_for(&mut watch, &mut seen, pid);
    let whole = seen.of(pid, "mount", Errno::ENOENT).len();
    assert!(whole < 1_000, "a flood must not fill the ring: {whole}");
    let different = seen.of(pid, "mount", ENOTDIR);
    assert_eq!(different.len(), 1);
    assert_eq!(different[0].text_arg("target"), Some("/proc/self/stat/x"));
}

/// Not a test: the process that [`threads_add_to_one_count`] starts, failing from several threads at once.
#[test]
fn role_of_many_threads() {
    if std::env::var_os("DIAG_TEST_ROLE").is_none() {
        return;
    }
    let work = || {
        let nowhere = c("/no/such/target");
        for _ in 0..FLOOD / 4 {
            mount(&nowhere, &nowhere, &nowhere, 0, &nowhere);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(work);
        }
    });
}

#[test]
fn threads_add_to_one_count() {
    let Some(mut watch) = watch(Scope::Machine, None) else { return };
    let mut role = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "floods::role_of_many_threads", "--quiet"])
        .env("DIAG_TEST_ROLE", "1")
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = role.id();
    // While it runs: what is taken out on the way must not be counted twice or lost.
    let mut seen = Seen::default();
    while role.try_wait().unwrap().is_none() {
        seen.collect(&mut watch);
        std::thread::yield_now();
    }
    accounted_for(&mut watch, &mut seen, pid);
}

#[test]
fn what_does_not_fit_is_counted_as_lost() {
    // One page: a handful of records.
    let Some(mut watch) = watch(Scope::Tree, Some(4096)) else { return };
    let there = c("/proc");
    let mut child = Child::start(|gate| {
        gate.wait();
        for _ in 0..50 {
            // SAFETY: a NUL-terminated string that outlives the call.
            unsafe { libc::mkdir(there.as_ptr(), 0o755) };
        }
        0
    });
    child.at_gate();
    watch.follow(child.pid).unwrap();
    let pid = child.pid;
    child.open_gate();
    assert_eq!(child.end(), 0);
    let mut seen = Seen::default();
    seen.collect(&mut watch);
    let delivered = seen.of(pid, "mkdir", Errno::EEXIST).len() as u64;
    println!("{delivered} delivered, {} lost", watch.lost());
    assert!(delivered >= 1 && watch.lost() >= 1);
    assert_eq!(delivered + watch.lost() + seen.repeated_of(pid, "mkdir", Errno::EEXIST), 50);
}
