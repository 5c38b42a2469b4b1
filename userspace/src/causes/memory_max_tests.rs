//! What memory-max claims, and the kills it must not claim.

use super::*;
use crate::model::{CgroupId, Container, Failure, Finding, Host, Incident, Stamp, Taken, Task};

fn reading(scope: &str, usage: u64, ceiling: u64) -> Reading {
    Reading {
        limit: MEMORY_MAX.id.into(),
        scope: scope.into(),
        ceiling: Some(ceiling),
        usage: Some(usage),
        adds: Some(4096),
        hits: Some(1),
        unit: "bytes".into(),
        taken: Taken::AtInstant,
        source: "mem_cgroup.memory".into(),
    }
}

fn incident(by: Killer, readings: Vec<Reading>) -> Incident {
    let cgroups = vec![CgroupId { hierarchy: "v2".into(), id: 7 }];
    Incident {
        host: Host::default(),
        container: Some(Container {
            engine: "diag".into(),
            id: "ab".into(),
            name: Some("web-1".into()),
            cgroup: Some("/diag/ab".into()),
            ..Container::default()
        }),
        failure: Failure {
            time: Stamp::default(),
            task: Task { pid: 5, tid: 5, comm: "python".into(), cgroups, ..Task::default() },
            kind: FailureKind::Killed { signal: "SIGKILL".into(), by },
            readings,
        },
        count: 1,
        last: Stamp::default(),
        step: None,
        graph: None,
        no_graph: None,
        readings: vec![],
        facts: vec![],
        suspects: vec![],
        owners: vec![],
        loss: Default::default(),
        cost: None,
    }
}

fn oom(cgroup: Option<&str>, witness: Option<OomWitness>) -> Killer {
    Killer::Oom { cgroup: cgroup.map(Into::into), witness, asked: "python (pid 5)".into() }
}

fn judge(incident: &Incident) -> Option<Finding> {
    CAUSE.judge(&Case { incident, path: None })
}

const MIB: u64 = 1 << 20;

#[test]
fn proven_by_lock_and_usage() {
    let i = incident(
        oom(Some("/diag/ab"), Some(OomWitness::Lock)),
        vec![reading("/diag/ab", 64 * MIB, 64 * MIB)],
    );
    let f = judge(&i).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert_eq!((f.knob.name.as_str(), f.limit), ("memory.max", Some(64 * MIB)));
    assert_eq!(f.knob.path, "/sys/fs/cgroup/diag/ab/memory.max");
    assert_eq!(
        f.sentence,
        "The OOM killer ended python (pid 5): the cgroup of web-1 may hold 64 MiB (memory.max) and could \
         free nothing."
    );
}

#[test]
fn an_ancestor_is_named_although_the_own_limit_is_near() {
    let readings = vec![reading("/diag/ab", 60 * MIB, 64 * MIB), reading("/diag", 96 * MIB, 96 * MIB)];
    let f = judge(&incident(oom(Some("/diag"), Some(OomWitness::Lock)), readings)).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert_eq!(f.limit, Some(96 * MIB));
    assert!(f.sentence.contains("/diag, an ancestor of web-1's cgroup,"), "{}", f.sentence);
}

#[test]
fn v1_has_its_own_knob() {
    let mut i = incident(
        oom(Some("/diag/ab"), Some(OomWitness::Lock)),
        vec![reading("/diag/ab", 64 * MIB, 64 * MIB)],
    );
    i.failure.task.cgroups.push(CgroupId { hierarchy: "memory".into(), id: 9 });
    let f = judge(&i).unwrap();
    assert_eq!(f.knob.name, "memory.limit_in_bytes");
    assert_eq!(f.knob.path, "/sys/fs/cgroup/memory/diag/ab/memory.limit_in_bytes");
}

#[test]
fn a_machine_out_of_memory_is_not_the_containers_limit() {
    let full = vec![reading("/diag/ab", 64 * MIB, 64 * MIB)];
    assert!(judge(&incident(oom(None, Some(OomWitness::Lock)), full.clone())).is_none());
    // Where the kernel has no such lock it stays open which of the two it was.
    let f = judge(&incident(oom(None, None), full)).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
    assert!(f.missing.iter().any(|m| m.contains("whole machine")), "{:?}", f.missing);
}

#[test]
fn freed_before_the_kill_is_likely_only() {
    let without_counter = Reading { hits: None, ..reading("/diag/ab", 10 * MIB, 64 * MIB) };
    let i = incident(oom(Some("/diag/ab"), Some(OomWitness::Lock)), vec![without_counter]);
    assert_eq!(judge(&i).unwrap().confidence, Confidence::Likely);
    // Its counter is of all times: an earlier refusal proves nothing about this one.
    let i = incident(
        oom(Some("/diag/ab"), Some(OomWitness::Lock)),
        vec![reading("/diag/ab", 10 * MIB, 64 * MIB)],
    );
    let f = judge(&i).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
    assert!(f.missing.iter().any(|m| m.contains("freed before the kill")), "{:?}", f.missing);
}

#[test]
fn the_counter_of_the_locked_cgroup_proves_it_when_other_processors_gave_charges_back() {
    let i = incident(
        oom(Some("/diag/ab"), Some(OomWitness::Lock)),
        vec![reading("/diag/ab", 63 * MIB, 64 * MIB)],
    );
    assert_eq!(judge(&i).unwrap().confidence, Confidence::Proven);
    // Without the lock the nearly full cgroup is as far as it goes.
    let i = incident(oom(None, None), vec![reading("/diag/ab", 63 * MIB, 64 * MIB)]);
    assert_eq!(judge(&i).unwrap().confidence, Confidence::Likely);
    let i = incident(oom(None, None), vec![reading("/diag/ab", 10 * MIB, 64 * MIB)]);
    assert!(judge(&i).is_none());
}

#[test]
fn a_plain_kill_is_not_called_oom() {
    let full = vec![reading("/diag/ab", 64 * MIB, 64 * MIB)];
    let process = Killer::Process {
        pid: 9,
        comm: "sh".into(),
        uid: 0,
        cgroups: vec![],
        container: None,
        without_call: false,
    };
    assert!(judge(&incident(process, full.clone())).is_none());
    assert!(judge(&incident(Killer::Kernel, full)).is_none());
}

#[test]
fn the_kernels_log_names_the_cgroup_where_there_is_no_lock() {
    let logged = |cgroup| oom(cgroup, Some(OomWitness::Log));
    let low = || vec![reading("/diag/ab", 10 * MIB, 64 * MIB)];
    // The line is about this very kill, so what was freed meanwhile does not matter.
    assert_eq!(judge(&incident(logged(Some("/diag/ab")), low())).unwrap().confidence, Confidence::Proven);
    assert!(judge(&incident(logged(None), low())).is_none(), "the machine itself was out of memory");
    // v1: it may have been the limit of memory and swap.
    let mut v1 = incident(logged(Some("/diag/ab")), low());
    v1.failure.task.cgroups.push(CgroupId { hierarchy: "memory".into(), id: 9 });
    assert_eq!(judge(&v1).unwrap().confidence, Confidence::Likely);
}
