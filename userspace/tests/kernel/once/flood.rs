//! A million equal failures: counted to the last one in bounded memory, and never in the way of another.

use crate::bench_of_one::{Bench, Lowered, Watch, finding, has_preemptible_probes, mounts_here, text};
use diag::journal::{Query, Reader};
use diag::model::Errno;
use std::ffi::CStr;
use std::process::Command;

/// `DIAG_TEST_FLOOD` says another number: an emulated processor takes minutes for a million.
fn flood() -> u64 {
    std::env::var("DIAG_TEST_FLOOD").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000)
}

/// What `diag watch` may hold at its peak.
const MOST_KIB: u64 = 64 * 1024;

const NOWHERE: &CStr = c"/no/such/folder/of/the/flood";

fn refused_mounts(count: u64) {
    for _ in 0..count {
        // SAFETY: the strings are NUL-terminated; the target does not exist, so nothing is mounted.
        let done = unsafe {
            libc::mount(c"none".as_ptr(), NOWHERE.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null())
        };
        assert_eq!(done, -1);
    }
}

/// How often the journal says that this process was refused.
fn counted(bench: &Bench) -> u64 {
    let reader = Reader::open(&bench.dir.path().join("journal.db")).unwrap();
    let ours = std::process::id();
    let incidents = reader.incidents(&Query::default()).unwrap();
    let flood = incidents.iter().filter(|incident| {
        incident.failure.task.pid == ours && incident.failure.syscall() == Some(("mount", Errno::ENOENT))
    });
    flood.map(|incident| incident.count).sum()
}

#[test]
fn a_million_failures_are_counted_and_another_one_is_reported_whole() {
    let Some(bench) = Bench::open() else { return };
    let flood = flood();
    let watch = Watch::start(&bench);
    refused_mounts(flood / 2);

    let limit = mounts_here() + 300;
    let lowered = Lowered::mount_max(limit);
    // Side by side with the other half, so that both compete for the ring.
    let program = bench.diag(&[]).get_program().to_owned();
    let other = Command::new(program).args(["repro", "mount-max", "--provoke"]).output();
    let provoking = std::thread::spawn(move || other.unwrap());
    refused_mounts(flood / 2);
    let provoked = provoking.join().unwrap();
    drop(lowered);
    assert_eq!(provoked.status.code(), Some(1), "{}", text(&provoked.stderr));

    let different = watch.next(|answer| finding(answer)["cause"] == "mount-max");
    assert_eq!(finding(&different)["confidence"], "proven", "{different:#}");
    assert_eq!(finding(&different)["limit"], limit, "{different:#}");
    assert!(finding(&different)["usage"].as_u64() >= Some(limit), "with its reading: {different:#}");

    // Something that fails after the flood carries what was lost until then.
    // SAFETY: the strings are NUL-terminated; a file is no folder, so nothing is mounted.
    let marker = unsafe {
        libc::mount(c"none".as_ptr(), c"/proc/self/stat/x".as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null())
    };
    assert_eq!(marker, -1);
    let marked = watch.next(|answer| answer["incidents"][0]["failure"]["errno"] == "ENOTDIR");
    let lost = marked["loss"]["events_dropped"].as_u64().unwrap();
    let peak = watch.peak_kib();
    watch.end();
    let counted = counted(&bench);
    println!("{counted} counted, {lost} lost, {peak} KiB at the peak");
    assert!(counted <= flood, "nothing is counted twice: {counted}");
    if has_preemptible_probes() {
        assert!(counted + lost >= flood, "{counted} counted and {lost} known to be lost");
    } else {
        assert_eq!((counted, lost), (flood, 0));
    }
    assert!(peak < MOST_KIB, "{peak} KiB");
    bench.nothing_left();
}
