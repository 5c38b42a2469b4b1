//! Refused tasks and namespaces: each limit provoked and proven with the probe's own reading, and the
//! neighbours with the same errno left to their own cause.

use crate::bench_of_one::{Bench, finding, findings};
use serde_json::Value;

/// The one incident of a fault, judged.
fn assert_proven(answer: &Value, cause: &str, errno: &str) {
    assert_proven_in(&answer["incidents"][0], cause, errno);
}

fn assert_proven_in(incident: &Value, cause: &str, errno: &str) {
    assert_eq!(incident["failure"]["errno"], errno, "{incident:#}");
    let findings = incident["findings"].as_array().unwrap();
    let f = &findings[0];
    assert_eq!(f["cause"], cause, "{incident:#}");
    assert_eq!(f["confidence"], "proven", "{incident:#}");
    assert!(f["usage"].as_u64() >= f["limit"].as_u64(), "{incident:#}");
    assert!(findings[1..].iter().all(|f| f["confidence"] != "proven"), "{incident:#}");
}

#[test]
fn a_full_cgroup_is_proven_and_named_be_it_its_own_or_one_around() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.provoked("pids-max", &["own", "ancestor"]);
    let found = findings(&answer);
    for (inner, whose) in [(true, "its own cgroup"), (false, "a cgroup around its own")] {
        let of_group = found.iter().find(|(_, f)| {
            let path = f["knob"]["path"].as_str().unwrap_or_default();
            let of_fault = path.starts_with("/sys/fs/cgroup/") && path.contains("/diag-repro-");
            of_fault && path.ends_with("/inner/pids.max") == inner
        });
        let (incident, f) = of_group.unwrap_or_else(|| panic!("{whose}: {answer:#}"));
        assert_proven_in(incident, "pids-max", "EAGAIN");
        assert_eq!((&f["limit"], &f["knob"]["name"]), (&4.into(), &"pids.max".into()), "{answer:#}");
        assert!(f["sentence"].as_str().unwrap().contains(whose), "{answer:#}");
    }
    bench.nothing_left();
}

/// Up to 5.13 credentials do not lead to the counters of their own level; those above are read.
fn reads_own_level(answer: &Value) -> bool {
    !answer["host"]["kernel"].as_str().unwrap().starts_with("5.10")
}

#[test]
fn a_limit_of_namespaces_is_proven_for_every_type() {
    let Some(bench) = Bench::open() else { return };
    let kinds = ["net", "user", "uts", "ipc", "mnt", "cgroup", "pid"];
    let answer = bench.provoked("max-namespaces", &kinds);
    let found = findings(&answer);
    assert!(found.iter().all(|(_, f)| f["cause"] == "max-namespaces"), "{answer:#}");
    for kind in kinds.iter().filter(|_| reads_own_level(&answer)) {
        let of_kind = found.iter().find(|(_, f)| f["knob"]["name"] == format!("user.max_{kind}_namespaces"));
        let (incident, f) = of_kind.unwrap_or_else(|| panic!("{kind}: {answer:#}"));
        assert_proven_in(incident, "max-namespaces", "ENOSPC");
        assert!(f["sentence"].as_str().unwrap().contains("its own, the user of"), "{answer:#}");
    }
    bench.nothing_left();
}

#[test]
fn a_limit_of_a_user_namespace_around_is_proven_and_named() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.json(1, &["repro", "max-namespaces", "--variant", "ancestor", "--json"]);
    assert_proven(&answer, "max-namespaces", "ENOSPC");
    let f = finding(&answer);
    assert_eq!(
        (&f["limit"], &f["knob"]["name"]),
        (&0.into(), &"user.max_net_namespaces".into()),
        "{answer:#}"
    );
    assert!(f["sentence"].as_str().unwrap().contains("one around its own"), "{answer:#}");
    bench.nothing_left();
}

#[test]
fn a_user_with_too_many_processes_is_proven_and_not_the_cgroup() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.json(1, &["repro", "rlimit-nproc", "--json"]);
    assert_proven(&answer, "rlimit-nproc", "EAGAIN");
    let f = finding(&answer);
    assert_eq!((&f["limit"], &f["knob"]["name"]), (&3.into(), &"RLIMIT_NPROC".into()), "{answer:#}");
    bench.nothing_left();
}

#[test]
fn namespaces_nested_too_deep_are_told_from_too_many() {
    let Some(bench) = Bench::open() else { return };
    let answer = bench.provoked("namespace-depth", &["user", "pid"]);
    let found = findings(&answer);
    for levels in [33, 32] {
        let (incident, _) = found
            .iter()
            .find(|(_, f)| f["cause"] == "namespace-depth" && f["limit"] == levels)
            .unwrap_or_else(|| panic!("{levels}: {answer:#}"));
        assert_proven_in(incident, "namespace-depth", "ENOSPC");
        let findings = incident["findings"].as_array().unwrap();
        assert!(findings.iter().all(|f| f["cause"] != "max-namespaces"), "{answer:#}");
    }
    bench.nothing_left();
}
