//! User or pid namespaces are nested as deep as the kernel allows.

use super::case::ceiling::cite;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::Limit;
use crate::limits::namespaces::{PID_DEPTH, TYPES, USER_DEPTH};
use crate::model::{Confidence, Errno, Knob, KnobKind, Reading, Remedy};

const SYSCALLS: &[&str] = &["clone", "clone3", "unshare"];

const CLONE_NEWUSER: u64 = 0x1000_0000;
const CLONE_NEWPID: u64 = 0x2000_0000;

/// Who says it. Both say ENOSPC for `inc_ucount()` too, so that the name alone proves nothing.
const DECIDERS: &[&str] = &["create_user_ns", "create_pid_namespace"];

/// What a verdict of theirs may be called where they are inlined, or by whom it is handed on.
const CALLERS: &[&str] = &[
    "copy_pid_ns",
    "create_new_namespaces",
    "copy_namespaces",
    "copy_creds",
    "copy_process",
    "unshare_userns",
    "unshare_nsproxy_namespaces",
    "ksys_unshare",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "namespace-depth",
    title: "user or pid namespaces are nested too deep",
    about: "\
unshare(2), clone(2) and clone3(2) fail with ENOSPC, \"No space left on device\", although the limits below
/proc/sys/user are far away: user namespaces may be 33 levels deep, counted from the first, and pid namespaces 32.
create_user_ns() and create_pid_namespace() refuse below that, and no setting moves it. It happens to containers in
containers in containers (a CI job that runs an engine that runs a job), to sandboxes that unshare once per
start of themselves, and to loops that were meant to leave a namespace before they enter the next.",
    shows_as: &[("unshare", "ENOSPC"), ("clone", "ENOSPC"), ("clone3", "ENOSPC")],
    deciders: &["create_pid_namespace"],
    reads: &[&USER_DEPTH, &PID_DEPTH],
    rivals: &[Rival {
        name: "the user has too many namespaces (user.max_*_namespaces)",
        ruled_out_by: "the user's counters at that instant; a user namespace is made before all others",
        stands: counted_out,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "nests user or pid namespaces in each other until the kernel refuses one more",
        risk: "none: they end with the fault's processes, at most 33",
        variants: &["user", "pid"],
    },
    see: &[
        "user_namespaces(7), Nested namespaces; pid_namespaces(7)",
        "kernel/user_namespace.c: create_user_ns(); kernel/pid_namespace.c: create_pid_namespace(), MAX_PID_NS_LEVEL",
    ],
};

/// The depths that the call asks to increase, the one that is asked first in front.
fn asked(case: &Case<'_>) -> Vec<&'static Limit> {
    let flags = case.failure().number_arg("flags").unwrap_or(0);
    [(CLONE_NEWUSER, &USER_DEPTH), (CLONE_NEWPID, &PID_DEPTH)]
        .into_iter()
        .filter(|(flag, _)| flags & flag != 0)
        .map(|(_, limit)| limit)
        .collect()
}

fn deepest<'a>(case: &Case<'a>) -> Option<(&'static Limit, &'a Reading)> {
    asked(case).into_iter().find_map(|limit| {
        let reading = case.at_instant(limit).filter(|r| r.exceeded() == Some(true))?;
        Some((limit, reading))
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(SYSCALLS, Errno::ENOSPC)?;
    let (limit, reading) = deepest(case)?;
    let mut missing = Vec::new();
    let known = |f: &&str| DECIDERS.contains(f) || CALLERS.contains(f);
    if let Some(other) = case.decided_elsewhere(&[]).filter(|f| !known(f)) {
        missing.push(format!("the kernel path points to {other} instead"));
    }
    let kind = if std::ptr::eq(limit, &USER_DEPTH) { "user" } else { "pid" };
    let (level, most) = (reading.usage?, reading.ceiling?);
    Some(Proof {
        confidence: if missing.is_empty() { Confidence::Proven } else { Confidence::Likely },
        sentence: format!(
            "{} is in a {kind} namespace at depth {level}, and the kernel allows none below depth {most}.",
            case.failure().task.comm
        ),
        knob: Knob { kind: KnobKind::Other, name: limit.id.into(), path: String::new() },
        limit: Some(most),
        usage: Some(level),
        unit: limit.unit.into(),
        evidence: [&USER_DEPTH, &PID_DEPTH]
            .into_iter()
            .filter_map(|l| case.at_instant(l))
            .map(cite)
            .collect(),
        missing,
    })
}

/// The user namespace comes before everything else (`copy_creds()`, `unshare_userns()`), so that its depth decides
/// alone; before a pid namespace others are made.
fn counted_out(case: &Case<'_>) -> Option<String> {
    let (limit, _) = deepest(case)?;
    if std::ptr::eq(limit, &USER_DEPTH) {
        return None;
    }
    let full = TYPES.iter().find(|l| case.at_instant(l).and_then(Reading::exceeded) == Some(true))?;
    Some(format!("{} is reached as well", full.id))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        Remedy {
            when: "find it".into(),
            command: format!("lsns --tree=parent -t user -o NS,NPROCS,PID,COMMAND; pstree -aps {pid}"),
            effect: "shows what nests: mostly one program that unshares each time it starts itself".into(),
            undo: "reads only".into(),
        },
        Remedy {
            when: "for good".into(),
            command: "docker run --userns=host --pid=host …".into(),
            effect: "for inner layers that need no namespace of their own: each one left out is a level less"
                .into(),
            undo: "start it without the options".into(),
        },
    ]
}

#[cfg(test)]
#[path = "namespace_depth_tests.rs"]
mod tests;
