//! Cpusets without processors, by version 1 or by partition, whichever this machine has.

use crate::bench_of_one::{Bench, finding, text};
use serde_json::Value;
use std::path::Path;

/// Whether the machine has a cpuset hierarchy of version 1.
fn is_v1() -> bool {
    Path::new("/sys/fs/cgroup/cpuset/cgroup.procs").exists()
}

/// Before 6.1 no partition hands out its last CPU.
fn without_empty_partitions(_: &str) -> bool {
    std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap().starts_with("5.10.")
}

/// The answer, unless this kernel has no such refusal and `excuse` says so.
fn repro(bench: &Bench, variant: &str, excuse: impl Fn(&str) -> bool) -> Option<Value> {
    let out = bench.run(&["repro", "cpuset-empty", "--variant", variant, "--json"]);
    let said = text(&out.stderr);
    if !is_v1() && excuse(&said) {
        println!("skipped: {said}");
        return None;
    }
    assert_eq!(out.status.code(), Some(1), "{said}");
    Some(serde_json::from_slice(&out.stdout).unwrap())
}

#[test]
fn a_cpuset_without_processors_takes_no_task() {
    let Some(bench) = Bench::open() else { return };
    if let Some(answer) = repro(&bench, "attach", without_empty_partitions) {
        let failure = &answer["incidents"][0]["failure"];
        assert_eq!(
            (&failure["syscall"], &failure["errno"]),
            (&"write".into(), &"ENOSPC".into()),
            "{answer:#}"
        );
        let f = finding(&answer);
        assert_eq!((&f["cause"], &f["confidence"]), (&"cpuset-empty".into(), &"proven".into()), "{answer:#}");
        assert_eq!(f["knob"]["name"], "cpuset.cpus", "{answer:#}");
        assert_eq!(answer["incidents"][0]["findings"].as_array().unwrap().len(), 1, "{answer:#}");
    }
    bench.nothing_left();
}

#[test]
fn a_cpuset_with_tasks_keeps_its_last_processor() {
    let Some(bench) = Bench::open() else { return };
    if let Some(answer) = repro(&bench, "in-use", |said| said.contains("was not refused")) {
        let f = finding(&answer);
        assert_eq!((&f["cause"], &f["confidence"]), (&"cpuset-empty".into(), &"proven".into()), "{answer:#}");
        assert!(f["sentence"].as_str().unwrap().contains("Tasks run in"), "{answer:#}");
    }
    bench.nothing_left();
}
