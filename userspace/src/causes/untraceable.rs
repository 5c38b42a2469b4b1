//! A process that has a tracer already, or that nobody may trace.

use super::case::claim::{self, cite_state, knob, step};
use super::case::rights::{Holds, Scope, holds, identity};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["ptrace_attach"];
const CALLERS: &[&str] = &["__x64_sys_ptrace", "__do_sys_ptrace", "__se_sys_ptrace", "ptrace_set_stopped"];
const TRACER: &str = "target tracer";
const KERNEL: &str = "target kernel thread";
const SCOPE: &str = "kernel.yama.ptrace_scope";
/// PTRACE_ATTACH, PTRACE_SEIZE (linux/ptrace.h).
const ATTACHES: &[u64] = &[16, 0x4206];

pub(super) static CAUSE: Cause = Cause {
    slug: "untraceable",
    title: "the process has a tracer already, or cannot be traced",
    about: "\
ptrace(2) fails with EPERM, \"Operation not permitted\" (\"Could not attach to process\", \"ptrace(PTRACE_SEIZE): Operation not \
permitted\"), and root with all capabilities fares no better: ptrace_attach() in kernel/ptrace.c lets a process have one tracer \
only, and kernel threads none. gdb, strace, dlv, rr, a profiler, a crash reporter and gVisor's or Wine's helpers all are tracers; \
a program may also be traced by its own parent or child, so that nobody else looks into it.

It surprises because the same errno means that the caller may not trace at all (CAP_SYS_PTRACE, kernel.yama.ptrace_scope), which \
is what every guide treats.",
    shows_as: &[("ptrace", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[
        FILTER,
        Rival {
            name: "the caller may not trace the process at all",
            ruled_out_by: "the same user or CAP_SYS_PTRACE, and a Yama scope that lets it",
            stands: rights_stand,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "traces a child of its own, and lets another child try the same",
        risk: "none",
        variants: &["traced", "kernel-thread"],
    },
    see: &["ptrace(2), EPERM; proc_pid_status(5), TracerPid", "kernel/ptrace.c: ptrace_attach()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["ptrace"], Errno::EPERM)?;
    if !case.failure().number_arg("op").is_some_and(|op| ATTACHES.contains(&op)) {
        return None;
    }
    let tracer = case.state(TRACER).filter(|s| !s.value.is_empty() && s.value != "0");
    let kernel = case.state(KERNEL).filter(|s| s.value == "yes");
    let what = tracer.or(kernel)?;
    let weighed = claim::weigh(case, DECIDERS, CALLERS, Some(true))?;
    let who = &case.failure().task.comm;
    let sentence = match tracer.filter(|_| kernel.is_none()) {
        Some(s) => format!("{who} wants to trace {}, which process {} traces already.", s.of, s.value),
        None => format!("{who} wants to trace {}, a thread of the kernel: nobody may.", what.of),
    };
    let name = if kernel.is_some() { "kernel thread" } else { "TracerPid" };
    let knob = knob(KnobKind::Other, name, what.source.clone());
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob)
            .because([TRACER, KERNEL].iter().filter_map(|n| cite_state(case, n))),
    )
}

/// `__ptrace_may_access()` and Yama are asked before the tracer is looked at, but for kernel threads.
fn rights_stand(case: &Case<'_>) -> Option<String> {
    if case.state(KERNEL).is_some_and(|s| s.value == "yes") || case.verdict(DECIDERS).is_some() {
        return None;
    }
    if holds(case, "CAP_SYS_PTRACE", Scope::Own) == Holds::Yes {
        return None;
    }
    let own = identity(case).map(|who| who.uids[0]);
    let same = case
        .state("target user")
        .zip(own)
        .is_some_and(|(target, own)| target.value.split(' ').all(|id| id.parse() == Ok(own)));
    if !same {
        return Some("the process is another user's, and CAP_SYS_PTRACE is not known to be held".into());
    }
    let free = case.state(SCOPE).is_none_or(|s| s.value == "0")
        || case.state("target descends").is_some_and(|s| s.value == "yes");
    (!free).then(|| format!("{SCOPE} may forbid it"))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.name != "TracerPid" {
        return vec![step(
            "now",
            "cat /proc/PID/stack; perf top",
            "what threads of the kernel do is seen there, by root of the machine",
            "reads only",
        )];
    }
    let tracer = case.state(TRACER).map_or("PID", |s| s.value.as_str());
    vec![
        step("find it", format!("ps -fp {tracer}"), "the tracer, as the host numbers it", "reads only"),
        step(
            "now",
            format!("detach there (gdb: detach, strace: ctrl-c), or kill {tracer}"),
            "ends the tracing; a process whose tracer set PTRACE_O_EXITKILL ends with it",
            "attach again",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, judge_with, state, valued};
    use crate::model::{Confidence, Incident};

    fn attach(op: u64, tracer: &str, kernel: &str, capabilities: u64) -> Incident {
        let mut i =
            by_user(valued("ptrace", Errno::EPERM, &[("op", op), ("pid", 9)], &[], vec![]), 0, capabilities);
        i.facts.push(state(TRACER, "process 9 (app)", tracer));
        i.facts.push(state(KERNEL, "process 9 (app)", kernel));
        i
    }

    #[test]
    fn a_tracer_proves_it_for_who_might_trace() {
        let f = judge_with(&CAUSE, &attach(16, "42", "no", u64::MAX)).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "TracerPid"));
        assert!(f.remedy[0].command.contains("42"));
        let without = judge_with(&CAUSE, &attach(16, "42", "no", 0)).unwrap();
        assert_eq!(
            without.confidence,
            Confidence::Likely,
            "another user's process: the right may be missing"
        );
        assert_eq!(
            judge_with(&CAUSE, &attach(0x4206, "0", "yes", 0)).map(|f| f.confidence),
            Some(Confidence::Proven)
        );
    }

    #[test]
    fn without_a_tracer_and_for_other_operations_it_is_not_claimed() {
        assert_eq!(judge_with(&CAUSE, &attach(16, "0", "no", u64::MAX)), None);
        assert_eq!(judge_with(&CAUSE, &attach(7, "42", "no", u64::MAX)), None);
    }
}
