//! The task lacks the capability that a call asks for, or holds it where it does not count.
//!
//! Proven here means: the credentials of that instant (or read again) lack it in the user namespace that is asked, and
//! either that alone is enough for the errno, or the function that asks was seen to refuse. What the task holds in the
//! right namespace is never its cause.

mod table;
mod when;

use super::case::rights::{self, Holds, Scope};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};
use table::{Row, TABLE};

pub(super) static CAUSE: Cause = Cause {
    slug: "missing-capability",
    title: "the task lacks a capability",
    about: "\
A system call says EPERM, \"Operation not permitted\" (some say EACCES), although the process runs as root. Since \
Linux 2.2 root's power is cut into some forty capabilities, and container engines leave fourteen of them. The kernel \
asks for a single one, at one place: mount(2) for CAP_SYS_ADMIN, chroot(2) for CAP_SYS_CHROOT, a raw socket for \
CAP_NET_RAW. It also asks in a certain user namespace: root inside a user namespace (rootless engines, userns-remap, \
hostUsers: false) holds all capabilities there and none on the machine, so setting the clock, loading a module, making \
a device node or writing a trusted.* attribute stay forbidden however many are added.",
    shows_as: &[
        ("mount", "EPERM"),
        ("chroot", "EPERM"),
        ("setuid", "EPERM"),
        ("fchownat", "EPERM"),
        ("socket", "EPERM"),
        ("ptrace", "EPERM"),
        ("finit_module", "EPERM"),
        ("setxattr", "EPERM"),
        ("mknodat", "EPERM"),
        ("write", "EACCES"),
        ("any", "EPERM"),
    ],
    deciders: &[
        "may_mount",
        "path_chroot",
        "__sys_setuid",
        "__sys_setresuid",
        "__sys_setgid",
        "may_setgroups",
        "setattr_prepare",
        "inet_create",
        "packet_create",
        "may_init_module",
        "__ptrace_may_access",
        "xattr_permission",
        "cap_settime",
        "ns_capable",
        "capable",
        "cap_capable",
    ],
    reads: &[],
    rivals: &[
        Rival {
            name: "a seccomp filter answered instead of the kernel",
            ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
            stands: rights::seccomp_stands,
        },
        Rival {
            name: "the file is immutable or append-only",
            ruled_out_by: "its attributes, read again",
            stands: immutable_stands,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "drops one capability in a child process, which then asks for what needs it",
        risk: "none: the child ends at once",
        variants: &["chroot", "setuid", "hostname", "module", "user-namespace"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man7/capabilities.7.html",
        "https://man7.org/linux/man-pages/man7/user_namespaces.7.html",
        "kernel/capability.c: ns_capable(); security/commoncap.c: cap_capable()",
    ],
};

/// Functions that answer every question for a capability: 0 or false from the first kind, an errno from the second.
const ANSWERS: &[&str] =
    &["ns_capable", "capable", "capable_wrt_inode_uidgid", "ns_capable_setid", "ns_capable_noaudit"];
const ERRNOS: &[&str] = &["security_capable", "cap_capable"];

/// The row that this call asks by, and whether it surely asks.
fn asked(case: &Case<'_>) -> Option<(&'static Row, bool)> {
    let (name, errno) = case.failure().syscall()?;
    let fits = |row: &&Row| row.errno == errno.0 && row.is_of(name);
    let mut perhaps = None;
    for row in TABLE.iter().filter(fits) {
        match (row.when)(case) {
            Some(true) => return Some((row, true)),
            None if perhaps.is_none() => perhaps = Some((row, false)),
            _ => {}
        }
    }
    perhaps
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (row, surely) = asked(case)?;
    let name = case.failure().syscall()?.0;
    let mut held = rights::holds(case, row.capability, row.scope);
    if let Some(wider) = row.or {
        held = match (held, rights::holds(case, wider, row.scope)) {
            (Holds::Yes, _) | (_, Holds::Yes) => Holds::Yes,
            (Holds::Inside, _) | (_, Holds::Inside) => Holds::Inside,
            (first, _) => first,
        };
    }
    let seen = case.verdict(&row.deciders()).map(|v| v.function.to_owned()).or_else(|| answered(case));
    let elsewhere = case.decided_elsewhere(&row.deciders()).filter(|f| !is_answer(f) && !passes(f));
    let mut missing = Vec::new();
    let confidence = match held {
        Holds::Yes => return None,
        Holds::Unknown if seen.is_none() => {
            missing.push(format!("whether the task held {} there", row.capability));
            Confidence::Possible
        }
        Holds::Unknown => {
            missing.push(format!("whether the task held {} there", row.capability));
            Confidence::Likely
        }
        Holds::No | Holds::Inside if elsewhere.is_some() && !row.decisive => return None,
        Holds::No | Holds::Inside if seen.is_some() || (row.decisive && surely) => Confidence::Proven,
        Holds::No | Holds::Inside if surely => {
            missing.push("the verdict of the function that asks, as others say the same errno".into());
            Confidence::Likely
        }
        Holds::No | Holds::Inside => {
            missing.push("whether this very call asks for it".into());
            Confidence::Possible
        }
    };
    let mut evidence = rights::cite(case);
    evidence.extend(seen.map(|function| format!("{function}() said no")));
    evidence
        .extend(case.state("target user").map(|s| format!("{} runs as {} ({})", s.of, s.value, s.source)));
    Some(Proof {
        confidence,
        sentence: sentence(case, name, row, held),
        knob: Knob { kind: KnobKind::Capability, name: row.capability.into(), path: status(case) },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

fn sentence(case: &Case<'_>, name: &str, row: &Row, held: Holds) -> String {
    let (comm, capability, wanted) = (&case.failure().task.comm, row.capability, row.wanted);
    match held {
        Holds::Inside => format!(
            "{comm} asked {wanted} ({name}), for which {capability} must be held {}; it holds it in its own user \
             namespace only, and root there is not root on the machine.",
            place(row.scope)
        ),
        _ => format!("{comm} asked {wanted} ({name}) without {capability}."),
    }
}

fn place(scope: Scope) -> &'static str {
    match scope {
        Scope::First => "in the first user namespace",
        Scope::Own => "in its user namespace",
        Scope::Mount => "in the user namespace that owns its mount namespace",
        Scope::Net => "in the user namespace that owns its network namespace",
        Scope::Uts => "in the user namespace that owns its UTS namespace",
        Scope::Ipc => "in the user namespace that owns its IPC namespace",
        Scope::Inode => "in a user namespace that has numbers for the file's owner",
        Scope::Target => "over the other process",
    }
}

fn status(case: &Case<'_>) -> String {
    format!("/proc/{}/status", case.failure().task.pid)
}

/// A question for a capability that was seen to be answered with no.
fn answered(case: &Case<'_>) -> Option<String> {
    let no = ANSWERS.iter().find(|f| case.returned(f) == Some(0));
    let errno = ERRNOS.iter().find(|f| case.returned(f).is_some_and(|value| value < 0));
    no.or(errno).map(|f| (*f).to_owned())
}

fn is_answer(function: &str) -> bool {
    ANSWERS.contains(&function) || ERRNOS.contains(&function)
}

/// Wrappers that hand an errno up say nothing of who made it.
fn passes(function: &str) -> bool {
    ["__x64_sys_", "__do_sys_", "__se_sys_", "ksys_", "do_syscall", "vfs_", "security_", "notify_change"]
        .iter()
        .any(|prefix| function.starts_with(prefix))
}

/// `notify_change()` and `xattr_permission()` look at the attributes first, and say EPERM too.
fn immutable_stands(case: &Case<'_>) -> Option<String> {
    let (row, _) = asked(case)?;
    if row.scope != Scope::Inode && !row.deciders().contains(&"xattr_permission") {
        return None;
    }
    let Some(own) = rights::object(case).and_then(|o| o.own.as_ref()) else {
        return Some("the file's attributes could not be read".into());
    };
    (own.immutable == Some(true) || own.append_only == Some(true))
        .then(|| format!("{} is immutable", own.path))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let capability = proof.knob.name.clone();
    let short = capability.trim_start_matches("CAP_").to_owned();
    let inside =
        asked(case).is_some_and(|(row, _)| rights::holds(case, row.capability, row.scope) == Holds::Inside);
    if inside {
        return vec![Remedy {
            when: "for good".into(),
            command: "have it done outside, by the engine or the host".into(),
            effect:
                "no capability inside a user namespace helps; running without one (docker run --userns=host, \
                     hostUsers: true) gives root in the container root's power on the machine"
                    .into(),
            undo: "start it as before".into(),
        }];
    }
    vec![
        Remedy {
            when: "now".into(),
            command: format!("docker run --cap-add {short} …"),
            effect: format!(
                "the container's root holds {capability}; a process that is not root needs it in its file or ambient \
                 set too. In Kubernetes securityContext.capabilities.add: [\"{short}\"]"
            ),
            undo: "start it without the option".into(),
        },
        Remedy {
            when: "prevent".into(),
            command: format!("leave out what needs {capability}"),
            effect: "CAP_SYS_ADMIN, CAP_SYS_PTRACE, CAP_SYS_MODULE and CAP_DAC_READ_SEARCH come close to root on the \
                     host: prefer having it done outside"
                .into(),
            undo: String::new(),
        },
    ]
}

#[cfg(test)]
#[path = "missing_capability_tests.rs"]
mod tests;
