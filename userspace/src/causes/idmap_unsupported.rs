//! A mount cannot get a mapping of ids (MOUNT_ATTR_IDMAP).

use super::case::signs::{Claim, fix, knob};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["can_idmap_mount"];
const CALLERS: &[&str] = &[
    "mount_setattr_prepare",
    "do_mount_setattr",
    "__x64_sys_mount_setattr",
    "build_mount_idmapped",
    "build_mount_kattr",
];

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

/// Types without FS_ALLOW_IDMAP on every kernel up to 7.x.
const NEVER: &[&str] = &[
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devpts",
    "mqueue",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "devtmpfs",
    "debugfs",
    "tracefs",
    "securityfs",
    "configfs",
    "bpf",
    "ramfs",
    "autofs",
    "binfmt_misc",
    "pstore",
    "efivarfs",
    "ecryptfs",
];

/// Types that got it later than 5.12: (type, first kernel).
const LATE: &[(&str, &str)] = &[
    ("tmpfs", "6.3"),
    ("overlay", "5.19"),
    ("btrfs", "5.15"),
    ("erofs", "5.19"),
    ("f2fs", "5.18"),
    ("squashfs", "6.2"),
    ("ceph", "6.7"),
    ("hugetlbfs", "6.9"),
    ("fuse", "6.12"),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "idmap-unsupported",
    title: "this file system cannot be mounted with mapped ids",
    about: "\
mount_setattr(2) with MOUNT_ATTR_IDMAP fails with EINVAL: the type has no FS_ALLOW_IDMAP on this kernel. Engines ask for it to give a container with user
namespaces its volumes (Kubernetes hostUsers: false, podman --userns with :idmap, containerd). ext4, xfs and vfat have it since 5.12, btrfs since
5.15, overlay since 5.19, tmpfs since 6.3; nfs, proc, sysfs and cgroup do not. One volume on such a file system, or a tmpfs for a
secret on an older kernel, stops the whole pod. EINVAL also says that the mount is not a detached one, or mapped already.",
    shows_as: &[("mount_setattr", "EINVAL"), ("open_tree_attr", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a user namespace of another process is needed to map to"),
    see: &["mount_setattr(2), MOUNT_ATTR_IDMAP", "fs/namespace.c: can_idmap_mount(); FS_ALLOW_IDMAP in include/linux/fs.h"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["mount_setattr", "open_tree_attr"], Errno::EINVAL)?;
    let asked = case.mount_attributes().map(|bits| bits & MOUNT_ATTR_IDMAP != 0);
    if asked == Some(false) {
        return None;
    }
    let place = case.place("pathname");
    let fstype = place.and_then(|p| p.fstype());
    let never = fstype.is_some_and(|t| NEVER.contains(&t));
    let late = LATE.iter().find(|row| Some(row.0) == fstype);
    if fstype.is_some() && !never && late.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    let state = (asked == Some(true) && never).then_some(true);
    let name = fstype.unwrap_or("this type");
    let since = late.map_or_else(String::new, |row| format!(" before {}", row.1));
    let mut evidence = Vec::new();
    if let Some(p) = place {
        evidence.push(format!("{} ms after it {} lay on {name}", p.after_ns / 1_000_000, p.path));
    }
    if asked == Some(true) {
        evidence.push("MOUNT_ATTR_IDMAP was set in the attributes of the call".into());
    }
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence: format!("{name} does not take mounts with mapped ids{since} (no FS_ALLOW_IDMAP)."),
        knob: knob(KnobKind::Other, "FS_ALLOW_IDMAP", name),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "now",
            "chown -R to the ids that the container's users are mapped to",
            "instead of a mapping; other containers see other owners then",
            "chown back",
        ),
        fix(
            "for good",
            "a volume on ext4, xfs or btrfs, or a newer kernel",
            "uname -r and the table in `diag explain --cause idmap-unsupported` tell",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact, State};

    fn finding(fstype: &str, bits: &str) -> Option<Confidence> {
        let mut i = incident("mount_setattr", Errno::EINVAL, vec![]);
        let mut p = place("pathname", "/x", "rw");
        p.mount.as_mut().unwrap().fstype = fstype.into();
        i.facts.push(Fact::Place(p));
        i.facts.push(Fact::State(State {
            name: "mount_attr.attr_set".into(),
            of: String::new(),
            value: bits.into(),
            source: String::new(),
            after_ns: 1,
        }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn only_when_ids_were_to_be_mapped() {
        assert_eq!(finding("proc", "0x100000"), Some(Confidence::Proven));
        assert_eq!(finding("proc", "0x1"), None);
        assert_eq!(
            finding("ext4", "0x100000"),
            None,
            "it can; the mount is attached, or the namespace is no user namespace"
        );
        assert_eq!(finding("tmpfs", "0x100000"), Some(Confidence::Possible), "since 6.3 it can");
    }
}
