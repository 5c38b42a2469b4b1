//! What seccomp claims, and the refusals it must not claim.

use super::*;
use crate::model::{Abi, Errno, Failure, Finding, Host, Incident, Path, Stamp, Task};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = ERRNO | 1;

fn seccomp(values: &[u32]) -> Seccomp {
    let answers = (0..).zip(values).map(|(filter, value)| SeccompAnswer {
        filter,
        length: 12,
        value: *value,
        guessed: false,
    });
    Seccomp {
        from: SeccompSource::Task,
        pid: 7,
        filters: Some(values.len() as u64),
        before: Some("its parent has as many, so they were inherited".into()),
        answers: answers.collect(),
        unread: None,
        after_ns: 1_000_000,
    }
}

fn judge_with(fact: Option<Seccomp>, errno: Errno, path: Option<&Path>) -> Option<Finding> {
    CAUSE.judge(&Case { incident: &incident(fact, errno), path })
}

fn incident(fact: Option<Seccomp>, errno: Errno) -> Incident {
    Incident {
        host: Host::default(),
        container: None,
        failure: Failure {
            time: Stamp::default(),
            task: Task { comm: "app".into(), pid: 7, ..Task::default() },
            kind: FailureKind::Syscall {
                name: "keyctl".into(),
                nr: 250,
                abi: Abi::Native,
                errno,
                args: vec![],
            },
            readings: vec![],
        },
        count: 1,
        last: Stamp::default(),
        step: None,
        graph: None,
        no_graph: None,
        readings: vec![],
        suspects: vec![],
        owners: vec![],
        facts: fact.into_iter().map(Fact::Seccomp).collect(),
        loss: Default::default(),
        cost: None,
    }
}

fn judge(fact: Seccomp) -> Option<Finding> {
    judge_with(Some(fact), Errno::EPERM, None)
}

#[test]
fn a_filter_with_this_very_errno_is_proven() {
    let f = judge(seccomp(&[EPERM])).unwrap();
    assert_eq!(f.confidence, Confidence::Proven);
    assert_eq!((f.knob.kind, f.knob.name.as_str()), (KnobKind::Seccomp, "seccomp"));
    // The strictest of several counts, wherever it stands.
    assert_eq!(judge(seccomp(&[ALLOW, EPERM, ALLOW])).unwrap().confidence, Confidence::Proven);
    assert!(judge_with(Some(seccomp(&[ERRNO | 38])), Errno(libc::ENOSYS), None).is_some());
}

#[test]
fn filters_that_could_not_be_read_are_likely_where_the_call_was_not_entered() {
    let mut incident = incident(None, Errno(libc::EBADF));
    incident.failure.task.filters = Some(crate::model::Filters { mode: 2, count: 1, inherited: false });
    assert!(CAUSE.judge(&Case { incident: &incident, path: None }).is_none(), "no profile answers so");
    incident.facts.push(Fact::State(crate::model::State::not_entered("keyctl")));
    let finding = CAUSE.judge(&Case { incident: &incident, path: None }).unwrap();
    assert_eq!(finding.confidence, Confidence::Likely);
    incident.failure.task.filters = None;
    assert!(CAUSE.judge(&Case { incident: &incident, path: None }).is_none(), "no filters, a tracer");
}

#[test]
fn a_filter_that_lets_it_pass_or_says_something_else_did_not_do_it() {
    assert!(judge(seccomp(&[ALLOW])).is_none());
    assert!(judge(seccomp(&[ERRNO | 38])).is_none(), "another errno");
    assert!(judge(seccomp(&[0x7ffc_0000])).is_none(), "SECCOMP_RET_LOG");
    assert!(judge(seccomp(&[0])).is_none(), "SECCOMP_RET_KILL_THREAD has no errno");
    assert!(judge(seccomp(&[EPERM, 0x8000_0000])).is_none(), "kill the process comes before errno");
    assert!(judge(seccomp(&[])).is_none());
    assert!(judge_with(None, Errno::EPERM, None).is_none(), "no filter, no claim");
}

#[test]
fn what_is_not_known_lowers_it() {
    let lowered = |fact: Seccomp| judge(fact).unwrap().confidence;
    assert_eq!(lowered(Seccomp { before: None, ..seccomp(&[EPERM]) }), Confidence::Likely);
    assert_eq!(lowered(Seccomp { from: SeccompSource::Relative, ..seccomp(&[EPERM]) }), Confidence::Likely);
    assert_eq!(lowered(Seccomp { filters: Some(2), ..seccomp(&[EPERM]) }), Confidence::Likely);
    assert_eq!(lowered(Seccomp { unread: Some("busy".into()), ..seccomp(&[EPERM]) }), Confidence::Likely);
    let mut guessed = seccomp(&[EPERM]);
    guessed.answers[0].guessed = true;
    assert_eq!(lowered(guessed), Confidence::Likely);
    assert_eq!(lowered(seccomp(&[USER_NOTIF])), Confidence::Possible);
}

#[test]
fn a_call_that_entered_the_kernel_was_not_stopped_before_it() {
    let path = Path {
        functions: vec!["__x64_sys_keyctl".into()],
        decider: None,
        decider_method: None,
        note: None,
        returns: vec![],
    };
    assert!(judge_with(Some(seccomp(&[EPERM])), Errno::EPERM, Some(&path)).is_none());
}

#[test]
fn filters_that_could_not_be_read_are_a_suspicion() {
    let seen = |errno, mode| {
        let ended_meanwhile = (errno == Errno::EPERM).then(|| seccomp(&[]));
        let mut incident = incident(ended_meanwhile, errno);
        incident.failure.task.filters = Some(crate::model::Filters { mode, count: 1, inherited: false });
        CAUSE.judge(&Case { incident: &incident, path: None }).map(|f| f.confidence)
    };
    assert_eq!(seen(Errno::EPERM, 2), Some(Confidence::Possible));
    assert_eq!(seen(Errno(libc::ENOSYS), 2), Some(Confidence::Possible));
    assert_eq!(seen(Errno::EPERM, 0), None, "no filter at all");
    assert_eq!(seen(Errno::ENOSPC, 2), None, "no profile answers this");
}
