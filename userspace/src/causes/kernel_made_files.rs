//! Folders of procfs, sysfs and their kin: the kernel alone makes and removes what is in them.

use super::case::claim::{knob, look, step, weigh};
use super::case::rights::{object, objects, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, ObjectKind, PathObject, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "kernel-made-files",
    title: "in this file system the kernel alone makes and removes files",
    about: "\
mkdir in /proc says \"No such file or directory\" although /proc is there, touch in /sys/fs/cgroup says \"Permission denied\" to root, rm in /proc/sys says \
\"Operation not permitted\". These file systems show objects of the kernel; a file appears when the object does. Where the file system has no operation for the \
call, the VFS answers for it: EACCES to open(2) with O_CREAT, EPERM to mkdir, mknod, symlink, link, unlink, rmdir and rename (fs/namei.c: vfs_create(), \
vfs_mkdir(), vfs_unlink(), ...). procfs is asked for the name first, and says ENOENT.

It surprises because no right and no capability helps. Images bring it up that have files below /proc or /sys, volumes whose mount point an engine \
would make there (runc: \"cannot be mounted because it is inside /proc\"), and programs that want a limit file of a controller that is not enabled: \
the file of an absent controller cannot be made by hand.",
    shows_as: &[("mkdir", "ENOENT"), ("mkdir", "EPERM"), ("openat", "EACCES"), ("openat", "ENOENT"), ("unlink", "EPERM"), ("rmdir", "EPERM"), ("rename", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes a folder in proc, and a file in sysfs",
        risk: "none: nothing is made",
        variants: &["mkdir", "create", "unlink"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man5/proc.5.html",
        "fs/namei.c: vfs_mkdir(), vfs_create(), vfs_unlink(); fs/proc/generic.c: proc_lookup(); fs/kernfs/dir.c: kernfs_dir_iops",
    ],
};

const DECIDERS: &[&str] =
    &["proc_lookup", "proc_root_lookup", "proc_lookup_de", "proc_sys_lookup", "kernfs_iop_mkdir"];
/// Where the VFS answers for the file system.
const CALLERS: &[&str] = &[
    "vfs_mkdir",
    "vfs_create",
    "vfs_mknod",
    "vfs_symlink",
    "vfs_link",
    "vfs_unlink",
    "vfs_rmdir",
    "vfs_rename",
    "lookup_open",
    "path_openat",
    "open_last_lookups",
    "do_mkdirat",
    "filename_mkdirat",
    "do_unlinkat",
    "do_rmdir",
    "do_mknodat",
    "filename_create",
    "lookup_one_qstr_excl",
    "__lookup_hash",
    "lookup_dcache",
];

/// Types without operations for these calls. cgroups make and remove folders by mkdir(2) and rmdir(2), tracefs and
/// configfs some.
const TYPES: &[&str] = &[
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "debugfs",
    "tracefs",
    "securityfs",
    "devpts",
    "binfmt_misc",
    "selinuxfs",
    "fusectl",
];
const WITH_FOLDERS: &[&str] = &["cgroup", "cgroup2", "tracefs"];

/// What a call does to the folder.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Create,
    Folder,
    Remove,
}

fn work(case: &Case<'_>) -> Option<(Work, &'static [Errno])> {
    let creates = case.failure().number_arg("flags").is_some_and(|f| f & libc::O_CREAT as u64 != 0);
    Some(match case.failure().syscall()?.0 {
        "open" | "openat" if creates => (Work::Create, &[Errno::EACCES, Errno::ENOENT]),
        "creat" => (Work::Create, &[Errno::EACCES, Errno::ENOENT]),
        "mknod" | "mknodat" | "symlink" | "symlinkat" | "link" | "linkat" => {
            (Work::Create, &[Errno::EPERM, Errno::ENOENT])
        }
        "mkdir" | "mkdirat" => (Work::Folder, &[Errno::EPERM, Errno::ENOENT]),
        "rmdir" => (Work::Folder, &[Errno::EPERM]),
        "unlink" | "unlinkat" | "rename" | "renameat" | "renameat2" => (Work::Remove, &[Errno::EPERM]),
        _ => return None,
    })
}

fn fstype(object: &PathObject) -> Option<&str> {
    object.mount.as_ref().map(|m| m.fstype.as_str()).filter(|t| TYPES.contains(t))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = case.failure().syscall()?;
    let (work, errnos) = work(case)?;
    if !errnos.contains(&errno) {
        return None;
    }
    let creating = |o: &&PathObject| o.kind == ObjectKind::Absent || o.role == "oldpath";
    let removing = |o: &&PathObject| !matches!(o.kind, ObjectKind::Absent | ObjectKind::NoWay);
    let makes = work == Work::Create || case.failure().syscall()?.0.starts_with("mkdir");
    let object = objects(case).find(|o| if makes { creating(o) } else { removing(o) })?;
    let fstype = fstype(object)?;
    if work == Work::Folder && WITH_FOLDERS.contains(&fstype) {
        return None;
    }
    // Only procfs is asked for the name before anything else; a missing folder gives ENOENT everywhere.
    if errno == Errno::ENOENT && fstype != "proc" {
        return None;
    }
    let what = if makes { "made" } else { "removed or renamed" };
    let proof = weigh(case, DECIDERS, CALLERS, Some(true))?.proof(
        case,
        DECIDERS,
        format!("{} lies in {fstype}: there the kernel alone decides what is {what}, and nobody else may, not even root.", object.path),
        knob(KnobKind::Other, "file system type", fstype),
    );
    let mount = object.mount.as_ref().map_or("", |m| m.point.as_str());
    Some(proof.because([format!(
        "{} ms after it the folder of {} was of type {fstype}, mounted at {mount}, which has no operation for {}",
        object.after_ns / 1_000_000,
        object.path,
        case.failure().syscall()?.0,
    )]))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let at = object(case).map_or("", |o| o.path.as_str());
    let controllers = proof.knob.path.starts_with("cgroup").then(|| {
        look(
            format!("cat $(dirname {at})/cgroup.controllers"),
            "a controller's files are there once its name stands here; + in the parent's cgroup.subtree_control puts it there",
        )
    });
    let elsewhere = step(
        "for good",
        "leave the path out of the image, or mount the volume elsewhere",
        "what the program wants to keep belongs on a real file system; a setting of the kernel has its own file already",
        "none needed",
    );
    controllers.into_iter().chain([elsewhere]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, set_args, with_object};
    use crate::model::{Confidence, Incident, MountSeen};

    fn at(call: &str, errno: Errno, kind: ObjectKind, fstype: &str) -> Incident {
        let mount = MountSeen {
            point: "/x".into(),
            fstype: fstype.into(),
            flags: "rw".into(),
            options: String::new(),
        };
        let object = PathObject { kind, mount: Some(mount), ..file("/x/new", 0o555) };
        with_object(call, errno, object)
    }

    fn sure(incident: &Incident) -> Option<Confidence> {
        judge_with(&CAUSE, incident).map(|f| f.confidence)
    }

    #[test]
    fn what_the_vfs_answers_for_such_a_file_system_is_proven() {
        for (call, errno, kind, fstype) in [
            ("mkdir", Errno::ENOENT, ObjectKind::Absent, "proc"),
            ("mkdir", Errno::EPERM, ObjectKind::Absent, "sysfs"),
            ("rmdir", Errno::EPERM, ObjectKind::Folder, "proc"),
            ("unlink", Errno::EPERM, ObjectKind::Regular, "cgroup2"),
        ] {
            assert_eq!(sure(&at(call, errno, kind, fstype)), Some(Confidence::Proven), "{call} in {fstype}");
        }
        let mut create = at("openat", Errno::EACCES, ObjectKind::Absent, "cgroup2");
        assert_eq!(sure(&create), None, "it did not ask for a new file");
        set_args(&mut create, &[("pathname", "/x/new")], &[("flags", libc::O_CREAT as u64)]);
        assert_eq!(sure(&create), Some(Confidence::Proven));
    }

    #[test]
    fn its_neighbours_with_the_same_errno_are_left_alone() {
        for (call, errno, kind, fstype) in [
            // A folder on the way is missing.
            ("mkdir", Errno::ENOENT, ObjectKind::NoWay, "proc"),
            ("mkdir", Errno::ENOENT, ObjectKind::Absent, "ext4"),
            ("mkdir", Errno::ENOENT, ObjectKind::Absent, "sysfs"),
            // Limits of the hierarchy and rights.
            ("mkdir", Errno::EPERM, ObjectKind::Absent, "cgroup2"),
            ("mkdir", Errno::EACCES, ObjectKind::Absent, "sysfs"),
            ("unlink", Errno::EPERM, ObjectKind::Regular, "tmpfs"),
        ] {
            assert_eq!(sure(&at(call, errno, kind, fstype)), None, "{call} in {fstype}");
        }
    }
}
