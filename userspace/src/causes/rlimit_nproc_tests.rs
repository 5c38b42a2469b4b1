//! What rlimit-nproc claims, and the neighbours it must not claim.

use super::*;
use crate::causes::case::testing::{incident, judge_with, reading, unlimited};
use crate::model::Confidence;

fn over(used: u64, most: u64, adds: u64) -> Reading {
    let mut r = reading(&NPROC, used, most);
    r.adds = Some(adds);
    r.scope = "user namespace 4026531837".into();
    r
}

#[test]
fn proven_when_the_user_was_at_the_limit_and_all_else_had_room() {
    let i = incident("clone", Errno::EAGAIN, [vec![over(3, 3, 1)], unlimited(&NPROC)].concat());
    let f = judge_with(&CAUSE, &i).unwrap();
    assert_eq!(f.confidence, Confidence::Proven, "{f:#?}");
    assert_eq!((f.limit, f.usage), (Some(3), Some(3)));
}

#[test]
fn who_is_exempt_is_not_claimed() {
    let i = incident("clone", Errno::EAGAIN, vec![over(0, u64::MAX, 1)]);
    assert!(judge_with(&CAUSE, &i).is_none());
}

#[test]
fn execve_needs_more_than_the_limit_and_has_no_rivals() {
    let at = incident("execve", Errno::EAGAIN, vec![over(3, 3, 0)]);
    assert!(judge_with(&CAUSE, &at).is_none());
    let above = incident("execve", Errno::EAGAIN, vec![over(4, 3, 0)]);
    assert_eq!(judge_with(&CAUSE, &above).unwrap().confidence, Confidence::Proven);
}

#[test]
fn a_full_cgroup_is_a_rival() {
    let mut readings = vec![over(3, 3, 1), reading(&PIDS_MAX, 9, 9)];
    readings.extend(unlimited(&NPROC).into_iter().filter(|r| r.limit != PIDS_MAX.id));
    let f = judge_with(&CAUSE, &incident("clone", Errno::EAGAIN, readings)).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
    assert!(f.missing[0].contains("pids.max"));
}

#[test]
fn another_errno_or_call_is_not_claimed() {
    for (call, errno) in [("clone", Errno::ENOMEM), ("unshare", Errno::EAGAIN), ("execve", Errno::EACCES)] {
        assert!(judge_with(&CAUSE, &incident(call, errno, vec![over(3, 3, 1)])).is_none());
    }
}
