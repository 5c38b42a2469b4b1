//! The mount, its file system or the overlay without an upper folder is read-only.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, Remedy};

const EROFS: Errno = Errno(libc::EROFS);
const DECIDERS: &[&str] = &["mnt_get_write_access", "__mnt_want_write"];
const CALLERS: &[&str] = &[
    "inode_permission",
    "open_last_lookups",
    "do_mkdirat",
    "filename_mkdirat",
    "do_unlinkat",
    "filename_unlinkat",
    "do_renameat2",
    "filename_renameat2",
    "do_fchmodat",
    "do_fchownat",
    "chmod_common",
    "__mnt_want_write_file",
    "may_open",
    "do_open",
    "do_dentry_open",
    "do_truncate",
    "vfs_truncate",
    "do_sys_truncate",
    "notify_change",
    "do_utimes",
    "setxattr",
    "path_setxattr",
    "filename_setxattr",
    "do_rmdir",
    "do_linkat",
    "do_symlinkat",
    "do_mknodat",
    "mnt_get_write_access_file",
    "ext4_create",
    "do_last",
    "mnt_want_write",
    "mnt_want_write_file",
    "sb_permission",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-read-only",
    title: "what was to be written to is mounted read-only",
    about: "\
Writing fails with EROFS, \"Read-only file system\", and three quite different things say so. The mount is read-only (docker run --read-only, a
volume with :ro, a path that the engine protects as /proc/sys, readOnlyRootFilesystem of Kubernetes) while the file system is not: a matter of
the container's configuration. The file system is read-only: mounted so, or made so by the kernel after errors
(errors=remount-ro), which is a matter of the disk. Or it is an overlay that has no upper folder, or whose work folder could not be
made. Capabilities do not help: root is refused as everybody else.",
    shows_as: &[("openat", "EROFS"), ("mkdir", "EROFS"), ("unlink", "EROFS"), ("rename", "EROFS"), ("write", "EROFS"), ("chmod", "EROFS"), ("mount", "EROFS")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "makes a folder on a read-only mount, a read-only tmpfs, and an overlay without upper folder", risk: "none: in a mount namespace of its own", variants: &["mount", "file-system", "overlay"] },
    see: &["mount(8), ro; open(2), EROFS", "fs/namespace.c: mnt_get_write_access(); fs/namei.c: sb_permission()"],
};

/// Which of the three it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Mount,
    Overlay,
    Errors,
    FileSystem,
}

fn kind(place: &Place) -> Option<Kind> {
    let mount = place.mount.as_ref()?;
    let upperless =
        mount.fstype == "overlay" && !mount.options.split(',').any(|o| o.starts_with("upperdir="));
    let errors =
        mount.options.split(',').any(|o| matches!(o, "errors=remount-ro" | "emergency_ro" | "shutdown"));
    if upperless {
        return Some(Kind::Overlay);
    }
    match (place.option("ro")?, place.flag("ro")?) {
        // A mount that was made for writing on a file system that is not: the kernel took it back.
        (true, false) if errors => Some(Kind::Errors),
        (true, _) => Some(Kind::FileSystem),
        (false, true) => Some(Kind::Mount),
        (false, false) => None,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if errno != EROFS || call == "mount" && case.place("target").is_none() {
        return None;
    }
    let changed = case.places().find(|p| kind(p).is_some()).or_else(|| case.places().next());
    let found = changed.and_then(kind);
    let looked = changed.is_some_and(|p| p.mount.is_some());
    if looked && found.is_none() {
        return None;
    }
    let path = changed
        .map(|p| p.path.clone())
        .or_else(|| case.failure().text_arg("pathname").map(Into::into))
        .unwrap_or_default();
    let (fstype, point) = changed
        .and_then(|p| p.mount.as_ref())
        .map_or(("file system", ""), |m| (m.fstype.as_str(), m.point.as_str()));
    let (sentence, name) = match found {
        Some(Kind::Mount) => (
            format!("{path} lies on a mount that is read-only ({point}); its file system, {fstype}, is not."),
            "ro",
        ),
        Some(Kind::Overlay) => (
            format!(
                "{path} lies on an overlay without upper folder ({point}): such overlays can only be read."
            ),
            "upperdir",
        ),
        Some(Kind::Errors) => (
            format!(
                "The {fstype} at {point} turned read-only: it was mounted for writing, and the kernel stopped that after errors."
            ),
            "errors=remount-ro",
        ),
        Some(Kind::FileSystem) => {
            (format!("The {fstype} at {point} is read-only as a whole, for all its mounts."), "ro")
        }
        None => (format!("{path} lies on a read-only mount or file system."), "ro"),
    };
    let evidence = changed.filter(|_| looked).map(lies).into_iter().collect();
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state: found.map(|_| true),
        sentence,
        knob: knob(KnobKind::MountOption, name, point),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let found = case.places().find_map(kind);
    let point = if proof.knob.path.is_empty() { "DIR" } else { proof.knob.path.as_str() };
    let pid = case.failure().task.pid;
    let (remount, undo) = (
        format!("nsenter -t {pid} -m mount -o remount,bind,rw {point}"),
        format!("nsenter -t {pid} -m mount -o remount,bind,ro {point}"),
    );
    match found {
        Some(Kind::Errors) => vec![
            fix(
                "look",
                "dmesg | grep -iE 'ext4|xfs|btrfs|I/O error'",
                "which error it was; the disk may be dying",
                "reads only",
            ),
            fix(
                "then",
                format!("umount {point}; fsck DEVICE; mount {point}"),
                "writing on to a damaged file system makes it worse, so no remount,rw before",
                "none",
            ),
        ],
        Some(Kind::Overlay) => vec![fix(
            "for good",
            "mount -t overlay … -o lowerdir=…,upperdir=UPPER,workdir=WORK",
            "an upper folder takes the changes",
            "umount it",
        )],
        Some(Kind::FileSystem) => vec![fix(
            "now",
            format!("mount -o remount,rw {point}"),
            "for the file system, so for all its mounts; squashfs, iso9660 and erofs can never be written",
            &format!("mount -o remount,ro {point}"),
        )],
        _ => vec![
            fix(
                "for good",
                "docker run --tmpfs /path … ; -v VOLUME:/path without :ro",
                "gives the program a place to write; in Kubernetes an emptyDir, or readOnly: false on the volumeMount",
                "start it without",
            ),
            fix(
                "now",
                remount,
                "this mount alone, until the container ends; it was made read-only on purpose",
                &undo,
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact, Finding};

    fn finding(fstype: &str, flags: &str, options: &str) -> Option<Finding> {
        let mut i = incident("mkdir", EROFS, vec![]);
        let mut p = place("pathname", "/m/x", flags);
        let mount = p.mount.as_mut().unwrap();
        (mount.fstype, mount.options) = (fstype.into(), options.into());
        i.facts.push(Fact::Place(p));
        judge_with(&CAUSE, &i)
    }

    #[test]
    fn mount_file_system_errors_and_overlay_are_told_apart() {
        assert_eq!(finding("tmpfs", "ro", "rw").unwrap().confidence, Confidence::Proven);
        assert!(finding("ext4", "rw", "ro,errors=remount-ro").unwrap().sentence.contains("after errors"));
        assert!(finding("ext4", "ro", "ro").unwrap().sentence.contains("as a whole"));
        assert_eq!(finding("overlay", "rw", "ro,lowerdir=a:b").unwrap().knob.name, "upperdir");
        assert_eq!(
            finding("ext4", "rw", "rw"),
            None,
            "something else, as a device or an immutable swap file"
        );
    }
}
