//! A resource limit may not be raised above its hard limit.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::{descriptors::NR_OPEN, priorities::HARD_LIMIT};
use crate::model::{ArgValue, Errno, Knob, KnobKind, Reading, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &HARD_LIMIT,
    deciders: &["do_prlimit"],
    callers: &[
        "__x64_sys_prlimit64",
        "__do_sys_prlimit64",
        "__x64_sys_setrlimit",
        "capable",
        "security_task_setrlimit",
        "check_prlimit_permission",
    ],
};

const CALLS: &[&str] = &["prlimit64", "setrlimit"];

const SYS_RESOURCE: u64 = 1 << 24;

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-raise",
    title: "a resource limit may not be raised above its hard limit (CAP_SYS_RESOURCE)",
    about: "\
setrlimit(2), prlimit(2), ulimit, or the start of a container with --ulimit fails with EPERM, \"Operation not permitted\": do_prlimit()
in kernel/sys.c asks for CAP_SYS_RESOURCE in the first user namespace before a hard limit goes up. Containers do not have it
by default, and rootless engines never can: their root is not the host's. Lowering is always allowed, and cannot be undone.",
    shows_as: &[("prlimit64", "EPERM"), ("setrlimit", "EPERM")],
    deciders: &["do_prlimit"],
    reads: &[&HARD_LIMIT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "drops CAP_SYS_RESOURCE and asks for a higher hard limit",
        risk: "none: the limit is that of a process which ends at once",
        variants: &[],
    },
    see: &[
        "getrlimit(2), EPERM",
        "kernel/sys.c: do_prlimit()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EPERM)?;
    if case.capable(SYS_RESOURCE) == Some(true) || above_the_highest(case) {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The hard limit {} was to become {used}; it is {most}, and the task has no CAP_SYS_RESOURCE on the host.",
        resource(case)
    );
    let mut proof = judged.proof(case, &CEILING, sentence);
    if case.capable(SYS_RESOURCE).is_none() {
        proof.confidence = proof.confidence.min(crate::model::Confidence::Likely);
        proof.missing.push("whether the task had CAP_SYS_RESOURCE".into());
    }
    proof.knob = Knob { kind: KnobKind::Capability, name: "CAP_SYS_RESOURCE".into(), path: String::new() };
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = vec![remedies::step(
        "now",
        "ask for no more than the hard limit that the engine hands on",
        "ulimit -Ha shows it",
        "none",
    )];
    all.extend(remedies::rlimit(
        "…",
        "-H",
        "<value>",
        "set it where the container is started; for the engine itself in its unit (LimitNOFILE= …)",
    ));
    all.extend(remedies::capability(
        "CAP_SYS_RESOURCE",
        "the container may exceed many limits, quotas among them",
    ));
    all
}

fn resource(case: &Case<'_>) -> String {
    case.failure().args().iter().find(|a| a.name == "resource").map_or_else(String::new, |a| match &a.value {
        ArgValue::Flags { words, .. } => words.clone(),
        _ => String::new(),
    })
}

/// That refusal spares nobody, and has a cause of its own.
fn above_the_highest(case: &Case<'_>) -> bool {
    case.reading(&NR_OPEN).and_then(Reading::exceeded) == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::Confidence;

    fn judged(capabilities: u64, readings: Vec<Reading>) -> Option<Confidence> {
        let values = [("CapEff", capabilities)];
        judge_with(&CAUSE, &valued("prlimit64", Errno::EPERM, &[], &values, readings)).map(|f| f.confidence)
    }

    #[test]
    fn raising_without_the_capability_is_proven() {
        assert_eq!(judged(0, vec![over(&HARD_LIMIT, 0, 64, 128)]), Some(Confidence::Proven));
        assert_eq!(judged(SYS_RESOURCE, vec![over(&HARD_LIMIT, 0, 64, 128)]), None);
        assert_eq!(judged(0, vec![over(&HARD_LIMIT, 0, 64, 32)]), None);
    }

    #[test]
    fn what_nobody_may_is_another_cause() {
        let readings = vec![over(&HARD_LIMIT, 0, 64, 1 << 30), over(&NR_OPEN, 0, 1 << 20, 1 << 30)];
        assert_eq!(judged(0, readings), None);
    }

    #[test]
    fn the_knob_is_the_capability() {
        let i = valued("prlimit64", Errno::EPERM, &[], &[("CapEff", 0)], vec![over(&HARD_LIMIT, 0, 64, 128)]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "CAP_SYS_RESOURCE");
    }
}
