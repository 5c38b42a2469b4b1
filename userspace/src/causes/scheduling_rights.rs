//! Real-time policies, lower nice values, better I/O classes: CAP_SYS_NICE or a resource limit.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids::{self, CAP_SYS_NICE};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, FIRST_USER_NAMESPACE, KnobKind, Remedy};

const DECIDERS: &[&str] = &[
    "user_check_sched_setscheduler",
    "__sched_setscheduler",
    "set_one_prio",
    "can_nice",
    "__do_sys_nice",
    "ioprio_check_cap",
    "check_same_owner",
];
const CALLERS: &[&str] = &[
    "do_sched_setscheduler",
    "_sched_setscheduler",
    "sched_setattr",
    "capable",
    "ns_capable",
    "ns_capable_common",
    "cap_capable",
];

const FIFO: u64 = 1;
const RR: u64 = 2;
const DEADLINE: u64 = 6;
/// A flag beside the policy (`SCHED_RESET_ON_FORK`).
const RESET_ON_FORK: u64 = 0x4000_0000;

pub(super) static CAUSE: Cause = Cause {
    slug: "scheduling-rights",
    title: "a real-time policy or a better priority needs RLIMIT_RTPRIO, RLIMIT_NICE or CAP_SYS_NICE",
    about: "\
sched_setscheduler(2) with SCHED_FIFO or SCHED_RR fails with EPERM, setpriority(2) and nice(2) with a lower value with
EACCES or EPERM. user_check_sched_setscheduler() and can_nice() in kernel/sched allow up to RLIMIT_RTPRIO and RLIMIT_NICE,
both 0 by default, and anything to CAP_SYS_NICE *of the first user namespace*: root of a rootless container has it in vain.
SCHED_DEADLINE takes the capability in any case. Engines leave CAP_SYS_NICE out.

It surprises audio servers, JACK, DPDK, PTP daemons, MySQL and JVMs (thread priorities) in containers: they run as root
there, and print \"Operation not permitted\" or go on slowly.",
    shows_as: &[
        ("sched_setscheduler", "EPERM"), ("sched_setattr", "EPERM"), ("sched_setparam", "EPERM"), ("setpriority", "EACCES"),
        ("ioprio_set", "EPERM"),
    ],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a real-time policy as a user without capabilities",
        risk: "none: only this process is refused something",
        variants: &["fifo"],
    },
    see: &["sched(7), Privileges and resource limits", "kernel/sched/syscalls.c: user_check_sched_setscheduler()"],
};

/// Which resource limit would do instead of the capability.
fn limit(case: &Case<'_>, call: &str) -> Option<&'static str> {
    match call {
        "setpriority" => Some("RLIMIT_NICE"),
        "ioprio_set" => None,
        "sched_setscheduler" | "sched_setattr" => match policy(case).unwrap_or(FIFO) {
            FIFO | RR => Some("RLIMIT_RTPRIO"),
            DEADLINE => None,
            _ => Some("RLIMIT_NICE"),
        },
        _ => Some("RLIMIT_RTPRIO"),
    }
}

/// The policy asked for: an argument, or in the structure that sched_setattr(2) was given.
fn policy(case: &Case<'_>) -> Option<u64> {
    let read = || case.value("sched_attr policy");
    case.failure().number_arg("policy").or_else(read).map(|policy| policy & !RESET_ON_FORK)
}

/// Whether the call is about the caller itself: the limits of another process count for that one, and it may be
/// somebody else's, for which no limit is enough (`check_same_owner()`).
fn about_itself(case: &Case<'_>) -> bool {
    let task = &case.failure().task;
    let named = ["pid", "who"].iter().find_map(|name| case.failure().number_arg(name));
    named.is_none_or(|pid| [0, u64::from(task.pid), u64::from(task.tid)].contains(&pid))
}

/// setpriority(2) says EACCES for a limit; its EPERM is about another user's process (`set_one_prio()`).
fn explain(case: &Case<'_>) -> Option<Proof> {
    let calls = ["sched_setscheduler", "sched_setattr", "sched_setparam", "ioprio_set"];
    let call = case.denied(&calls, Errno::EPERM).or_else(|| case.denied(&["setpriority"], Errno::EACCES))?;
    // capable() asks in the first user namespace: root of another one holds it in vain.
    let own = ids::has(case, CAP_SYS_NICE);
    let inside = case.failure().task.user_ns.is_some_and(|ns| ns != FIRST_USER_NAMESPACE);
    let has = own.map(|has| has && !inside);
    let lacks = if own == Some(true) {
        "its CAP_SYS_NICE counts in its user namespace only"
    } else {
        "it lacks CAP_SYS_NICE"
    };
    let limit = limit(case, call);
    let most = limit.and_then(|name| case.state(name)).and_then(|s| s.value.parse::<u64>().ok());
    let state = match (has, limit, most) {
        (Some(true), ..) => Some(false),
        // With room up to some priority the one that was asked for would have to be known.
        (Some(false), Some(_), Some(0)) | (Some(false), None, _) => Some(true),
        _ => None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let pid = case.failure().task.pid;
    let (sentence, knob) = match limit {
        Some(name) => {
            let most = most.map_or_else(String::new, |n| format!(" ({n})"));
            (
                format!("{who} asked {call} for more than its {name}{most} allows, and {lacks}."),
                knob(KnobKind::Rlimit, name, format!("/proc/{pid}/limits")),
            )
        }
        None => (
            format!("{who} asked {call} for a scheduling that takes CAP_SYS_NICE, and {lacks}."),
            knob(KnobKind::Capability, "CAP_SYS_NICE", format!("/proc/{pid}/status")),
        ),
    };
    let lines = ids::cite(case, "CAP_SYS_NICE", CAP_SYS_NICE)
        .into_iter()
        .chain(limit.and_then(|n| cite_state(case, n)));
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob).because(lines);
    proof.limit = most;
    if !about_itself(case) {
        proof =
            proof.at_most(Confidence::Likely, "whose process it is that was to be scheduled, and its limits");
    }
    if call == "sched_setattr" && policy(case).is_none() {
        proof = proof.at_most(Confidence::Likely, "the policy in the structure it gave");
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let flag = if proof.knob.name == "RLIMIT_NICE" { "nice" } else { "rtprio" };
    vec![
        step(
            "now",
            format!("docker run --ulimit {flag}=99 … (a service: Limit{}=99)", flag.to_uppercase()),
            "for this container alone; a real-time task that never sleeps takes its processor from all others",
            "start it without the option",
        ),
        step(
            "for good",
            "docker run --cap-add SYS_NICE …",
            "any policy and priority, for other processes of the container too",
            "start it without the option",
        ),
        look(
            "prlimit --rtprio --nice -p PID; cat /proc/sys/kernel/sched_rt_runtime_us",
            "the limits of the process, and how much of a second real-time tasks may take",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{arg, called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::Incident;

    fn asked(policy: u64, caps: &str) -> Incident {
        let mut i = called("sched_setscheduler", libc::EPERM, 0);
        arg(&mut i, "policy", policy);
        state(&mut i, "CapEff", caps);
        state(&mut i, "RLIMIT_RTPRIO", "0");
        i
    }

    #[test]
    fn no_limit_and_no_capability_is_the_cause() {
        let f = judge_with(&CAUSE, &asked(FIFO, "0000000000000000")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "RLIMIT_RTPRIO"));
        let f = judge_with(&CAUSE, &asked(DEADLINE, "0000000000000000")).unwrap();
        assert_eq!(f.knob.name, "CAP_SYS_NICE");
    }

    #[test]
    fn sched_setattr_has_its_policy_in_a_structure() {
        let mut i = called("sched_setattr", libc::EPERM, 0);
        state(&mut i, "CapEff", "0000000000000000");
        state(&mut i, "RLIMIT_RTPRIO", "0");
        let judged = |i: &Incident| judge_with(&CAUSE, i).map(|f| (f.confidence, f.knob.name));
        assert_eq!(judged(&i), Some((Confidence::Likely, "RLIMIT_RTPRIO".into())), "any policy");
        state(&mut i, "sched_attr policy", "6");
        assert_eq!(judged(&i), Some((Confidence::Proven, "CAP_SYS_NICE".into())));
    }

    #[test]
    fn of_another_process_no_limit_is_a_proof() {
        let mut i = asked(FIFO, "0000000000000000");
        arg(&mut i, "pid", 4242);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Likely);
        let mut own = asked(FIFO, "0000000000000000");
        arg(&mut own, "pid", 0);
        assert_eq!(judge_with(&CAUSE, &own).unwrap().confidence, Confidence::Proven);
        assert!(judge_with(&CAUSE, &called("setpriority", libc::EPERM, 0)).is_none());
    }

    #[test]
    fn the_capability_of_a_user_namespace_does_not_count() {
        let mut i = asked(FIFO, "000001ffffffffff");
        i.failure.task.user_ns = Some(4_026_532_000);
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "RLIMIT_RTPRIO"));
        assert!(f.sentence.contains("in its user namespace only"), "{}", f.sentence);
        i.failure.task.user_ns = Some(FIRST_USER_NAMESPACE);
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn who_has_the_capability_is_no_case() {
        assert!(judge_with(&CAUSE, &asked(FIFO, "000001ffffffffff")).is_none());
        assert!(judge_with(&CAUSE, &called("sched_setscheduler", libc::EINVAL, 0)).is_none());
    }
}
