//! What a deadline task must not do, or be: bound to some processors only, a parent.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::switch::FILTER;
use super::case::tasks::{self, POLICY};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::tasks::{NPROC, PID_MAX, PIDS_MAX, THREADS_MAX};
use crate::model::{Errno, Knob, KnobKind, Reading, Remedy, number_list};

const DEADLINE: u64 = 6;
const SYS_NICE: u64 = 1 << 23;
const DECIDERS: &[&str] = &[
    "__sched_setscheduler",
    "dl_task_check_affinity",
    "__sched_setaffinity",
    "sched_setaffinity",
    "sched_fork",
];
const CALLERS: &[&str] = &[
    "__do_sys_sched_setattr",
    "__x64_sys_sched_setattr",
    "__x64_sys_sched_setaffinity",
    "__do_sys_sched_setaffinity",
    "copy_process",
    "kernel_clone",
    "_do_fork",
    "sched_setattr",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "deadline-rules",
    title: "a deadline task must be free to run on every processor, and may not fork",
    about: "\
sched_setattr(2) with SCHED_DEADLINE fails with EPERM although the caller is root with CAP_SYS_NICE; sched_setaffinity(2) of a \
deadline task fails with EBUSY; clone(2) and fork(2) by one fail with EAGAIN. The kernel guarantees bandwidth for all processors \
of a root domain together, so __sched_setscheduler() in kernel/sched refuses a task whose mask does not hold them all, and \
dl_task_check_affinity() a mask that would not; and sched_fork() refuses a child that would double what is reserved, unless the \
task has SCHED_FLAG_RESET_ON_FORK.

It surprises in containers with --cpuset-cpus: there no task can have the policy, whatever its rights, unless the cpuset is a \
partition of its own (cpuset.cpus.partition, an exclusive cpuset on version 1). And EAGAIN looks like a limit of processes.",
    shows_as: &[("sched_setattr", "EPERM"), ("sched_setaffinity", "EBUSY"), ("clone", "EAGAIN"), ("clone3", "EAGAIN")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[
        FILTER,
        Rival {
            name: "a limit of processes (clone)",
            ruled_out_by: "readings of that instant with room",
            stands: a_limit_stands,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for the policy while it is bound to one processor; has it, and binds itself or forks",
        risk: "none: this process reserves a hundredth of a processor until it ends",
        variants: &["bound", "bind", "fork"],
    },
    see: &[
        "sched(7), SCHED_DEADLINE; sched_setattr(2), EPERM; sched_setaffinity(2); fork(2), EAGAIN",
        "kernel/sched/syscalls.c: __sched_setscheduler(), dl_task_check_affinity(); kernel/sched/core.c: sched_fork()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let (state, why, knob) = match (call, errno) {
        ("sched_setattr", Errno::EPERM) => bound(case)?,
        ("sched_setaffinity", Errno::EBUSY) => binding(case),
        _ if tasks::refused(case) => forking(case)?,
        _ => return None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let lines = [
        "Cpus_allowed_list",
        "processors asked for",
        "processors online",
        "kernel.sched_rt_runtime_us",
        "policy of the task",
        "reset on fork",
    ];
    let who = &case.failure().task.comm;
    let proof = weighed.proof(case, DECIDERS, format!("{who} {why}."), knob);
    Some(proof.because(lines.into_iter().filter_map(|name| cite_state(case, name))))
}

type Judged = (Option<bool>, String, Knob);

/// Some processor that is online is not in the mask. In a partition of the cpuset the mask need only hold that, and then
/// the call succeeds.
fn lacks(case: &Case<'_>, mask: &str) -> Option<bool> {
    let (mask, online) =
        (number_list(&case.state(mask)?.value)?, number_list(&case.state("processors online")?.value)?);
    Some(!online.is_subset(&mask))
}

/// EPERM: only where CAP_SYS_NICE, which is asked first and in the first user namespace, is not the reason.
fn bound(case: &Case<'_>) -> Option<Judged> {
    if case.value("sched_attr policy")? != DEADLINE || case.capable(SYS_NICE) == Some(false) {
        return None;
    }
    let able = case.capable(SYS_NICE);
    if case.value("kernel.sched_rt_runtime_us") == Some(0) {
        let knob =
            knob(KnobKind::Sysctl, "kernel.sched_rt_runtime_us", "/proc/sys/kernel/sched_rt_runtime_us");
        return Some((able, "wants SCHED_DEADLINE, and kernel.sched_rt_runtime_us is 0".into(), knob));
    }
    let state = match (lacks(case, "Cpus_allowed_list"), able) {
        (Some(false), _) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    };
    let mask = case.state("Cpus_allowed_list").map_or("some", |s| s.value.as_str());
    let why = format!("wants SCHED_DEADLINE, but may run on processors {mask} only and not on all");
    Some((
        state,
        why,
        knob(KnobKind::Cgroup, "cpuset.cpus", "cpuset.cpus of its cgroup, or its own affinity mask"),
    ))
}

fn binding(case: &Case<'_>) -> Judged {
    let deadline = case.value("policy of the task").map(|policy| policy == DEADLINE);
    let state = match (deadline, lacks(case, "processors asked for")) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    };
    let why =
        "would bind a deadline task to some processors: its bandwidth is guaranteed on all of them together";
    (state, why.into(), policy_knob())
}

fn forking(case: &Case<'_>) -> Option<Judged> {
    let deadline = case.value(POLICY)? == DEADLINE;
    let reset = case.value("reset on fork").map(|flag| flag == 1);
    let state = match (deadline, reset) {
        (false, _) | (_, Some(true)) => return None,
        (true, Some(false)) => Some(true),
        (true, None) => None,
    };
    let why = "has the policy SCHED_DEADLINE without SCHED_FLAG_RESET_ON_FORK, and may not have children or threads";
    Some((state, why.into(), policy_knob()))
}

fn policy_knob() -> Knob {
    knob(KnobKind::Other, "SCHED_DEADLINE", "chrt -p PID")
}

/// Any limit of processes that was reached as well.
fn a_limit_stands(case: &Case<'_>) -> Option<String> {
    let refused = tasks::refused(case);
    [&PIDS_MAX, &NPROC, &THREADS_MAX, &PID_MAX].into_iter().filter(|_| refused).find_map(|limit| {
        let full = case.reading(limit).and_then(Reading::exceeded) == Some(true);
        full.then(|| format!("{} is used up as well", limit.id))
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    if tasks::refused(case) {
        return vec![
            step(
                "now",
                "chrt --deadline --reset-on-fork … (SCHED_FLAG_RESET_ON_FORK in sched_setattr(2))",
                "children are ordinary tasks",
                "leave the flag out",
            ),
            step(
                "or",
                "start threads and children first, then take the policy",
                "needs no flag",
                "nothing to undo",
            ),
        ];
    }
    let mut all = vec![step(
        "now",
        "docker run without --cpuset-cpus; no taskset around the program",
        "the task may run on every processor, as the policy wants it",
        "start it with the option again",
    )];
    if proof.knob.kind == KnobKind::Cgroup {
        all.push(step(
            "for good",
            "echo root > /sys/fs/cgroup/<cgroup>/cpuset.cpus.partition",
            "its processors become a root domain of their own: no other cgroup runs on them, and the policy is allowed inside",
            "echo member > /sys/fs/cgroup/<cgroup>/cpuset.cpus.partition",
        ));
    }
    all.push(look(
        format!("grep Cpus_allowed_list /proc/{pid}/status; cat /sys/devices/system/cpu/online"),
        "where it may run, and what there is",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::state;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Incident};

    fn wants(capabilities: u64, allowed: &str) -> Incident {
        let values = [("sched_attr policy", DEADLINE), ("CapEff", capabilities)];
        let mut i = valued("sched_setattr", Errno::EPERM, &[], &values, vec![]);
        state(&mut i, "processors online", "0-3");
        state(&mut i, "Cpus_allowed_list", allowed);
        i
    }

    #[test]
    fn a_mask_that_lacks_a_processor_is_proven_for_who_has_the_right() {
        let f = judge_with(&CAUSE, &wants(SYS_NICE, "0-1")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cpuset.cpus"));
        assert!(judge_with(&CAUSE, &wants(SYS_NICE, "0-3")).is_none());
        assert!(judge_with(&CAUSE, &wants(0, "0-1")).is_none(), "the capability is asked first");
        let mut off = wants(SYS_NICE, "0-3");
        state(&mut off, "kernel.sched_rt_runtime_us", "0");
        assert_eq!(judge_with(&CAUSE, &off).unwrap().knob.name, "kernel.sched_rt_runtime_us");
    }

    fn binds(policy: &str, asked: &str) -> Option<Confidence> {
        let mut i = valued("sched_setaffinity", Errno::EBUSY, &[], &[], vec![]);
        state(&mut i, "policy of the task", policy);
        state(&mut i, "processors asked for", asked);
        state(&mut i, "processors online", "0-3");
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn binding_a_deadline_task_is_proven_and_another_is_not_claimed() {
        assert_eq!(binds("6", "0"), Some(Confidence::Proven));
        assert_eq!(binds("0", "0"), None);
        assert_eq!(binds("6", "0-3"), None);
    }

    fn forks(policy: u64, reset: Option<&str>, full: bool) -> Option<Confidence> {
        let readings = vec![over(&PIDS_MAX, 10, if full { 10 } else { 100 }, 1)];
        let mut i = valued("clone", Errno::EAGAIN, &[], &[(POLICY, policy)], readings);
        if let Some(reset) = reset {
            state(&mut i, "reset on fork", reset);
        }
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_deadline_task_that_forks_is_proven_unless_its_children_are_ordinary_or_a_limit_is_full() {
        assert_eq!(forks(DEADLINE, Some("0"), false), Some(Confidence::Proven));
        assert_eq!(forks(DEADLINE, Some("0"), true), Some(Confidence::Likely));
        assert_eq!(forks(DEADLINE, None, false), Some(Confidence::Possible));
        assert_eq!(forks(DEADLINE, Some("1"), false), None);
        assert_eq!(forks(0, Some("0"), false), None);
    }
}
