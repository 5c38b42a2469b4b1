//! A user, or one whose user namespace is around its own, may not have another namespace of that type.

use super::case::ceiling::cite;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::Limit;
use crate::limits::namespaces::{self, PID_DEPTH, TYPES, USER_DEPTH};
use crate::model::{Confidence, Errno, Knob, KnobKind, Reading, Remedy, spaced};

/// Where namespaces are made. fsmount and open_tree build an anonymous mount namespace, which counts too.
const SYSCALLS: &[&str] = &["clone", "clone3", "unshare", "fsmount", "open_tree"];

const DECIDERS: &[&str] = &["inc_ucount"];

/// Functions that make a namespace of one type and hand the verdict on, where `inc_ucount` is not seen.
const MAKERS: &[&str] = &[
    "create_user_ns",
    "create_pid_namespace",
    "copy_pid_ns",
    "clone_uts_ns",
    "copy_utsname",
    "create_ipc_ns",
    "copy_ipcs",
    "copy_net_ns",
    "alloc_mnt_ns",
    "copy_mnt_ns",
    "copy_cgroup_ns",
    "clone_time_ns",
    "copy_time_ns",
    "create_new_namespaces",
    "unshare_nsproxy_namespaces",
    "unshare_userns",
    "copy_namespaces",
    "copy_creds",
    "copy_process",
];

/// Makers that have no ENOSPC of their own: they say it when `inc_ucount` gave them nothing, which is a pointer and no
/// errno (kernel/utsname.c, ipc/namespace.c, net/core/net_namespace.c, fs/namespace.c, kernel/cgroup/namespace.c).
static MAKERS_OF: &[(&str, &Limit)] = &[
    ("clone_uts_ns", &namespaces::UTS),
    ("copy_utsname", &namespaces::UTS),
    ("create_ipc_ns", &namespaces::IPC),
    ("copy_ipcs", &namespaces::IPC),
    ("copy_net_ns", &namespaces::NET),
    ("alloc_mnt_ns", &namespaces::MNT),
    ("copy_cgroup_ns", &namespaces::CGROUP),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "max-namespaces",
    title: "the user may not have another namespace (user.max_*_namespaces)",
    about: "\
unshare(2), clone(2) and clone3(2) fail with ENOSPC, \"No space left on device\", although nothing is written
anywhere; fsmount(2) and open_tree(2) do so when they need an anonymous mount namespace. Since 4.9 the kernel
counts namespaces of each type per user: inc_ucount() in kernel/ucount.c goes from the caller's user namespace
up to the first one, adds one to the counter of the user there, and refuses when a level's
user.max_<type>_namespaces is reached.

It surprises because the file /proc/sys/user/max_* shows only the limit of the reader's own user namespace:
inside a container it may say 2147483647 while a user namespace around it refuses. Hardening guides set
user.max_user_namespaces=0, which stops rootless containers and browsers' sandboxes; leaked network namespaces of
dead pods use the others up. Engines lose the errno: runc then says \"can't get final child's PID from pipe\".",
    shows_as: &[
        ("unshare", "ENOSPC"),
        ("clone", "ENOSPC"),
        ("clone3", "ENOSPC"),
        ("fsmount", "ENOSPC"),
        ("open_tree", "ENOSPC"),
    ],
    deciders: DECIDERS,
    reads: &TYPES,
    rivals: &[
        Rival {
            name: "user or pid namespaces nested too deep",
            ruled_out_by: "the depth of both at that instant (at most 33 and 32 levels)",
            stands: too_deep,
        },
        Rival {
            name: "a cgroup without processors",
            ruled_out_by: "clone3's flags without CLONE_INTO_CGROUP",
            stands: other_cgroup,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes a user namespace, sets its limit of network (or user, uts, …) namespaces to 0, and asks for one",
        risk: "none: the limit is the new user namespace's own and goes with it",
        variants: &["net", "ancestor", "user", "uts", "ipc", "mnt", "cgroup", "pid"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/user.html",
        "namespaces(7), The /proc/sys/user directory",
        "kernel/ucount.c: inc_ucount()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(SYSCALLS, Errno::ENOSPC)?;
    if case.failure().number_arg("flags") == Some(0) && !["fsmount", "open_tree"].contains(&call) {
        return None;
    }
    let all: Vec<(&Limit, &Reading)> = TYPES.iter().filter_map(|l| Some((*l, case.at_instant(l)?))).collect();
    let full = all.iter().find(|(_, r)| r.exceeded() == Some(true)).copied();
    let of_maker =
        MAKERS_OF.iter().find(|(maker, _)| case.verdict(&[maker]).is_some()).map(|(_, limit)| *limit);
    let seen = case.verdict(DECIDERS).is_some() || of_maker.is_some();
    let elsewhere = case.decided_elsewhere(DECIDERS).filter(|f| !MAKERS.contains(f));
    let mut missing = Vec::new();
    let confidence = match (full, seen, elsewhere) {
        (None, _, Some(_)) => return None,
        (Some(_), _, Some(other)) => {
            missing.push(format!("the kernel path points to {other} instead"));
            Confidence::Likely
        }
        (Some(_), _, None) => Confidence::Proven,
        (None, true, _) => {
            missing.push("which user namespace refused: its counters at that instant".into());
            Confidence::Likely
        }
        // Every type that was asked for had room at every level, as far as it was read.
        (None, false, None) if !all.is_empty() => return None,
        (None, false, None) if too_deep(case).is_some_and(|why| !why.contains("could not")) => return None,
        // fsmount and open_tree have other reasons, a full file system among them.
        (None, false, None) if call == "fsmount" || call == "open_tree" => return None,
        (None, false, None) => {
            missing.push("the user's counters at that instant".into());
            Confidence::Possible
        }
    };
    let refused = full.map(|(limit, _)| limit).or(of_maker);
    Some(Proof {
        confidence,
        sentence: sentence(case, full),
        knob: Knob {
            kind: KnobKind::Sysctl,
            name: refused.map_or("user.max_*_namespaces", |limit| limit.id).into(),
            path: refused.map_or_else(|| "/proc/sys/user/".into(), Limit::path),
        },
        limit: full.and_then(|(_, r)| r.ceiling),
        usage: full.and_then(|(_, r)| r.usage),
        unit: namespaces::NET.unit.into(),
        evidence: evidence(case, &all),
        missing,
    })
}

fn sentence(case: &Case<'_>, full: Option<(&Limit, &Reading)>) -> String {
    let who = &case.failure().task.comm;
    let Some((limit, r, used, most)) = full.and_then(|(l, r)| Some((l, r, r.usage?, r.ceiling?))) else {
        return format!("The user of {who} may not have another namespace of a type it asked for.");
    };
    let whose = if is_own(case, r) { "its own" } else { "one around its own" };
    format!(
        "In {}, {whose}, the user of {who} has {} {}, and {} there allows {}.",
        r.scope,
        spaced(used),
        limit.title,
        limit.id,
        spaced(most)
    )
}

/// Whether the level that refused is the task's own user namespace.
fn is_own(case: &Case<'_>, r: &Reading) -> bool {
    case.failure().task.user_ns.is_some_and(|own| r.scope == format!("user namespace {own}"))
}

fn evidence(case: &Case<'_>, all: &[(&Limit, &Reading)]) -> Vec<String> {
    let depths = [&USER_DEPTH, &PID_DEPTH].into_iter().filter_map(|l| case.at_instant(l));
    let mut lines: Vec<String> = all.iter().map(|(_, r)| *r).chain(depths).map(cite).collect();
    if let Some(v) = case.verdict(DECIDERS) {
        lines.push(format!("{} said no (found by {})", v.function, v.method));
    }
    lines
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (Some(limit), Some(usage)) = (proof.limit, proof.usage) else {
        return vec![Remedy {
            when: "find it".into(),
            command: "grep . /proc/sys/user/max_*_namespaces".into(),
            effect: "in every user namespace from the task's own to the first".into(),
            undo: "reads only".into(),
        }];
    };
    let more = limit.max(usage).saturating_mul(2).max(256);
    let name = &proof.knob.name;
    let mut out = Vec::new();
    let refused = case
        .failure()
        .readings
        .iter()
        .find(|r| r.limit == *name && r.exceeded() == Some(true))
        .map_or("", |r| r.scope.as_str());
    let inside = format!(
        "must run in {refused} (lsns -t user shows whose it is; nsenter -U -t PID -- …): each user namespace has its own"
    );
    out.push(Remedy {
        when: "now".into(),
        command: format!("sysctl -w {name}={more}"),
        effect: inside,
        undo: format!("sysctl -w {name}={limit}"),
    });
    out.push(Remedy {
        when: "for good".into(),
        command: format!("echo '{name} = {more}' > /etc/sysctl.d/90-max-namespaces.conf"),
        effect: "for the first user namespace, from the next boot on; a limit of 0 was set on purpose: ask who hardened this machine".into(),
        undo: "rm /etc/sysctl.d/90-max-namespaces.conf".into(),
    });
    if limit > 0 {
        out.push(Remedy {
            when: "find the leak".into(),
            command: "lsns -o TYPE,NS,NPROCS,PID,USER,COMMAND; ls /run/netns /var/run/docker/netns 2>/dev/null".into(),
            effect: "namespaces without processes (bind-mounted or held by a descriptor) count until they are let go".into(),
            undo: "reads only".into(),
        });
    }
    out
}

/// The rival: ENOSPC for the depth. Only where a namespace of that type was asked for.
fn too_deep(case: &Case<'_>) -> Option<String> {
    const CLONE_NEWUSER: u64 = 0x1000_0000;
    const CLONE_NEWPID: u64 = 0x2000_0000;
    let flags = match case.denied(&["fsmount", "open_tree"], Errno::ENOSPC) {
        Some(_) => 0,
        // Flags that were not read may ask for both.
        None => case.failure().number_arg("flags").unwrap_or(u64::MAX),
    };
    [(CLONE_NEWUSER, &USER_DEPTH), (CLONE_NEWPID, &PID_DEPTH)].into_iter().find_map(|(flag, limit)| {
        if flags & flag == 0 {
            return None;
        }
        match case.at_instant(limit).map(|r| (r.exceeded(), r.usage)) {
            Some((Some(false), _)) => None,
            Some((Some(true), Some(level))) => {
                Some(format!("the {} is {level}, the most there may be", limit.id))
            }
            _ => Some(format!("the {} could not be read", limit.id)),
        }
    })
}

/// The rival: `cpuset_can_fork()` says ENOSPC for a cgroup without processors or memory nodes.
fn other_cgroup(case: &Case<'_>) -> Option<String> {
    const CLONE_INTO_CGROUP: u64 = 1 << 33;
    case.denied(&["clone3"], Errno::ENOSPC)?;
    match case.failure().number_arg("flags") {
        Some(flags) if flags & CLONE_INTO_CGROUP == 0 => None,
        _ => Some("the child was to start in another cgroup, which may have no processors".into()),
    }
}

#[cfg(test)]
#[path = "max_namespaces_tests.rs"]
mod tests;
