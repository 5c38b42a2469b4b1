//! Return probes: further faults, what is refused once only, and what a killed diag leaves.

use crate::bench_of_one::{Bench, DEADLINE, Lowered, child, exe, mounts_here, text};
use crate::probed::{Running, assert_named, explained, rungs};
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn who_decided_is_seen_for_other_families() {
    let Some(bench) = Bench::open() else { return };
    for rung in rungs(&bench).into_iter().take(1) {
        let of_names = ["inc_ucount", "copy_utsname", "create_new_namespaces"];
        assert_named(&bench, rung, ("max-namespaces", "uts"), &of_names);
        assert_named(&bench, rung, ("pids-max", "own"), &["pids_can_fork"]);
        let of_blocks = ["shmem_fallocate", "shmem_inode_acct_blocks"];
        assert_named(&bench, rung, ("disk-full", "fallocate"), &of_blocks);
    }
    bench.nothing_left();
}

/// Nothing is told before the first refusal's path is known, and a command is run once: without a second refusal the
/// rung below answers.
#[test]
fn a_single_refusal_is_told_by_difference_all_the_same() {
    let Some(bench) = Bench::open() else { return };
    for (way, off) in rungs(&bench).into_iter().take(1) {
        let lowered = Lowered::mount_max(mounts_here() + 300);
        let diag = bench.diag(&[]).get_program().to_str().unwrap().to_string();
        let words = ["explain", "--json", "--", &diag, "repro", "mount-max", "--provoke"];
        let answer = explained(&bench, off, &words);
        drop(lowered);
        let path = &answer["incidents"][0]["path"];
        assert_eq!(path["decider"], "count_mounts", "{way}: {answer:#}");
        assert_eq!(path["decider_method"], "difference", "{way}: {answer:#}");
        bench.nothing_left_yet();
    }
    bench.nothing_left();
}

/// Each takes an emulated processor half a minute.
const KILLS: u64 = 2;

/// Return probes in `kprobe_events` have no descriptor that would take them along.
#[test]
fn probes_of_a_killed_diag_are_removed_by_the_next_one() {
    let Some(bench) = Bench::open() else { return };
    let Some((_, off)) = rungs(&bench).into_iter().find(|(way, _)| *way == "kretprobe") else { return };
    let exe = exe();
    let words = child(&exe, "probed::child_that_is_refused_again_and_again");
    let mut left = 0;
    for round in 0..KILLS {
        let mut diag = bench.diag(&[&["explain", "--json", "--"][..], &words].concat());
        diag.env("DIAG_DISABLE", off).stdout(Stdio::null()).stderr(Stdio::null());
        let diag = Running(diag.spawn().unwrap());
        let begin = Instant::now();
        while groups().is_empty() && begin.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(5));
        }
        // From the first probe on: while more come, when all are there, while they go again.
        std::thread::sleep(Duration::from_millis(round * 400));
        drop(diag);
        left += groups().len();
        let next = bench.run(&["explain", "--", "true"]);
        assert_eq!(next.status.code(), Some(0), "{}", text(&next.stderr));
        assert_eq!(groups(), Vec::<String>::new(), "round {round}");
        bench.nothing_left_yet();
    }
    assert!(left > 0, "no killed diag left a probe: the test tests nothing");
    bench.nothing_left();
}

/// Lines of diag's own in the file that lists everybody's probes.
fn groups() -> Vec<String> {
    let text = std::fs::read_to_string("/sys/kernel/tracing/kprobe_events").unwrap_or_default();
    text.lines().filter(|line| line.contains(":diag_")).map(str::to_owned).collect()
}
