//! A mount cannot be moved or bound from where it is to where it should go.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, Remedy};

const ELOOP: Errno = Errno(libc::ELOOP);
const DECIDERS: &[&str] = &["has_locked_children", "tree_contains_unbindable"];
const CALLERS: &[&str] = &[
    "do_move_mount",
    "do_move_mount_old",
    "do_loopback",
    "__do_loopback",
    "path_mount",
    "attach_recursive_mnt",
    "graft_tree",
    "vfs_open_tree",
    "open_detached_copy",
    "clone_mnt",
    "copy_tree",
    "__x64_sys_move_mount",
    "do_set_group",
    "can_move_mount_beneath",
    "get_detached_copy",
    "may_copy_tree",
    "lock_mount",
    "do_lock_mount",
    "path_umount",
    "do_umount",
    "can_umount",
    "ksys_umount",
    "mount_is_safe",
    "mnt_ns_loop",
    "check_for_nsfs_mounts",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-move-refused",
    title: "the mount may not be moved or bound like that",
    about: "\
Moving or binding a mount fails with EINVAL where the mounts around it forbid it. A mount may not be moved away from below a shared one (under
systemd all are shared: make the parent private first), nor a tree with an unbindable mount below a shared one. An unbindable
mount cannot be bound. In a user namespace mounts that came along are locked together: one may not be unmounted alone,
and a bind of a folder must be recursive (MS_REC) when locked mounts lie below. A mount namespace's own file, or an older
one, may not be bound into it. ELOOP: the target lies inside what is to be moved; no symbolic link is meant.",
    shows_as: &[("mount", "EINVAL"), ("move_mount", "EINVAL"), ("mount", "ELOOP"), ("move_mount", "ELOOP"), ("open_tree", "EINVAL"), ("umount2", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "moves a mount away from below a shared one, into itself, and binds an unbindable one", risk: "none: in a mount namespace of its own", variants: &["shared", "into-itself", "unbindable"] },
    see: &["mount(2), MS_MOVE and MS_BIND: EINVAL; mount_namespaces(7)", "fs/namespace.c: do_move_mount(), __do_loopback(), has_locked_children()"],
};

fn within(target: &Place, source: &Place) -> bool {
    target.path == source.path
        || target
            .path
            .strip_prefix(source.path.trim_end_matches('/'))
            .is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the state that yields the errno was seen, the sentence, and what the knob is.
type Reason = (Option<bool>, String, &'static str);

/// `None` where what was read refutes all of them.
fn reason(
    case: &Case<'_>,
    (work, unmount, errno): (MountWork, bool, Errno),
    (source, target): (Option<&Place>, Option<&Place>),
) -> Option<Reason> {
    let subject = if unmount { target } else { source };
    let mount = subject.and_then(|s| s.mount.as_ref());
    let parent_shared =
        mount.and_then(|m| m.parent_propagation.as_deref()).is_some_and(|p| p.contains("shared:"));
    let unbindable = mount.is_some_and(|m| m.propagation.contains("unbindable"));
    let nested = case.mounting().is_some_and(|m| m.first_user_ns == Some(false));
    let recursive = case.mount_flags() & libc::MS_REC != 0;
    let below = mount.is_some_and(|m| !m.below.is_empty());
    let nsfs = mount.is_some_and(|m| m.fstype == "nsfs");
    let path = subject.map_or("it", |s| s.path.as_str());
    Some(if unmount {
        if !nested || errno != Errno::EINVAL {
            return None;
        }
        (
            Some(true),
            format!(
                "The mount at {path} came along from an outer mount namespace and is locked to what lies around it."
            ),
            "locked mount",
        )
    } else if errno == ELOOP {
        let inside = source.zip(target).map(|(s, t)| within(t, s));
        if inside == Some(false) {
            return None;
        }
        (
            inside,
            format!("The target lies inside {path}, which was to be moved there; no symbolic link is meant."),
            "target",
        )
    } else if work == MountWork::Move && parent_shared {
        (
            Some(true),
            format!("{path} lies on a shared mount, and a mount cannot be moved away from its peers."),
            "propagation",
        )
    } else if work == MountWork::Bind && unbindable {
        (Some(true), format!("The mount of {path} is unbindable."), "propagation")
    } else if work == MountWork::Bind && nested && !recursive && below {
        (
            Some(true),
            format!("Locked mounts lie below {path}, so it may be bound with all of them only (MS_REC)."),
            "MS_REC",
        )
    } else if work == MountWork::Bind && nsfs {
        (
            None,
            format!("{path} is a mount namespace that may not be bound into itself or into a younger one."),
            "mount namespace",
        )
    } else {
        (
            None,
            format!(
                "The mounts around {path} forbid it: a shared parent, an unbindable or locked mount, or one of another namespace."
            ),
            "propagation",
        )
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if !["mount", "move_mount", "open_tree", "umount2", "umount"].contains(&call)
        || ![Errno::EINVAL, ELOOP].contains(&errno)
    {
        return None;
    }
    let work = match call {
        "move_mount" => MountWork::Move,
        "open_tree" => MountWork::Bind,
        _ => case.mount_work(),
    };
    let unmount = call.starts_with("umount");
    if !unmount && !matches!(work, MountWork::Move | MountWork::Bind) {
        return None;
    }
    let source =
        case.place("source").or_else(|| case.place("from_pathname")).or_else(|| case.place("pathname"));
    let target = case.place("target").or_else(|| case.place("to_pathname"));
    // What is no mount point has a cause of its own.
    let subject = if unmount { target } else { source };
    if (unmount || work == MountWork::Move) && subject.is_some_and(|p| p.mount_root == Some(false)) {
        return None;
    }
    let (state, sentence, name) = reason(case, (work, unmount, errno), (source, target))?;
    let path = subject.map_or("it", |s| s.path.as_str());
    let evidence = [source, target].into_iter().flatten().map(lies).collect();
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, name, path),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let subject = case.place("source").or_else(|| case.place("from_pathname"));
    let point = subject.and_then(|s| s.mount.as_ref()).map_or("PARENT", |m| m.point.as_str()).to_string();
    match proof.knob.name.as_str() {
        "MS_REC" => {
            vec![fix("now", "mount --rbind SOURCE TARGET", "with all mounts below", "umount -R TARGET")]
        }
        "locked mount" => vec![fix(
            "now",
            "umount -R of the whole tree, or pivot_root away from it",
            "locked mounts can be left, not taken apart",
            "none needed",
        )],
        "target" => vec![fix(
            "now",
            "choose a target outside the source",
            "a bind mount may go inside; a move may not",
            "none needed",
        )],
        _ => vec![fix(
            "now",
            format!("mount --make-private {point}"),
            "of the mount that holds it, in a mount namespace of your own; what its peers see no longer follows",
            &format!("mount --make-shared {point}"),
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact};

    fn finding(errno: Errno, flags: u64, target: &str, own: &str, parent: &str) -> Option<Confidence> {
        let mut i = incident("mount", errno, vec![]);
        set_args(&mut i, &[("source", "/a"), ("target", target)], &[("flags", flags)]);
        let mut source = place("source", "/a", "rw");
        let mount = source.mount.as_mut().unwrap();
        (mount.propagation, mount.parent_propagation) = (own.into(), Some(parent.into()));
        i.facts.extend([Fact::Place(source), Fact::Place(place("target", target, "rw"))]);
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn shared_parents_loops_and_unbindable_mounts() {
        assert_eq!(finding(Errno::EINVAL, libc::MS_MOVE, "/b", "", "shared:1"), Some(Confidence::Proven));
        assert_eq!(finding(Errno::EINVAL, libc::MS_MOVE, "/b", "", ""), Some(Confidence::Possible));
        assert_eq!(finding(ELOOP, libc::MS_MOVE, "/a/b", "", ""), Some(Confidence::Proven));
        assert_eq!(finding(ELOOP, libc::MS_MOVE, "/ab", "", ""), None);
        assert_eq!(finding(Errno::EINVAL, libc::MS_BIND, "/b", "unbindable", ""), Some(Confidence::Proven));
        assert_eq!(finding(Errno::EINVAL, 0, "/b", "", "shared:1"), None);
    }
}
