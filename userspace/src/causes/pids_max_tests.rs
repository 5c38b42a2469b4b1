//! What pids-max claims, and the neighbours it must not claim.

use super::*;
use crate::causes::case::testing::{incident, judge_with, reading, unlimited};
use crate::model::{Errno, Finding, Incident};

fn judge(incident: &Incident) -> Option<Finding> {
    judge_with(&CAUSE, incident)
}

fn full() -> Reading {
    let mut r = reading(&PIDS_MAX, 4, 4);
    r.scope = "cgroup /docker/ab (id 77)".into();
    r.source = "pids_cgroup.counter and .limit; /sys/fs/cgroup/docker/ab/pids.max".into();
    r
}

#[test]
fn proven_when_the_cgroup_was_full_and_all_else_had_room() {
    let i = incident("clone", Errno::EAGAIN, [vec![full()], unlimited(&PIDS_MAX)].concat());
    let f = judge(&i).unwrap();
    assert_eq!(f.confidence, Confidence::Proven, "{f:#?}");
    assert_eq!(f.knob.path, "/sys/fs/cgroup/docker/ab/pids.max");
    assert!(f.sentence.contains("/docker/ab, a cgroup around its own"), "{}", f.sentence);
    assert!(f.remedy[0].command.contains("/sys/fs/cgroup/docker/ab/pids.max"));
}

#[test]
fn the_tasks_own_cgroup_is_called_so() {
    let mut i = incident("clone3", Errno::EAGAIN, [vec![full()], unlimited(&PIDS_MAX)].concat());
    i.failure.task.cgroups = vec![crate::model::CgroupId { hierarchy: "v2".into(), id: 77 }];
    assert!(judge(&i).unwrap().sentence.contains("its own cgroup"));
}

#[test]
fn a_cgroup_with_room_is_not_claimed() {
    let i = incident("clone", Errno::EAGAIN, vec![reading(&PIDS_MAX, 3, 4)]);
    assert!(judge(&i).is_none());
}

#[test]
fn another_errno_or_call_is_not_claimed() {
    for (call, errno) in [("clone", Errno::ENOMEM), ("unshare", Errno::ENOSPC), ("mmap", Errno::EAGAIN)] {
        assert!(judge(&incident(call, errno, vec![full()])).is_none());
    }
}

#[test]
fn every_rival_lowers_it() {
    for rival in [&NPROC, &THREADS_MAX, &PID_MAX] {
        let mut readings = vec![full(), reading(rival, 50_000, 50_000)];
        readings.extend(unlimited(&PIDS_MAX).into_iter().filter(|r| r.limit != rival.id));
        let f = judge(&incident("clone", Errno::EAGAIN, readings)).unwrap();
        assert_eq!(f.confidence, Confidence::Likely, "{}", rival.id);
        assert!(f.missing.iter().any(|m| m.contains(rival.id)), "{:?}", f.missing);
    }
    // And so does one that was not read at all.
    let f = judge(&incident("clone", Errno::EAGAIN, vec![full()])).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
}

#[test]
fn a_child_for_another_cgroup_is_not_judged_by_its_parents() {
    let mut i = incident("clone3", Errno::EAGAIN, [vec![full()], unlimited(&PIDS_MAX)].concat());
    let crate::model::FailureKind::Syscall { args, .. } = &mut i.failure.kind else { unreachable!() };
    args[0].value = crate::model::ArgValue::Number(1 << 33);
    assert_eq!(judge(&i).unwrap().confidence, Confidence::Likely);
}

#[test]
fn a_deadline_task_is_a_rival() {
    let mut readings = vec![full()];
    readings.extend(unlimited(&PIDS_MAX));
    readings.iter_mut().filter(|r| r.limit == "scheduling policy").for_each(|r| r.usage = Some(6));
    let f = judge(&incident("clone", Errno::EAGAIN, readings)).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
}
