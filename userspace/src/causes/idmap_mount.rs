//! Ids may be mapped for a mount once, before it is attached, and by another user namespace than its own.

use super::case::claim::{self, knob, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["can_idmap_mount", "build_mount_idmapped"];
const CALLERS: &[&str] = &[
    "do_mount_setattr",
    "mount_setattr_prepare",
    "__x64_sys_mount_setattr",
    "__do_sys_mount_setattr",
    "build_mount_kattr",
    "wants_mount_setattr",
];
const ASKED: &str = "mount_attr.attr_set";
const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

pub(super) static CAUSE: Cause = Cause {
    slug: "idmap-mount",
    title: "ids cannot be mapped for this mount, or by this user namespace",
    about: "\
mount_setattr(2) with MOUNT_ATTR_IDMAP fails although the file system has it. EPERM, \"Operation not permitted\": the descriptor leads \
to the first user namespace, or the mount has mapped ids already and cannot get others; or the caller has no CAP_SYS_ADMIN over the \
file system's user namespace, which root of a rootless engine has not for the host's disks. EINVAL, \"Invalid argument\": the mount \
is attached somewhere (a copy must be made first, by open_tree(2) with OPEN_TREE_CLONE, and be moved after), or the namespace is the \
file system's own. can_idmap_mount() in fs/namespace.c asks all of it.",
    shows_as: &[("mount_setattr", "EPERM"), ("mount_setattr", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("a user namespace of another process is needed to map to"),
    see: &[
        "mount_setattr(2), MOUNT_ATTR_IDMAP; EPERM, EINVAL",
        "fs/namespace.c: can_idmap_mount(), build_mount_idmapped()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let forbidden = case.denied(&["mount_setattr", "open_tree_attr"], Errno::EPERM).is_some();
    if !forbidden && case.denied(&["mount_setattr", "open_tree_attr"], Errno::EINVAL).is_none() {
        return None;
    }
    let bits = case.mount_attributes()?;
    if bits & MOUNT_ATTR_IDMAP == 0 || forbidden && case.mounting().and_then(|m| m.admin) == Some(false) {
        return None;
    }
    let place = case.place("pathname");
    let attached = place.is_some_and(|p| p.mount.is_some() && !p.path.is_empty());
    let (state, sentence) = match (forbidden, attached) {
        (true, _) => (None, "Ids cannot be mapped so: the user namespace is the first one, the mount has mapped ids already, or the file system belongs to another user namespace.".to_string()),
        (false, true) => (Some(true), format!("{} is attached: ids are mapped for a mount before it is (OPEN_TREE_CLONE first).", place.map_or("The mount", |p| p.path.as_str()))),
        (false, false) => (None, "Ids cannot be mapped for a mount that is attached, or by the file system's own user namespace.".to_string()),
    };
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    // A type without mapped ids says EINVAL as well.
    let most =
        if forbidden || case.verdict(DECIDERS).is_some() { Confidence::Likely } else { Confidence::Possible };
    weighed.confidence = if forbidden { Confidence::Likely } else { weighed.confidence.min(most) };
    let path = place.map(|p| p.path.clone()).unwrap_or_default();
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, "MOUNT_ATTR_IDMAP", path))
            .because([format!("{ASKED} was {bits:#x}")]),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "mount --bind -o X-mount.idmap=b:0:100000:65536 SOURCE DIR",
            "util-linux 2.39 makes the copy, maps its ids and attaches it, in the order that the kernel wants",
            "umount DIR",
        ),
        step(
            "for good",
            "have the engine map the volume (podman -v …:idmap, hostUsers: false)",
            "as root of the machine: a rootless engine cannot map ids of the host's file systems",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, place, state, valued};
    use crate::model::Fact;

    fn judged(errno: Errno, bits: &str, attached: bool) -> Option<Confidence> {
        let mut i = valued("mount_setattr", errno, &[], &[], vec![]);
        i.facts.push(state(ASKED, "", bits));
        if attached {
            i.facts.push(Fact::Place(place("pathname", "/data", "rw")));
        }
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn only_a_call_that_maps_ids_is_claimed_and_never_called_proven() {
        assert_eq!(judged(Errno::EPERM, "0x100000", false), Some(Confidence::Likely));
        assert_eq!(judged(Errno::EINVAL, "0x100000", true), Some(Confidence::Possible));
        assert_eq!(judged(Errno::EPERM, "0x1", false), None);
        assert_eq!(judged(Errno::EBUSY, "0x100000", true), None);
    }
}
