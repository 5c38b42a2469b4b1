//! Mounting needs CAP_SYS_ADMIN in the user namespace that owns the mount namespace.

use super::case::signs::{Claim, filtered, fix, knob};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const CALLS: &[&str] = &[
    "mount",
    "umount2",
    "umount",
    "move_mount",
    "fsopen",
    "fsmount",
    "fspick",
    "open_tree",
    "open_tree_attr",
    "mount_setattr",
    "pivot_root",
];

const DECIDERS: &[&str] = &["may_mount"];

/// Where `may_mount()` is inlined.
const CALLERS: &[&str] = &[
    "ns_capable",
    "path_mount",
    "path_umount",
    "ksys_umount",
    "path_pivot_root",
    "do_move_mount",
    "vfs_open_tree",
    "cap_capable",
    "security_capable",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-needs-admin",
    title: "no CAP_SYS_ADMIN over the mount namespace",
    about: "\
mount(2), umount(2), pivot_root(2) and the new mount calls fail with EPERM, \"Operation not permitted\", also for uid 0. Being
root is not what counts: may_mount() in fs/namespace.c asks for CAP_SYS_ADMIN in the user namespace that owns
the caller's mount namespace. Engines take that capability away from containers, and a process that entered a user
namespace has all capabilities there but none over the mount namespace it brought along: it must unshare that too.

It surprises because the same command works as root on the host, because `id` says 0, and because the text blames the
operation, not the missing capability. It is not the file's mode, not the disk, and mostly not the path.",
    shows_as: &[("mount", "EPERM"), ("umount2", "EPERM"), ("pivot_root", "EPERM"), ("fsopen", "EPERM"), ("fsmount", "EPERM"), ("move_mount", "EPERM"), ("open_tree", "EPERM"), ("mount_setattr", "EPERM"), ("fspick", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival { name: "a seccomp filter", ruled_out_by: "no filter on the task, or a kernel path of the call", stands: filtered }],
    explain,
    remedy,
    fault: Fault::Action { about: "enters a user namespace without a mount namespace, and mounts", risk: "none: in a process that ends", variants: &["user-namespace", "fsopen"] },
    see: &["capabilities(7), user_namespaces(7)", "fs/namespace.c: may_mount()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno::EPERM)?;
    // Only OPEN_TREE_CLONE asks.
    if call.starts_with("open_tree") && case.failure().number_arg("flags").is_some_and(|f| f & 1 == 0) {
        return None;
    }
    let facts = case.mounting();
    let admin = facts.and_then(|m| m.admin);
    let owns = facts.and_then(|m| m.owns_mounts);
    let said = case.returned("may_mount").or_else(|| case.returned("ns_capable"));
    let state = match (admin, owns) {
        (Some(false), _) => Some(true),
        // A capability counts in its own user namespace and in those below it.
        (Some(true), Some(false)) if facts?.first_user_ns == Some(false) => Some(true),
        (Some(true), Some(_)) => Some(false),
        _ => (said == Some(0)).then_some(true),
    };
    let who = case.who();
    let sentence = match (admin, owns) {
        (Some(true), Some(false)) => format!(
            "{who} has CAP_SYS_ADMIN in its own user namespace, but its mount namespace belongs to another."
        ),
        _ => format!("{who} has no CAP_SYS_ADMIN, and {call} needs it whoever the user is."),
    };
    let mut evidence = Vec::new();
    if let (Some(m), Some(admin)) = (facts, admin) {
        let word = if admin { "held" } else { "lacked" };
        evidence.push(format!(
            "{} ms after it the effective capabilities of {who} {word} CAP_SYS_ADMIN (/proc/PID/status)",
            m.after_ns / 1_000_000
        ));
        if let Some(owns) = owns {
            evidence.push(format!(
                "its mount namespace is owned by {} user namespace (NS_GET_USERNS)",
                if owns { "its own" } else { "another" }
            ));
        }
    }
    if let Some(0) = said {
        evidence.push("the kernel's own check of the capability returned 0".into());
    }
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Capability, "CAP_SYS_ADMIN", "/proc/PID/status"),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let own = case.mounting().is_some_and(|m| m.admin == Some(true));
    if own {
        return vec![fix(
            "now",
            "unshare --user --map-root-user --mount …",
            "a mount namespace of the new user namespace's own, where its capabilities count",
            "start it without",
        )];
    }
    vec![
        fix(
            "first",
            "mount it from outside: docker run --mount type=…",
            "the engine mounts it before the container starts; the container needs no right at all",
            "start it without",
        ),
        fix(
            "now",
            "docker run --cap-add SYS_ADMIN …",
            "in Kubernetes securityContext.capabilities.add; with it a container can do nearly all that root can, and AppArmor's default profile still refuses mounts",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with};
    use crate::model::{Confidence, Fact, Filters, Mounting};

    fn finding(admin: bool, owns: bool, mode: u32) -> Option<crate::model::Finding> {
        let mut i = incident("mount", Errno::EPERM, vec![]);
        i.failure.task.filters = Some(Filters { mode, count: u32::from(mode != 0), inherited: false });
        i.facts.push(Fact::Mounting(Mounting {
            admin: Some(admin),
            owns_mounts: Some(owns),
            first_user_ns: Some(!admin),
            ..Mounting::default()
        }));
        judge_with(&CAUSE, &i)
    }

    #[test]
    fn the_capability_must_be_missing_and_no_filter_there() {
        assert_eq!(finding(false, true, 0).map(|f| f.confidence), Some(Confidence::Proven));
        assert_eq!(finding(true, false, 0).map(|f| f.confidence), Some(Confidence::Proven));
        assert_eq!(finding(false, true, 2).map(|f| f.confidence), Some(Confidence::Likely));
        assert_eq!(finding(true, true, 0), None, "the neighbours: type, locked flags, masked /proc");
        assert_eq!(judge_with(&CAUSE, &incident("mount", Errno::EACCES, vec![])), None);
    }
}
