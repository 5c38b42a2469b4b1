//! Failures without a failing system call, in words.

use crate::model::{Explained, FailureKind, IgnoredSetId, Killer};

/// What happened to the process, to follow its name: `was killed by SIGKILL from sh (pid 7)`.
pub(super) fn said(e: &Explained) -> String {
    match &e.incident.failure.kind {
        FailureKind::Killed { signal, by } => {
            let by = match by {
                Killer::Process { pid, comm, container: Some(c), .. } => {
                    format!("from {comm} (pid {pid}, container {c})")
                }
                Killer::Process { pid, comm, .. } => format!("from {comm} (pid {pid})"),
                Killer::Oom { .. } => "from the kernel's OOM killer".into(),
                Killer::Init { init } => format!("when {init}, pid 1 of its pid namespace, ended"),
                Killer::Kernel => "from the kernel".into(),
            };
            format!("was killed by {signal} {by}")
        }
        FailureKind::Fault { signal, code, address: Some(address), .. } => {
            format!("was ended by {signal} ({code}) at address {address:#x}")
        }
        FailureKind::Fault { signal, code, syscall: Some(syscall), .. } => {
            format!("was ended by {signal} ({code}) for {syscall}(2)")
        }
        FailureKind::Fault { signal, code, .. } => format!("was ended by {signal} ({code})"),
        FailureKind::IoUring { op, errno, .. } => {
            format!("{} {errno}, \"{}\"", crate::model::uring_label(op.as_deref()), errno.sentence())
        }
        FailureKind::IgnoredSetId(ignored) => format!("was started, but {}", without_effect(ignored)),
        FailureKind::Stall { what } => format!("does not go on: {what}"),
        FailureKind::Netlink(refused) => {
            let what = match (&refused.interface, refused.index) {
                (Some(name), _) => format!(" about {name}"),
                (None, Some(0) | None) => String::new(),
                (None, Some(index)) => format!(" about interface {index}"),
            };
            let kernel =
                refused.message.as_ref().map_or_else(String::new, |m| format!("; the kernel said: {m}"));
            let (request, errno) = (&refused.request, refused.errno);
            format!(
                "was refused its netlink request {request}{what}: {errno}, \"{}\"{kernel}",
                errno.sentence()
            )
        }
        FailureKind::UserspaceText { text, .. } => format!("said so itself: {text}"),
        FailureKind::Syscall { .. } => "failed".into(),
    }
}

/// A set-user-ID or set-group-ID bit that did nothing.
pub(super) fn without_effect(ignored: &IgnoredSetId) -> String {
    let IgnoredSetId { program, owner, euid, .. } = ignored;
    let whose = ignored.whose();
    format!("{program} runs as {whose} {euid}, its set-{whose}-ID bit of {whose} {owner} had no effect")
}
