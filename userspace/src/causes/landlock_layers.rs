//! A task has as many Landlock domains inside each other as there can be.

use super::case::rights::{refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "landlock-layers",
    title: "too many Landlock domains inside each other",
    about: "\
landlock_restrict_self(2) says E2BIG, \"Argument list too long\", which has nothing to do with arguments: each call adds \
a layer that stays with the process and its children, and there can be 16 of them. A sandboxed program that restricts \
itself again in each child, in a container whose engine adds a layer too, gets there. landlock_add_rule(2) says E2BIG \
when a ruleset has its 2³² rules.",
    shows_as: &[("landlock_restrict_self", "E2BIG")],
    deciders: &["landlock_merge_ruleset", "create_ruleset"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "restricts a child by Landlock until it is refused",
        risk: "none: the layers end with the child",
        variants: &["layers"],
    },
    see: &[
        "https://docs.kernel.org/userspace-api/landlock.html",
        "security/landlock/ruleset.c: landlock_merge_ruleset(); limits.h: LANDLOCK_MAX_NUM_LAYERS",
    ],
};

/// `LANDLOCK_MAX_NUM_LAYERS` (security/landlock/limits.h).
const MOST: u64 = 16;

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["landlock_restrict_self"], &[libc::E2BIG])?;
    let evidence =
        case.verdict(CAUSE.deciders).map(|v| format!("{} said no (found by {})", v.function, v.method));
    Some(Proof {
        // landlock_restrict_self(2) has no other way to this errno.
        confidence: Confidence::Proven,
        sentence: format!(
            "{} has {MOST} Landlock domains inside each other already, and no more can be.",
            case.failure().task.comm
        ),
        knob: Knob { kind: KnobKind::Other, name: "LANDLOCK_MAX_NUM_LAYERS".into(), path: String::new() },
        limit: Some(MOST),
        usage: Some(MOST),
        unit: "layers".into(),
        evidence: evidence
            .into_iter()
            .chain(["landlock_restrict_self(2) says E2BIG for nothing else (security/landlock/ruleset.c)"
                .to_owned()])
            .collect(),
        missing: vec![],
    })
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![Remedy {
        when: "for good".into(),
        command: "restrict once, with one ruleset that says all, before children are started".into(),
        effect: "layers only add up within a process and its descendants; there is no knob".into(),
        undo: String::new(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};
    use crate::model::Errno;

    #[test]
    fn only_this_call_and_errno() {
        let f = judge_with(&CAUSE, &with_object("landlock_restrict_self", Errno(libc::E2BIG), file("/", 0)))
            .unwrap();
        assert_eq!((f.confidence, f.limit), (Confidence::Proven, Some(16)));
        assert_eq!(
            judge_with(&CAUSE, &with_object("landlock_restrict_self", Errno::EPERM, file("/", 0))),
            None
        );
        assert_eq!(judge_with(&CAUSE, &with_object("execve", Errno(libc::E2BIG), file("/", 0))), None);
    }
}
