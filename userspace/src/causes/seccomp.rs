//! A seccomp filter answered instead of the kernel.
//!
//! Proven here means: the task's own filters, all of them, were read and run over the call's number,
//! architecture and arguments; the strictest answer is `SECCOMP_RET_ERRNO` with this very errno; and they were
//! there before the call. Such a call does not enter the kernel, so no capability, LSM or limit can have said it.

use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{
    Confidence, Errno, Fact, FailureKind, Knob, KnobKind, Remedy, Seccomp, SeccompAnswer, SeccompSource,
};

/// `SECCOMP_RET_ACTION_FULL`, `SECCOMP_RET_DATA` and actions (linux/seccomp.h).
const ACTION: u32 = 0xffff_0000;
const ERRNO: u32 = 0x0005_0000;
const USER_NOTIF: u32 = 0x7fc0_0000;
const TRACE: u32 = 0x7ff0_0000;
/// `SECCOMP_MODE_FILTER`.
const MODE_FILTER: u32 = 2;
/// `MAX_ERRNO`: larger data is cut to it (`__seccomp_filter()`).
const MOST_ERRNO: u32 = 4095;

pub(super) static CAUSE: Cause = Cause {
    slug: "seccomp",
    title: "a seccomp filter refuses the system call",
    about: "\
The container's seccomp profile answers for the kernel: the call is refused before it enters, mostly with EPERM,
\"Operation not permitted\", or ENOSYS, \"Function not implemented\". It surprises root, for whom nothing should be
forbidden, and no capability helps: mount, unshare, keyctl, bpf, io_uring_setup and about forty others are not in
the default profile of the engines, and a profile older than a system call refuses what it does not know. With
EPERM instead of ENOSYS for such a call (clone3, faccessat2, statx, …) the C library does not fall back to the
old one, and programs fail that run on the host.",
    shows_as: &[
        ("mount", "EPERM"),
        ("unshare", "EPERM"),
        ("clone3", "ENOSYS"),
        ("keyctl", "EPERM"),
        ("bpf", "EPERM"),
        ("io_uring_setup", "EPERM"),
        ("any", "any"),
    ],
    deciders: &["__seccomp_filter"],
    reads: &[],
    rivals: &[Rival {
        name: "the filter came only after the call, which something else refused",
        ruled_out_by: "filters that were read before the call, that the parent has too, or that the task could \
                       not have installed itself",
        stands: came_later,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "installs a filter that refuses one system call, in a process of its own",
        risk: "none: a filter ends with its process",
        variants: &["eperm", "enosys", "argument", "stacked"],
    },
    see: &[
        "https://docs.kernel.org/userspace-api/seccomp_filter.html",
        "kernel/seccomp.c: seccomp_run_filters(), __seccomp_filter()",
        "https://docs.docker.com/engine/security/seccomp/",
    ],
};

fn fact<'a>(case: &Case<'a>) -> Option<&'a Seccomp> {
    case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Seccomp(seccomp) => Some(seccomp),
        _ => None,
    })
}

/// The answer that counts: the action that comes first in order of severity, as a signed number the lowest; of
/// equal ones the newest filter's (`seccomp_run_filters()`).
fn strictest(answers: &[SeccompAnswer]) -> Option<&SeccompAnswer> {
    answers.iter().min_by_key(|answer| (answer.value & ACTION) as i32)
}

/// What profiles answer, by default or to calls that are newer than they are.
const ANSWERS: &[Errno] = &[Errno::EPERM, Errno(libc::ENOSYS)];

/// The task had filters at that instant, and was gone before they could be read: no more than a suspicion, unless the
/// kernel's own function for the call was seen not to be entered.
fn unread(case: &Case<'_>) -> Option<Proof> {
    let (name, errno) = case.failure().syscall()?;
    let task = &case.failure().task;
    let count = task.filters.filter(|f| f.mode == MODE_FILTER).map(|f| f.count)?;
    let never_entered = case.incident.never_entered();
    if !never_entered && !ANSWERS.contains(&errno) {
        return None;
    }
    let mut evidence = vec![format!("at that instant the task had {count} seccomp filters")];
    let mut missing =
        vec!["what the filters say to this call: the process was gone before they could be read".into()];
    if never_entered {
        evidence.push(format!(
            "the kernel's own function for {name} was not entered, while other calls of this thread were recorded"
        ));
        missing.push("whether a tracer (ptrace) was there, which may answer as well".into());
    }
    let (confidence, may_have) = if never_entered {
        (Confidence::Likely, "answered")
    } else {
        (Confidence::Possible, "may have answered")
    };
    Some(Proof {
        confidence,
        sentence: format!("{} ran under a seccomp filter, which {may_have} {name} with {errno}.", task.comm),
        knob: Knob {
            kind: KnobKind::Seccomp,
            name: "seccomp".into(),
            path: format!("/proc/{}/status", task.pid),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (name, errno) = case.failure().syscall()?;
    // A graph of this call shows that it did enter the kernel.
    if case.path.is_some_and(|p| !p.functions.is_empty()) {
        return None;
    }
    // It may end between the look at its status and that at its filters.
    let Some(seccomp) = fact(case).filter(|read| !read.answers.is_empty()) else { return unread(case) };
    let answer = strictest(&seccomp.answers)?;
    let mut missing = Vec::new();
    let refused = match answer.value & ACTION {
        ERRNO if (answer.value & !ACTION).min(MOST_ERRNO) == errno.0.unsigned_abs() => true,
        USER_NOTIF | TRACE => {
            missing.push("what the supervisor that the filter asks has answered".into());
            false
        }
        _ => return None,
    };
    if answer.guessed {
        missing.push("arguments that the filter looks at were not known exactly".into());
    }
    if seccomp.from == SeccompSource::Relative {
        missing.push(format!(
            "the task's own filters: it was gone, and those of its parent {} were run",
            seccomp.pid
        ));
    }
    if let Some(why) = &seccomp.unread {
        missing.push(format!("all filters: {why}"));
    } else if seccomp.filters.is_some_and(|n| n != seccomp.answers.len() as u64) {
        missing.push(format!(
            "all filters: {} of {} gave an answer",
            seccomp.answers.len(),
            spaced_count(seccomp)
        ));
    }
    let confidence = match (refused, missing.is_empty()) {
        (true, true) => Confidence::Proven,
        (true, false) => Confidence::Likely,
        (false, _) => Confidence::Possible,
    };
    let sentence = if refused {
        format!(
            "A seccomp filter of {} answers {name} with {errno}; the kernel never saw the call.",
            case.failure().task.comm
        )
    } else {
        format!(
            "A seccomp filter of {} hands {name} to a supervisor, which may have answered {errno}.",
            case.failure().task.comm
        )
    };
    Some(Proof {
        confidence,
        sentence,
        knob: Knob {
            kind: KnobKind::Seccomp,
            name: "seccomp".into(),
            path: format!("/proc/{}/status", seccomp.pid),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: evidence(case, seccomp, answer),
        missing,
    })
}

fn spaced_count(seccomp: &Seccomp) -> String {
    seccomp.filters.map_or_else(|| "an unknown number".into(), |n| n.to_string())
}

fn evidence(case: &Case<'_>, seccomp: &Seccomp, answer: &SeccompAnswer) -> Vec<String> {
    let action = match answer.value & ACTION {
        ERRNO => format!("SECCOMP_RET_ERRNO {}", answer.value & !ACTION),
        USER_NOTIF => "SECCOMP_RET_USER_NOTIF".into(),
        _ => "SECCOMP_RET_TRACE".into(),
    };
    let (nr, abi) = match &case.failure().kind {
        FailureKind::Syscall { nr, abi, .. } => (*nr, *abi),
        _ => return Vec::new(),
    };
    let abi = if abi == crate::model::Abi::Compat { "i386 " } else { "" };
    let mut lines = vec![format!(
        "{ms} ms after it filter {n} of {all} (0 is the newest, {len} instructions), run over {abi}number {nr} and its \
         arguments, returned {action}",
        ms = seccomp.after_ns / 1_000_000,
        n = answer.filter,
        all = spaced_count(seccomp),
        len = answer.length,
    )];
    if let Some(before) = &seccomp.before {
        lines.push(format!("the filters were there before the call: {before}"));
    }
    lines
}

fn came_later(case: &Case<'_>) -> Option<String> {
    let seccomp = fact(case)?;
    seccomp
        .before
        .is_none()
        .then(|| "the filter may have been installed between the call and its reading".into())
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let name = case.failure().syscall().map_or("the call", |(name, _)| name);
    vec![
        Remedy {
            when: "now".into(),
            command: "docker run --security-opt seccomp=unconfined …".into(),
            effect: "to confirm it: no filter at all, so only for a test of something trusted".into(),
            undo: "start it without the option".into(),
        },
        Remedy {
            when: "for good".into(),
            command: "docker run --security-opt seccomp=profile.json …".into(),
            effect: format!(
                "a copy of the engine's profile that allows {name}; in Kubernetes securityContext.seccompProfile \
                 (Localhost); an engine or libseccomp that is newer than the system call may do without"
            ),
            undo: "start it without the option".into(),
        },
    ]
}

#[cfg(test)]
#[path = "seccomp_tests.rs"]
mod tests;
