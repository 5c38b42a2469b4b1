//! What max-namespaces claims, and the neighbours it must not claim.

use super::*;
use crate::causes::case::testing::{decided_by, incident, judge_with, reading};
use crate::limits::namespaces::{NET, USER};
use crate::model::{ArgValue, FailureKind, Incident};

const NEWNET: u64 = 0x4000_0000;
const NEWPID: u64 = 0x2000_0000;

fn asked(call: &str, flags: u64, readings: Vec<Reading>) -> Incident {
    let mut i = incident(call, Errno::ENOSPC, readings);
    let FailureKind::Syscall { args, .. } = &mut i.failure.kind else { unreachable!() };
    args[0].value = ArgValue::Number(flags);
    i
}

fn net(usage: u64, ceiling: u64) -> Reading {
    let mut r = reading(&NET, usage, ceiling);
    r.scope = "user namespace 4026531837".into();
    r
}

#[test]
fn proven_and_the_refusing_user_namespace_is_named() {
    let mut i = asked("unshare", NEWNET, vec![net(5, 5)]);
    i.failure.task.user_ns = Some(4_026_532_999);
    let f = judge_with(&CAUSE, &i).unwrap();
    assert_eq!(f.confidence, Confidence::Proven, "{f:#?}");
    assert_eq!(f.knob.name, "user.max_net_namespaces");
    assert_eq!(
        f.sentence,
        "In user namespace 4026531837, one around its own, the user of java has 5 network namespaces, and \
         user.max_net_namespaces there allows 5."
    );
}

#[test]
fn room_everywhere_is_not_claimed() {
    assert!(judge_with(&CAUSE, &asked("unshare", NEWNET, vec![net(4, 5)])).is_none());
}

#[test]
fn of_several_types_the_full_one_is_named() {
    let user = reading(&USER, 1, 100);
    let f = judge_with(&CAUSE, &asked("unshare", NEWNET, vec![user, net(0, 0)])).unwrap();
    assert_eq!((f.knob.name.as_str(), f.limit), ("user.max_net_namespaces", Some(0)));
}

#[test]
fn another_errno_or_call_is_not_claimed() {
    let mut i = asked("unshare", NEWNET, vec![net(5, 5)]);
    let FailureKind::Syscall { errno, .. } = &mut i.failure.kind else { unreachable!() };
    *errno = Errno::EPERM;
    assert!(judge_with(&CAUSE, &i).is_none());
    assert!(judge_with(&CAUSE, &asked("mount", NEWNET, vec![net(5, 5)])).is_none());
}

#[test]
fn a_depth_that_is_used_up_or_unknown_lowers_it() {
    let depth = |level| reading(&PID_DEPTH, level, 32);
    let f = |readings| judge_with(&CAUSE, &asked("unshare", NEWNET | NEWPID, readings)).unwrap();
    assert_eq!(f(vec![net(5, 5), depth(32)]).confidence, Confidence::Likely);
    assert_eq!(f(vec![net(5, 5)]).confidence, Confidence::Likely);
    assert_eq!(f(vec![net(5, 5), depth(31)]).confidence, Confidence::Proven);
}

#[test]
fn depth_alone_is_another_cause() {
    let readings = vec![reading(&PID_DEPTH, 32, 32)];
    assert!(judge_with(&CAUSE, &asked("unshare", NEWPID, readings)).is_none());
}

#[test]
fn a_child_for_another_cgroup_is_only_likely() {
    let f = judge_with(&CAUSE, &asked("clone3", NEWNET | 1 << 33, vec![net(5, 5)])).unwrap();
    assert_eq!(f.confidence, Confidence::Likely);
}

#[test]
fn without_readings_it_is_possible_for_namespaces_and_nothing_for_files() {
    assert_eq!(
        judge_with(&CAUSE, &asked("unshare", NEWNET, vec![])).unwrap().confidence,
        Confidence::Possible
    );
    assert!(judge_with(&CAUSE, &asked("fsmount", 0, vec![])).is_none());
}

/// 5.10 has the user's counters where only the hash table leads to them.
#[test]
fn the_maker_that_got_no_counter_says_which_type_it_was() {
    let i = asked("unshare", 0x0400_0000, vec![]);
    let of = |decider: &str| {
        let path = decided_by(decider);
        CAUSE.judge(&Case { incident: &i, path: Some(&path) })
    };
    let f = of("copy_utsname").unwrap();
    assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Likely, "user.max_uts_namespaces"));
    // It has reasons of its own to say so.
    assert_eq!(of("create_user_ns").unwrap().confidence, Confidence::Possible);
    assert!(of("count_mounts").is_none());
}
