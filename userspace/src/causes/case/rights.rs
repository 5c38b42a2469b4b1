//! What causes about permissions share: who the task was, what it held, and what lay at the path it named.

use super::Case;
use crate::model::{
    Credentials, Errno, FIRST_USER_NAMESPACE, Fact, Identity, PathObject, Seccomp, SeccompSource,
};

/// Capabilities by number (include/uapi/linux/capability.h).
pub(in crate::causes) const CAPABILITIES: &[&str] = &[
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The bit of a capability.
pub(in crate::causes) fn bit(name: &str) -> u32 {
    CAPABILITIES.iter().position(|known| *known == name).map_or(63, |at| at as u32)
}

/// The user namespace in which a capability is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::causes) enum Scope {
    /// `capable()`: the first one.
    First,
    /// `ns_capable(current_user_ns())`.
    Own,
    /// The owner of the task's mount, network, UTS or IPC namespace.
    Mount,
    Net,
    Uts,
    Ipc,
    /// The task's own, which must also have numbers for the object's owner (`capable_wrt_inode_uidgid()`).
    Inode,
    /// That of another process or namespace.
    Target,
}

/// Whether a task has what it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::causes) enum Holds {
    Yes,
    No,
    /// In its own user namespace, where it does not count for this.
    Inside,
    Unknown,
}

/// Who the task was, as the sampler read it.
pub(in crate::causes) fn identity<'a>(case: &Case<'a>) -> Option<&'a Identity> {
    case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Identity(identity) => Some(identity.as_ref()),
        _ => None,
    })
}

/// The role of what a program names as its interpreter, beside the program itself.
pub(in crate::causes) const INTERPRETER: &str = "interpreter";

/// The objects that the call's paths and descriptors led to.
pub(in crate::causes) fn objects<'a>(case: &Case<'a>) -> impl Iterator<Item = &'a PathObject> + use<'a> {
    case.incident.facts.iter().filter_map(|fact| match fact {
        Fact::PathObject(object) => Some(object.as_ref()),
        _ => None,
    })
}

/// The first of them.
pub(in crate::causes) fn object<'a>(case: &Case<'a>) -> Option<&'a PathObject> {
    objects(case).next()
}

/// Credentials of that instant, else those that were read again, and when.
pub(in crate::causes) fn credentials(case: &Case<'_>) -> Option<(Credentials, String)> {
    if let Some(then) = case.failure().task.credentials {
        return Some((then, "at that instant".into()));
    }
    let who = identity(case)?;
    let user_ns = who.user_ns?;
    let level = u32::from(user_ns != FIRST_USER_NAMESPACE);
    let read = Credentials {
        euid: who.uids[1],
        capabilities: who.effective,
        user_ns,
        userns_level: level,
        no_new_privs: who.no_new_privs,
        ..Credentials::default()
    };
    Some((read, format!("{} ms after it", who.after_ns / 1_000_000)))
}

/// Whether the task held a capability where it was asked for.
pub(in crate::causes) fn holds(case: &Case<'_>, capability: &str, scope: Scope) -> Holds {
    let Some((own, _)) = credentials(case) else { return Holds::Unknown };
    let number = bit(capability);
    let owner = match scope {
        Scope::First => Some(FIRST_USER_NAMESPACE),
        Scope::Own | Scope::Inode => Some(own.user_ns),
        Scope::Mount => own.owners.mnt,
        Scope::Net => own.owners.net,
        Scope::Uts => own.owners.uts,
        Scope::Ipc => own.owners.ipc,
        Scope::Target => None,
    };
    let answer = owner.and_then(|owner| own.may(number, owner));
    match answer {
        Some(true) if scope == Scope::Inode => inode(case, &own),
        Some(true) => Holds::Yes,
        Some(false) if own.has(number) => Holds::Inside,
        Some(false) => Holds::No,
        // Nobody's without the capability, but for those who made that very namespace.
        None if !own.has(number) && own.in_first_namespace() => Holds::No,
        None if !own.has(number) => Holds::No,
        None if own.in_first_namespace() => Holds::Yes,
        None => Holds::Unknown,
    }
}

fn inode(case: &Case<'_>, own: &Credentials) -> Holds {
    if own.in_first_namespace() {
        return Holds::Yes;
    }
    let Some(perm) = object(case).and_then(|o| o.own.as_ref()) else { return Holds::Unknown };
    match identity(case).and_then(|who| who.maps(perm.uid, perm.gid)) {
        Some(true) => Holds::Yes,
        Some(false) => Holds::Inside,
        None => Holds::Unknown,
    }
}

/// How its credentials are cited.
pub(in crate::causes) fn cite(case: &Case<'_>) -> Vec<String> {
    let Some((own, when)) = credentials(case) else { return Vec::new() };
    let place = if own.in_first_namespace() {
        "the first user namespace".to_owned()
    } else {
        format!("user namespace {}", own.user_ns)
    };
    vec![format!(
        "{when} {} had euid {} and effective capabilities {:#x} in {place}",
        case.failure().task.comm,
        own.euid,
        own.capabilities
    )]
}

/// `SECCOMP_RET_ACTION_FULL`, `SECCOMP_RET_ERRNO`, `SECCOMP_RET_ALLOW`, `SECCOMP_RET_LOG` (linux/seccomp.h).
const ACTION: u32 = 0xffff_0000;
const ALLOWING: &[u32] = &[0x7fff_0000, 0x7ffc_0000];

/// Whether a seccomp filter may have answered instead of the kernel.
pub(in crate::causes) fn seccomp_stands(case: &Case<'_>) -> Option<String> {
    // A graph of this call shows that it did enter the kernel.
    if case.path.is_some_and(|p| !p.functions.is_empty()) {
        return None;
    }
    let fact = case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Seccomp(seccomp) => Some(seccomp),
        _ => None,
    });
    let filtered = case.failure().task.filters.map(|f| f.mode == 2);
    let filtered = filtered.or_else(|| identity(case)?.seccomp.map(|mode| mode == 2));
    match (fact, filtered) {
        (Some(seccomp), _) => filters_stand(seccomp),
        (None, Some(false)) => None,
        (None, Some(true)) => Some("the task has seccomp filters that could not be read".into()),
        (None, None) => Some("whether a seccomp filter answered is not known".into()),
    }
}

fn filters_stand(seccomp: &Seccomp) -> Option<String> {
    let whole = seccomp.unread.is_none()
        && seccomp.from != SeccompSource::Relative
        && seccomp.filters.is_none_or(|n| n == seccomp.answers.len() as u64);
    let allowed = seccomp.answers.iter().all(|a| ALLOWING.contains(&(a.value & ACTION)) && !a.guessed);
    match (whole, allowed) {
        (true, true) => None,
        (_, false) => Some("a seccomp filter does not plainly allow the call".into()),
        (false, true) => Some("not all seccomp filters could be read".into()),
    }
}

/// What a security module may have said, where none is known to be silent.
pub(in crate::causes) fn module_stands(case: &Case<'_>) -> Option<String> {
    let Some(who) = identity(case) else {
        return Some("whether a security module confines the task is not known".into());
    };
    (!who.label.is_empty()).then(|| format!("the task is confined as {:?}", who.label))
}

/// The call's name when it is one of `calls` and failed with one of `errnos`.
pub(in crate::causes) fn refused<'a>(
    case: &Case<'a>,
    calls: &[&str],
    errnos: &[i32],
) -> Option<(&'a str, Errno)> {
    let (name, errno) = case.failure().syscall()?;
    (errnos.contains(&errno.0) && calls.contains(&name)).then_some((name, errno))
}
