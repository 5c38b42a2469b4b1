//! A file system type that only the machine's own root may mount.

use super::case::signs::{Claim, MountWork, filtered, fix, knob};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["mount_capable"];
const CALLERS: &[&str] = &[
    "do_new_mount",
    "path_mount",
    "ns_capable",
    "capable",
    "alloc_fs_context",
    "vfs_cmd_create",
    "sget_fc",
    "__x64_sys_fsconfig",
    "vfs_fsconfig_locked",
    "get_tree_bdev_flags",
    "bdev_permission",
];

/// Types with FS_USERNS_MOUNT in 5.10 to 7.x; overlay since 5.11 (Debian earlier), fuse since 4.18.
const ALLOWED: &[&str] = &[
    "proc",
    "sysfs",
    "tmpfs",
    "ramfs",
    "devpts",
    "mqueue",
    "cgroup",
    "cgroup2",
    "overlay",
    "fuse",
    "bpf",
    "binfmt_misc",
    "aufs",
    "shiftfs",
    "efivarfs",
    "nsfs",
    "devtmpfs",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-type-needs-root",
    title: "this file system type may not be mounted in a user namespace",
    about: "\
In a user namespace (a rootless container, docker's userns-remap, unshare -U) mount(2) of a disk file system fails with EPERM
although the caller has CAP_SYS_ADMIN there. The kernel trusts no parser of disk formats with what an unprivileged user
wrote: mount_capable() in fs/super.c lets a type be mounted outside the first user namespace only when it carries
FS_USERNS_MOUNT, and of the usual ones that are proc, sysfs, tmpfs, ramfs, devpts, mqueue, cgroup, bpf, fuse and, since 5.11,
overlay. ext4, xfs, btrfs, nfs, cifs, squashfs are not among them. No capability inside the container helps.",
    shows_as: &[("mount", "EPERM"), ("fsconfig", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival { name: "a seccomp filter", ruled_out_by: "no filter on the task, or a kernel path of the call", stands: filtered }],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts a disk file system type in a user namespace with a mount namespace of its own", risk: "none: nothing is mounted", variants: &["mount"] },
    see: &["user_namespaces(7)", "fs/super.c: mount_capable(); FS_USERNS_MOUNT in include/linux/fs.h"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mount", "fsconfig"], Errno::EPERM)?;
    // FSCONFIG_CMD_CREATE and _EXCL.
    let create = call == "fsconfig" && matches!(case.failure().number_arg("cmd"), Some(6 | 8));
    if !(create || call == "mount" && case.mount_work() == MountWork::New) {
        return None;
    }
    let facts = case.mounting();
    let fstype = case.failure().text_arg("fstype");
    let outside = facts.and_then(|m| m.first_user_ns).map(|first| !first);
    if facts.is_some_and(|m| {
        m.admin == Some(false) || m.owns_mounts == Some(false) || matches!(m.shows, Some((_, false)))
    }) {
        return None;
    }
    let refused = fstype.map(|t| !ALLOWED.contains(&t.split('.').next().unwrap_or(t)));
    let said = case.returned("mount_capable");
    let mut missing = Vec::new();
    let state = match (outside, refused, said) {
        (Some(false), ..) | (_, Some(false), None | Some(1)) => return None,
        (Some(true), Some(true), _) => {
            if facts.is_none_or(|m| m.registered != Some(true)) {
                missing.push("whether the kernel has the type at all".into());
            }
            Some(true)
        }
        (_, _, Some(0)) => Some(true),
        _ => None,
    };
    let name = fstype.unwrap_or("this type");
    let mut evidence = Vec::new();
    if outside == Some(true) {
        evidence.push(format!(
            "{} is in a user namespace that is not the machine's first, with CAP_SYS_ADMIN there",
            case.who()
        ));
    }
    if said == Some(0) {
        evidence.push("mount_capable returned 0".into());
    }
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence: format!("{name} may be mounted by the machine's root alone (it has no FS_USERNS_MOUNT), and {} is in a user namespace.", case.who()),
        knob: knob(KnobKind::Other, "FS_USERNS_MOUNT", name),
        evidence,
        missing,
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let source = case.failure().text_arg("source").unwrap_or("DEVICE").to_string();
    vec![
        fix(
            "now",
            format!("mount {source} /mnt/data && docker run -v /mnt/data:/data …"),
            "on the host: mounted there, bound into the container",
            "umount /mnt/data",
        ),
        fix(
            "or",
            format!("fuse2fs {source} DIR"),
            "in the container: the same disk through FUSE (squashfuse, fuse-overlayfs for others); slower, and needs /dev/fuse",
            "fusermount3 -u DIR",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, set_args};
    use crate::model::{Confidence, Fact, Filters, Mounting};

    fn finding(fstype: &str, first: bool) -> Option<Confidence> {
        let mut i = incident("mount", Errno::EPERM, vec![]);
        set_args(&mut i, &[("fstype", fstype)], &[("flags", 0)]);
        i.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        i.facts.push(Fact::Mounting(Mounting {
            admin: Some(true),
            owns_mounts: Some(true),
            first_user_ns: Some(first),
            registered: Some(true),
            ..Mounting::default()
        }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_disk_type_outside_the_first_user_namespace() {
        assert_eq!(finding("ext4", false), Some(Confidence::Proven));
        assert_eq!(finding("ext4", true), None);
        assert_eq!(finding("proc", false), None, "masked /proc, or a pid namespace of another");
    }
}
