//! Arguments and environment are too large for a new program.

use super::case::ceiling;
use super::case::rights::{refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::Limit;
use crate::limits::{
    exec::{ARGUMENT, ARGUMENTS},
    rlimits::STACK,
};
use crate::model::{Confidence, Knob, Reading, Remedy, spaced};

pub(super) static CAUSE: Cause = Cause {
    slug: "exec-arguments",
    title: "arguments and environment are too large",
    about: "\
execve(2) says E2BIG, \"Argument list too long\". There are two limits, and memory is none of them. A single argument or \
environment variable may have 128 KiB (MAX_ARG_STRLEN, a constant): one large JSON in an environment variable is enough, \
and no ulimit helps. All of them together, with a pointer for each, may take a quarter of RLIMIT_STACK, at most 6 MiB: \
`rm *` in a large folder, or hundreds of variables that Kubernetes adds for each service of a namespace. Each program \
that is started carries the whole environment again, so the first that fails may be a harmless one.",
    shows_as: &[("execve", "E2BIG"), ("execveat", "E2BIG")],
    deciders: &["copy_strings", "bprm_stack_limits", "bprm_hit_stack_limit", "copy_string_kernel"],
    reads: &[&ARGUMENT, &ARGUMENTS],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "starts a program with one argument, or all together, beyond the limit",
        risk: "none: the program is never started",
        variants: &["one", "all"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man2/execve.2.html",
        "fs/exec.c: copy_strings(), bprm_stack_limits(); include/uapi/linux/binfmts.h: MAX_ARG_STRLEN",
    ],
};

/// More than the ceiling was asked for. The stack's share is used up to the last byte at most.
fn over(reading: &Reading) -> Option<bool> {
    Some(reading.usage? > reading.ceiling?)
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["execve", "execveat"], &[libc::E2BIG])?;
    let readings =
        |limit: &'static Limit| case.reading(limit).and_then(|r| over(r).map(|over| (limit, r, over)));
    let (one, all) = (readings(&ARGUMENT), readings(&ARGUMENTS));
    // A string that is too long is met before the sum is, or after: it alone is enough.
    let guilty = one.filter(|(_, _, over)| *over).or_else(|| all.filter(|(_, _, over)| *over));
    let mut missing = Vec::new();
    let (limit, confidence, sentence) = match guilty {
        Some((limit, reading, _)) => {
            let (used, most) = (spaced(reading.usage?), spaced(reading.ceiling?));
            let sentence = if std::ptr::eq(limit, &ARGUMENT) {
                format!(
                    "One argument or environment variable has {used} bytes, and no more than {most} are allowed."
                )
            } else {
                format!(
                    "Arguments and environment take {used} bytes together, and a quarter of RLIMIT_STACK, here {most}, \
                     is allowed."
                )
            };
            (limit, Confidence::Proven, sentence)
        }
        // Measured, and neither is over: other threads may have changed them, or a script's first line adds to it.
        None if one.is_some() && all.is_some() => return None,
        None => {
            missing.push("the lengths of arguments and environment at that instant".into());
            (
                &ARGUMENTS,
                Confidence::Possible,
                "Arguments and environment are too large for a new program.".to_owned(),
            )
        }
    };
    let knob = if std::ptr::eq(limit, &ARGUMENTS) { STACK.id } else { limit.id };
    let reading = guilty.map(|(_, reading, _)| reading);
    let mut evidence: Vec<String> = reading.map(ceiling::cite).into_iter().collect();
    evidence.extend(
        case.verdict(CAUSE.deciders).map(|v| format!("{} said no (found by {})", v.function, v.method)),
    );
    Some(Proof {
        confidence,
        sentence,
        knob: Knob { kind: limit.kind, name: knob.into(), path: limit.path() },
        limit: reading.and_then(|r| r.ceiling),
        usage: reading.and_then(|r| r.usage),
        unit: limit.unit.into(),
        evidence,
        missing,
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.name == ARGUMENT.id {
        return vec![Remedy {
            when: "for good".into(),
            command: "hand the value over in a file, a mounted secret, or on standard input".into(),
            effect: "the limit of one string is a constant of the kernel".into(),
            undo: String::new(),
        }];
    }
    vec![
        Remedy {
            when: "now".into(),
            command: "ulimit -s 65536".into(),
            effect: "in the shell that starts it, up to the hard limit: four times what is needed, at most 6 MiB count; \
                     docker run --ulimit stack=67108864"
                .into(),
            undo: "ulimit -s 8192".into(),
        },
        Remedy {
            when: "for good".into(),
            command: "xargs, find -exec … +, or a list in a file; enableServiceLinks: false in Kubernetes".into(),
            effect: "fewer arguments at once, a smaller environment".into(),
            undo: String::new(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, reading};
    use crate::model::{Errno, Filters, Finding, Taken};

    fn judge(one: u64, all: u64, room: u64) -> Option<Finding> {
        let taken = Taken::After { ns: 1 };
        let readings = vec![
            Reading { taken, adds: Some(0), ..reading(&ARGUMENT, one, 131_072) },
            Reading { taken, adds: Some(0), ..reading(&ARGUMENTS, all, room) },
        ];
        let mut incident = incident("execve", Errno(libc::E2BIG), readings);
        incident.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        judge_with(&CAUSE, &incident)
    }

    #[test]
    fn the_limit_that_was_met_is_told_from_the_other() {
        let one = judge(140_000, 141_000, 2 << 20).unwrap();
        assert_eq!((one.knob.name.as_str(), one.confidence), ("MAX_ARG_STRLEN", Confidence::Proven));
        let all = judge(100_001, 400_100, 262_144).unwrap();
        assert_eq!(
            (all.knob.name.as_str(), all.confidence, all.limit),
            ("RLIMIT_STACK", Confidence::Proven, Some(262_144))
        );
    }

    #[test]
    fn with_room_in_both_it_is_something_else_and_unmeasured_it_is_possible() {
        assert_eq!(judge(100, 1000, 2 << 20), None);
        let bare = incident("execve", Errno(libc::E2BIG), vec![]);
        assert_eq!(judge_with(&CAUSE, &bare).unwrap().confidence, Confidence::Possible);
        assert_eq!(judge_with(&CAUSE, &incident("msgsnd", Errno(libc::E2BIG), vec![])), None);
    }
}
