//! A mount is in use: it can be neither unmounted, nor made read-only, nor mounted a second time.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["propagate_mount_busy", "sb_prepare_remount_readonly"];
const CALLERS: &[&str] = &[
    "do_umount",
    "path_umount",
    "ksys_umount",
    "reconfigure_super",
    "do_remount",
    "do_reconfigure_mnt",
    "graft_tree",
    "do_add_mount",
    "do_new_mount",
    "do_new_mount_fc",
    "mount_setattr_prepare",
    "do_mount_setattr",
    "get_tree_bdev_flags",
    "get_tree_bdev",
    "setup_bdev_super",
    "blkdev_get_by_path",
    "bd_prepare_to_claim",
    "bdev_open_by_dev",
    "bdev_file_open_by_dev",
    "mount_bdev",
    "ext4_get_tree",
    "ext4_mount",
    "bd_may_claim",
    "bdev_open",
    "cgroup1_get_tree",
    "do_lock_mount",
    "lock_mount",
    "mnt_hold_writers",
    "mnt_make_readonly",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-busy",
    title: "the mount or its device is in use",
    about: "\
EBUSY, \"Device or resource busy\", of umount(2) and mount(2) has several reasons. Unmounting: something below still uses it, a working
folder, an open file, a running program, or another mount on top of it; a copy of the mount in another mount namespace does
not count, so that a process you cannot see may hold the device while umount works. Remounting read-only: a file is open
for writing, or deleted and still open. Mounting: the same file system is mounted at this very place already, or the device
is in use in another way: mounted read-only while this is for writing, claimed by device mapper, md, swap or mkfs. Stopping a
container waits for none of these. It is no resource that ran out.",
    shows_as: &[("umount2", "EBUSY"), ("mount", "EBUSY"), ("mount_setattr", "EBUSY"), ("move_mount", "EBUSY"), ("fsconfig", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "unmounts a tmpfs with a file open, or makes it read-only", risk: "none: in a mount namespace of its own", variants: &["umount", "remount"] },
    see: &["umount(2), EBUSY; mount(2), EBUSY", "fs/namespace.c: do_umount(), do_add_mount(); fs/super.c: reconfigure_super()", "fuser(1)"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["umount2", "umount", "mount", "mount_setattr", "move_mount"], Errno::EBUSY)?;
    let facts = case.mounting();
    let work = case.mount_work();
    let overlay = case.is_new_overlay(Errno::EBUSY);
    let target =
        case.place("target").or_else(|| case.place("pathname")).or_else(|| case.place("to_pathname"));
    let point = target.and_then(|t| t.mount.as_ref()).map_or_else(
        || case.failure().text_arg("target").unwrap_or_default().to_string(),
        |m| m.point.clone(),
    );
    let below = target.and_then(|t| t.mount.as_ref()).map_or(&[][..], |m| &m.below[..]);
    let users = facts.map_or(&[][..], |m| &m.users[..]);
    let writers = facts.map_or(&[][..], |m| &m.writers[..]);
    let mut evidence: Vec<String> = target.map(lies).into_iter().collect();
    let cite = |list: &[String], evidence: &mut Vec<String>| evidence.extend(list.iter().take(4).cloned());
    let device = facts.and_then(|m| m.device.as_ref());
    let twice = case.failure().text_arg("fstype").is_some()
        && target.is_some_and(|t| {
            t.mount_root == Some(true)
                && Some(t.fstype().unwrap_or_default()) == case.failure().text_arg("fstype")
        });
    let (state, sentence) = match (call, work) {
        ("umount2" | "umount", _) if !users.is_empty() => {
            cite(users, &mut evidence);
            (Some(true), format!("{point} is in use by {}.", users.first()?))
        }
        ("umount2" | "umount", _) if !below.is_empty() => (Some(true), format!("Another mount lies on {point}: {}.", below.join(", "))),
        ("umount2" | "umount", _) => (None, format!("Something below {point} is in use: an open file, a working folder, or a mount on it.")),
        ("mount", MountWork::Remount | MountWork::RemountBind) | ("mount_setattr", _) if !writers.is_empty() => {
            cite(writers, &mut evidence);
            (Some(true), format!("{point} cannot become read-only: {}.", writers.first()?))
        }
        ("mount", MountWork::Remount | MountWork::RemountBind) | ("mount_setattr", _) => (None, format!("{point} cannot become read-only while files on it are open for writing, or deleted and still open.")),
        ("mount", MountWork::New) if overlay => return None,
        ("mount", MountWork::New) if twice => (Some(true), format!("The same file system is mounted at {point} already.")),
        ("mount", MountWork::New) if device.is_some_and(|d| !d.holders.is_empty()) => (Some(true), format!("The device belongs to {}: it is part of another device.", device?.holders.join(", "))),
        ("mount", MountWork::New) if device.is_some_and(|d| !d.mounted.is_empty()) => (Some(true), format!("The device is mounted already, in another way: {}.", device?.mounted.join("; "))),
        ("mount", MountWork::New) if device.is_some() => (None, "The device is in use by somebody who does not share it: another mount namespace, swap, mkfs or a volume manager.".into()),
        ("mount" | "move_mount", _) => (None, format!("{point} or what was to be mounted is in use.")),
        _ => return None,
    };
    let knob_path = if point.is_empty() { device.map(|d| d.path.clone()).unwrap_or_default() } else { point };
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, "references", knob_path),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let at = if proof.knob.path.is_empty() { "DIR" } else { proof.knob.path.as_str() };
    let call = case.failure().syscall().map_or("", |c| c.0);
    let mut out = vec![fix(
        "look",
        format!("fuser -vm {at}; grep -l ' {at} ' /proc/*/mountinfo"),
        "who uses it, and in which mount namespaces it is mounted too",
        "reads only",
    )];
    if call.starts_with("umount") {
        out.push(fix("now", format!("umount --lazy {at}"), "gone from the tree at once (MNT_DETACH); the file system stays until the last user leaves, so the device stays busy", "mount it again"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Mounting};

    #[test]
    fn who_uses_it_is_named() {
        let mut i = incident("umount2", Errno::EBUSY, vec![]);
        set_args(&mut i, &[("target", "/m")], &[("flags", 0)]);
        i.facts.push(Fact::Place(place("target", "/m", "rw")));
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
        i.facts.push(Fact::Mounting(Mounting {
            users: vec!["nginx (pid 7): its working folder".into()],
            ..Mounting::default()
        }));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        assert!(f.sentence.contains("nginx"));
    }

    #[test]
    fn an_overlay_has_its_own_cause() {
        let mut i = incident("mount", Errno::EBUSY, vec![]);
        set_args(&mut i, &[("fstype", "overlay")], &[("flags", 0)]);
        assert_eq!(judge_with(&CAUSE, &i), None);
    }
}
