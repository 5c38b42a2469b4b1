//! `diag repro --prove`: the way out that a finding tells is gone in the sandbox of the fault, and the refused call is
//! made once more.

use crate::bench_of_one::{Bench, Lowered, MOUNT_MAX, mounts_here, text};
use std::fs;

/// Cause, variant, and a word of what was done.
type Way = (&'static str, &'static str, &'static str);

const PROVABLE: &[Way] = &[
    ("rlimit-nofile", "open", "RLIMIT_NOFILE of process"),
    ("kernel-msg", "queues", "in the ipc namespace of process"),
    ("max-namespaces", "uts", "in the user namespace of process"),
    ("max-namespaces", "ancestor", "in 2 user namespaces in each other"),
    ("pids-max", "own", "pids.max from"),
];

/// Of processes of another user.
const PROVABLE_WITH_CAP_SYS_RESOURCE: &[Way] = &[
    ("rlimit-msgqueue", "", "RLIMIT_MSGQUEUE of process"),
    ("rlimit-nproc", "fork", "RLIMIT_NPROC of process"),
];

fn words(way: &Way) -> Vec<&'static str> {
    let (cause, variant, _) = *way;
    let variant = if variant.is_empty() { vec![] } else { vec!["--variant", variant] };
    ["repro", cause, "--prove", "--json"].into_iter().chain(variant).collect()
}

/// Whether this process may raise others' limits (capabilities(7)).
fn may_raise() -> bool {
    const CAP_SYS_RESOURCE: u32 = 24;
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap() & (1 << CAP_SYS_RESOURCE) != 0
}

#[test]
fn a_limit_of_another_user_takes_a_capability() {
    let Some(bench) = Bench::open() else { return };
    for way in PROVABLE_WITH_CAP_SYS_RESOURCE {
        if may_raise() {
            assert_eq!(bench.json(0, &words(way))["trial"]["works"], true, "{way:?}");
        } else {
            let out = bench.run(&words(way));
            assert_eq!(out.status.code(), Some(2), "{way:?}");
            assert!(text(&out.stderr).contains("CAP_SYS_RESOURCE"), "{}", text(&out.stderr));
        }
    }
    bench.nothing_left();
}

#[test]
fn the_way_out_that_is_told_helps_in_the_same_place() {
    let Some(bench) = Bench::open() else { return };
    // Up to 5.13 credentials do not lead to the counters of their own level, and without them no limit is named.
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let is_read = |way: &&Way| !(release.starts_with("5.10") && way.1 == "uts");
    for way in PROVABLE.iter().filter(is_read) {
        let (cause, _, done) = way;
        let args = words(way);
        let answer = bench.json(0, &args);
        let trial = &answer["trial"];
        assert_eq!(answer["incidents"][0]["findings"][0]["cause"], *cause, "{answer:#}");
        assert_eq!(trial["works"], true, "{cause}: {trial:#}");
        assert!(trial["done"].as_str().is_some_and(|text| text.contains(done)), "{cause}: {trial:#}");
        assert!(trial["after"].is_null() && trial["before"].is_string(), "{cause}: {trial:#}");
    }
    bench.nothing_left();
}

#[test]
fn what_is_the_whole_machines_changes_only_when_it_is_said() {
    let Some(bench) = Bench::open() else { return };
    // As it is, both would mount a hundred thousand times.
    let lowered = Lowered::mount_max(mounts_here() + 300);
    let before = fs::read_to_string(MOUNT_MAX).unwrap();
    let refused = bench.run(&["repro", "mount-max", "--prove"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("--machine-wide"), "{}", text(&refused.stderr));
    assert!(text(&refused.stdout).contains("fs.mount-max"), "it is explained all the same");
    assert_eq!(fs::read_to_string(MOUNT_MAX).unwrap(), before);
    let answer = bench.expect(0, &["repro", "mount-max", "--prove", "--machine-wide"]);
    assert!(answer.contains("reproduced, and the fix works"), "{answer}");
    assert_eq!(fs::read_to_string(MOUNT_MAX).unwrap(), before, "put back");
    drop(lowered);
    bench.nothing_left();
}

#[test]
fn what_diag_cannot_do_itself_is_said() {
    let Some(bench) = Bench::open() else { return };
    let out = bench.run(&["repro", "exec-format", "--prove"]);
    let said = text(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(said.contains("none that diag can go itself"), "{said}");
    bench.nothing_left();
}
