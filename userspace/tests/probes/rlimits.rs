//! Resource limits, each reached by a child that lowers its own.

use crate::scene::{Child, Seen, collect_until, skip, watch};
use diag::capture::errno_watch::{ErrnoWatch, Scope};
use diag::model::{Errno, Reading, Taken};

const NOBODY: u32 = 65_534;
const PAGE: usize = 4096;

type Which = libc::__rlimit_resource_t;

fn lower(which: Which, to: u64) -> bool {
    let limit = libc::rlimit { rlim_cur: to, rlim_max: to };
    // SAFETY: reads a structure that outlives the call.
    unsafe { libc::setrlimit(which, &raw const limit) == 0 }
}

fn last() -> i32 {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

fn map(bytes: usize, protection: i32) -> i32 {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping that nobody uses.
    let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
    if at == libc::MAP_FAILED { last() } else { 0 }
}

/// The reading of `limit` of a child that prepares itself, waits until it is followed, and works.
fn reading(
    prepare: impl FnOnce() -> bool,
    work: impl FnOnce() -> i32,
    (call, errno, limit): (&str, i32, &str),
) -> Option<Reading> {
    let mut watch = watch(Scope::Tree, None)?;
    let mut child = Child::start(|gate| {
        let prepared = prepare();
        gate.wait();
        match prepared {
            true if work() == errno => 0,
            true => 1,
            false => 77,
        }
    });
    child.at_gate();
    watch.follow(child.pid).unwrap();
    let pid = child.pid;
    child.open_gate();
    match child.end() {
        0 => {}
        77 => {
            skip("the child could not prepare itself");
            return None;
        }
        code => panic!("the child did not fail as it should: {code}"),
    }
    Some(seen_of(&mut watch, pid, (call, errno, limit)))
}

fn seen_of(watch: &mut ErrnoWatch, pid: u32, (call, errno, limit): (&str, i32, &str)) -> Reading {
    let mut seen = Seen::default();
    let errno = Errno(errno);
    collect_until(watch, &mut seen, call, |seen, _| !seen.of(pid, call, errno).is_empty());
    let failure = *seen.of(pid, call, errno).last().unwrap();
    println!("{:#?}", failure.readings);
    let found = failure.readings.iter().find(|reading| reading.limit == limit);
    let found = found.unwrap_or_else(|| panic!("no reading of {limit}: {failure:#?}")).clone();
    assert_eq!(found.taken, Taken::AtInstant);
    found
}

#[test]
fn descriptors_used_up() {
    // More than the watch has open itself, which the child inherits; around the words of the kernel's bitmap.
    for most in [120, 128, 200, 5_000] {
        let work = || {
            let last = (0..=most).map(|_| match unsafe_dup() {
                -1 => last(),
                _ => 0,
            });
            last.into_iter().find(|errno| *errno != 0).unwrap_or(0)
        };
        let prepare = || lower(libc::RLIMIT_NOFILE, most);
        let Some(reading) = reading(prepare, work, ("dup", libc::EMFILE, "RLIMIT_NOFILE")) else { return };
        assert_eq!((reading.usage, reading.ceiling), (Some(most), Some(most)));
        assert_eq!(reading.exceeded(), Some(true));
    }
}

fn unsafe_dup() -> i32 {
    // SAFETY: duplicates the standard input, or fails.
    unsafe { libc::dup(0) }
}

#[test]
fn locked_memory() {
    let prepare = || {
        // SAFETY: a plain system call that changes this process only.
        lower(libc::RLIMIT_MEMLOCK, 8 * PAGE as u64)
            && unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) } == 0
    };
    let work = || {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: locks pages of a mapping of its own.
        unsafe {
            let at = libc::mmap(std::ptr::null_mut(), 10 * PAGE, protection, flags, -1, 0);
            if libc::mlock(at, 5 * PAGE) != 0 {
                return -1;
            }
            if libc::mlock(at.cast::<u8>().add(5 * PAGE).cast(), 4 * PAGE) == 0 { 0 } else { last() }
        }
    };
    let wanted = ("mlock", libc::ENOMEM, "RLIMIT_MEMLOCK");
    let Some(reading) = reading(prepare, work, wanted) else { return };
    let bytes = |pages: u64| Some(pages * PAGE as u64);
    assert_eq!((reading.usage, reading.adds, reading.ceiling), (bytes(5), bytes(4), bytes(8)));
}

#[test]
fn address_space_and_data() {
    for (which, limit) in [(libc::RLIMIT_AS, "RLIMIT_AS"), (libc::RLIMIT_DATA, "RLIMIT_DATA")] {
        let most = 1 << 30;
        let work = || map(2 << 30, libc::PROT_READ | libc::PROT_WRITE);
        let wanted = ("mmap", libc::ENOMEM, limit);
        let Some(reading) = reading(|| lower(which, most), work, wanted) else { return };
        assert_eq!((reading.adds, reading.ceiling), (Some(2 << 30), Some(most)));
        assert!(reading.usage.is_some_and(|bytes| bytes > 0 && bytes < most), "{reading:?}");
        assert_eq!(reading.exceeded(), Some(true));
    }
}

#[test]
fn mappings() {
    let most: u64 = std::fs::read_to_string("/proc/sys/vm/max_map_count").unwrap().trim().parse().unwrap();
    if most > 200_000 {
        return skip("vm.max_map_count is high here");
    }
    // Neighbours of other rights do not merge.
    let work = || {
        let protections = [libc::PROT_READ, libc::PROT_NONE];
        let refused = protections.into_iter().cycle().take(most as usize + 2).map(|p| map(PAGE, p));
        refused.into_iter().find(|errno| *errno != 0).unwrap_or(0)
    };
    let wanted = ("mmap", libc::ENOMEM, "vm.max_map_count");
    let Some(reading) = reading(|| true, work, wanted) else { return };
    assert!(reading.usage.is_some_and(|maps| (most..=most + 1).contains(&maps)), "{reading:?}");
    assert!(reading.ceiling.is_none_or(|ceiling| ceiling == most));
}

#[test]
fn a_file_at_its_limit() {
    let prepare = || {
        // SAFETY: ignores a signal of this process.
        unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
        lower(libc::RLIMIT_FSIZE, 100)
    };
    let work = || {
        // SAFETY: a constant name; the buffers outlive the calls.
        unsafe {
            let file = libc::memfd_create(c"limited".as_ptr(), 0);
            let bytes = [0_u8; 200];
            if libc::write(file, bytes.as_ptr().cast(), 200) != 100 {
                return -1;
            }
            if libc::write(file, bytes.as_ptr().cast(), 1) == 1 { 0 } else { last() }
        }
    };
    let wanted = ("write", libc::EFBIG, "RLIMIT_FSIZE");
    let Some(reading) = reading(prepare, work, wanted) else { return };
    assert_eq!((reading.usage, reading.ceiling), (Some(100), Some(100)));
    assert_eq!(reading.exceeded(), Some(true));
}

#[test]
fn queued_signals() {
    let prepare = || {
        // SAFETY: plain system calls that change this process only.
        let done = unsafe {
            libc::signal(libc::SIGUSR1, libc::SIG_IGN);
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            libc::sigaddset(&raw mut set, libc::SIGRTMIN());
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())
        };
        // SAFETY: as above.
        done == 0
            && lower(libc::RLIMIT_SIGPENDING, 5)
            && unsafe { libc::setresuid(NOBODY, NOBODY, NOBODY) } == 0
    };
    let work = || {
        let value = libc::sigval { sival_ptr: std::ptr::null_mut() };
        // SAFETY: signals this process, which blocks them.
        let refused =
            (0..20).map(|_| match unsafe { libc::sigqueue(libc::getpid(), libc::SIGRTMIN(), value) } {
                0 => 0,
                _ => last(),
            });
        refused.into_iter().find(|errno| *errno != 0).unwrap_or(0)
    };
    let wanted = ("rt_sigqueueinfo", libc::EAGAIN, "RLIMIT_SIGPENDING");
    let Some(reading) = reading(prepare, work, wanted) else { return };
    assert_eq!((reading.usage, reading.ceiling), (Some(5), Some(5)));
}

#[test]
fn message_queues() {
    let prepare = || {
        // SAFETY: plain system calls that change this process only.
        let alone = unsafe { libc::unshare(libc::CLONE_NEWIPC) };
        alone == 0 && lower(libc::RLIMIT_MSGQUEUE, 100_000)
    };
    let work = || {
        for name in [c"first", c"second"] {
            // SAFETY: constant names; without attributes.
            let queue = unsafe {
                libc::syscall(libc::SYS_mq_open, name.as_ptr(), libc::O_CREAT | libc::O_RDWR, 0o600, 0)
            };
            if queue < 0 {
                return last();
            }
        }
        0
    };
    let wanted = ("mq_open", libc::EMFILE, "RLIMIT_MSGQUEUE");
    let Some(reading) = reading(prepare, work, wanted) else { return };
    // Ten messages of 8 KiB, and 96 bytes of the kernel's own for each.
    let queue = 10 * (8192 + 48 + 48);
    assert_eq!((reading.usage, reading.adds, reading.ceiling), (Some(queue), Some(queue), Some(100_000)));
}
