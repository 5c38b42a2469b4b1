//! What namespace-depth claims, and the refusals it must not claim.

use super::*;
use crate::causes::case::testing::{incident, judge_with, reading};
use crate::limits::namespaces;
use crate::model::{Arg, ArgValue, Finding, Incident};

fn refused(flags: u64, readings: Vec<Reading>) -> Incident {
    let mut i = incident("unshare", Errno::ENOSPC, readings);
    if let crate::model::FailureKind::Syscall { args, .. } = &mut i.failure.kind {
        *args = vec![Arg { name: "flags".into(), value: ArgValue::Number(flags) }];
    }
    i
}

fn judge(flags: u64, readings: Vec<Reading>) -> Option<Finding> {
    judge_with(&CAUSE, &refused(flags, readings))
}

fn depths(user: u64, pid: u64) -> Vec<Reading> {
    vec![reading(&USER_DEPTH, user, 33), reading(&PID_DEPTH, pid, 32)]
}

#[test]
fn the_deepest_levels_are_proven() {
    let f = judge(CLONE_NEWUSER, depths(33, 0)).unwrap();
    assert_eq!((f.confidence, f.usage, f.limit), (Confidence::Proven, Some(33), Some(33)));
    assert!(f.sentence.contains("user namespace at depth 33"), "{}", f.sentence);
    let f = judge(CLONE_NEWPID, depths(0, 32)).unwrap();
    assert_eq!((f.confidence, f.limit), (Confidence::Proven, Some(32)));
}

#[test]
fn a_level_that_was_not_asked_for_or_has_room_is_not_it() {
    assert!(judge(CLONE_NEWUSER, depths(32, 32)).is_none());
    assert!(judge(CLONE_NEWPID, depths(33, 31)).is_none());
    assert!(judge(0x4000_0000, depths(33, 32)).is_none(), "a network namespace");
    assert!(judge(CLONE_NEWUSER, vec![]).is_none(), "nothing read, nothing claimed");
}

#[test]
fn a_counter_that_is_full_too_is_a_rival_of_the_pid_depth_alone() {
    let full = |depths: Vec<Reading>| [depths, vec![reading(&namespaces::UTS, 1, 1)]].concat();
    assert_eq!(
        judge(CLONE_NEWPID | 0x0400_0000, full(depths(0, 32))).unwrap().confidence,
        Confidence::Likely
    );
    assert_eq!(
        judge(CLONE_NEWUSER | 0x0400_0000, full(depths(33, 0))).unwrap().confidence,
        Confidence::Proven
    );
}
