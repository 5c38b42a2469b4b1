//! pivot_root(2) finds the mounts in another shape than it needs.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, Remedy};

const DECIDERS: &[&str] = &["path_pivot_root", "__x64_sys_pivot_root"];

pub(super) static CAUSE: Cause = Cause {
    slug: "pivot-root-refused",
    title: "pivot_root needs other mounts than these",
    about: "\
pivot_root(2) fails with EINVAL or EBUSY and names no reason. EINVAL: the mount that holds the new root, or the one that holds the present root,
is shared (under systemd all are: make them private, `mount --make-rprivate /`, which unshare(1) does); the new root is no mount
point; the place for the old root is not below the new one; or the present root is the initial rootfs, which cannot be
moved: on systems that run from an initramfs (minikube, kata, many appliances) engines need --no-pivot. EBUSY: the new
root or the place for the old one is on the present root mount itself, so bind it on itself first. ENOTDIR: one is a file.",
    shows_as: &[("pivot_root", "EINVAL"), ("pivot_root", "EBUSY"), ("pivot_root", "ENOTDIR")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "pivots to a root below a shared mount, and to one on the present root", risk: "none: in a mount namespace of its own", variants: &["shared", "busy"] },
    see: &["pivot_root(2)", "fs/namespace.c: path_pivot_root()"],
};

fn shared(propagation: Option<&str>) -> bool {
    propagation.is_some_and(|p| p.contains("shared:"))
}

fn parent_shared(place: &Place) -> bool {
    place.mount.as_ref().is_some_and(|m| shared(m.parent_propagation.as_deref()))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if call != "pivot_root" || ![Errno::EINVAL, Errno::EBUSY, Errno(libc::ENOTDIR)].contains(&errno) {
        return None;
    }
    let (new, old, root) = (case.place("new_root"), case.place("put_old"), case.place("root"));
    let point =
        |p: Option<&Place>| p.and_then(|p| p.mount.as_ref()).map(|m| m.point.clone()).unwrap_or_default();
    if errno == Errno::EINVAL && new.is_some_and(|n| n.mount_root == Some(false)) {
        return None; // not-a-mount-point says it.
    }
    let same_as_root = |p: Option<&Place>| !point(p).is_empty() && point(p) == point(root);
    let old_shared = old.and_then(|o| o.mount.as_ref()).is_some_and(|m| shared(Some(&m.propagation)));
    let rootfs = root.and_then(|r| r.fstype()) == Some("rootfs")
        || root
            .and_then(|r| r.mount.as_ref())
            .is_some_and(|m| m.parent_propagation.is_none() && m.fstype == "rootfs");
    let outside = !point(new).is_empty() && !point(old).is_empty() && !under(old, new);
    let (state, sentence, name) = match errno {
        Errno::EBUSY if same_as_root(new) || same_as_root(old) => (Some(true), "The new root, or the place for the old one, lies on the present root mount; each must be another mount.".to_string(), "new_root"),
        Errno::EBUSY => (None, "The new root or the place for the old one is on the present root mount.".into(), "new_root"),
        Errno::EINVAL if new.is_some_and(parent_shared) => (Some(true), format!("The mount that holds the new root {} is shared, so it cannot be taken away from its peers.", new?.path), "propagation"),
        Errno::EINVAL if root.is_some_and(parent_shared) => (Some(true), "The mount below the present root is shared.".into(), "propagation"),
        Errno::EINVAL if old_shared => (Some(true), format!("The mount that would hold the old root ({}) is shared.", point(old)), "propagation"),
        Errno::EINVAL if rootfs => (Some(true), "The present root is the initial rootfs, which cannot be moved.".into(), "rootfs"),
        Errno::EINVAL if outside => (Some(true), "The place for the old root is not below the new root.".into(), "put_old"),
        Errno::EINVAL => (None, "A shared mount, a root that is the initial rootfs, or a place for the old root outside the new one.".into(), "propagation"),
        _ => (old.or(new).map(|_| true), "The new root or the place for the old one is no folder.".into(), "new_root"),
    };
    let evidence = [new, old, root].into_iter().flatten().map(|p| {
        let parent = p
            .mount
            .as_ref()
            .and_then(|m| m.parent_propagation.as_deref())
            .map_or("not seen", |s| if s.is_empty() { "private" } else { s });
        format!("{}; the mount below is {parent}", lies(p))
    });
    Claim {
        deciders: &[],
        callers: DECIDERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, name, new.map(|p| p.path.clone()).unwrap_or_default()),
        evidence: evidence.collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn under(old: Option<&Place>, new: Option<&Place>) -> bool {
    let (Some(old), Some(new)) = (old, new) else { return true };
    // `pivot_root(".", ".")` stacks the old root on the new one.
    !old.path.starts_with('/')
        || !new.path.starts_with('/')
        || old.path.starts_with(new.path.trim_end_matches('/'))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let new = case.place("new_root").map_or("NEWROOT", |p| p.path.as_str()).to_string();
    match proof.knob.name.as_str() {
        "rootfs" => vec![
            fix(
                "now",
                "runc run --no-pivot; DOCKER_RAMDISK=true",
                "moves the new root over / and changes into it (MS_MOVE, chroot); the old one stays below",
                "start it without",
            ),
            fix(
                "for good",
                "switch_root to a tmpfs or a disk at boot",
                "then / is an ordinary mount",
                "the boot as it was",
            ),
        ],
        "new_root" => vec![fix(
            "now",
            format!("mount --rbind {new} {new}"),
            "makes it a mount of its own",
            &format!("umount -R {new}"),
        )],
        _ => vec![fix(
            "now",
            "mount --make-rprivate /",
            "in the mount namespace that is about to pivot, never in the host's: there volumes of other containers depend on it",
            "mount --make-rshared /",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact, Finding};

    fn finding(errno: Errno, new_parent: &str, root_type: &str, same: bool) -> Option<Finding> {
        let mut i = incident("pivot_root", errno, vec![]);
        let with = |role: &str, path: &str, parent: Option<&str>| {
            let mut p = place(role, path, "rw");
            let mount = p.mount.as_mut().unwrap();
            mount.parent_propagation = parent.map(Into::into);
            mount.point = if same || role == "root" { "/".into() } else { "/r".into() };
            p
        };
        let mut root = with("root", "/", Some(""));
        root.mount.as_mut().unwrap().fstype = root_type.into();
        i.facts.extend([
            Fact::Place(with("new_root", "/r", Some(new_parent))),
            Fact::Place(with("put_old", "/r/old", Some(""))),
            Fact::Place(root),
        ]);
        judge_with(&CAUSE, &i)
    }

    #[test]
    fn the_shape_is_named() {
        assert_eq!(finding(Errno::EINVAL, "shared:1", "ext4", false).unwrap().knob.name, "propagation");
        assert_eq!(finding(Errno::EINVAL, "", "rootfs", false).unwrap().knob.name, "rootfs");
        let busy = finding(Errno::EBUSY, "", "ext4", true).unwrap();
        assert_eq!((busy.confidence, busy.knob.name.as_str()), (Confidence::Proven, "new_root"));
        assert_eq!(finding(Errno::EINVAL, "", "ext4", false).unwrap().confidence, Confidence::Possible);
    }
}
