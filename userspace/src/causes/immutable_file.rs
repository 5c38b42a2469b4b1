//! chattr +i and +a: not even root may change it.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "creat",
    "unlink",
    "unlinkat",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "chmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "lchown",
    "fchownat",
    "truncate",
    "utimensat",
    "setxattr",
    "lsetxattr",
    "mkdir",
    "mkdirat",
    "rmdir",
    "mknod",
    "mknodat",
    "symlink",
    "symlinkat",
    "ftruncate",
    "fallocate",
];
const DECIDERS: &[&str] = &[];
const CALLERS: &[&str] = &[
    "inode_permission",
    "may_open",
    "do_open",
    "notify_change",
    "may_linkat",
    "vfs_unlink",
    "vfs_rename",
    "vfs_rmdir",
    "do_unlinkat",
    "chmod_common",
    "chown_common",
    "vfs_link",
    "handle_truncate",
    "do_truncate",
    "vfs_truncate",
    "setattr_prepare",
    "vfs_fallocate",
    "ioctl_preallocate",
    "may_create",
    "lookup_open",
    "may_delete_dentry",
    "vfs_utimes",
    "may_delete",
    "may_setattr",
    "xattr_permission",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "immutable-file",
    title: "the file is immutable or append-only (chattr)",
    about: "\
EPERM, \"Operation not permitted\", for root, on a file with an innocent mode: it carries the attribute i (immutable) or a (append only) of chattr(1), which
ls does not show. Hardening guides set it on /etc/resolv.conf, /etc/passwd or log files, some engines on mount points, and bind mounts bring it into
containers. Clearing it needs CAP_LINUX_IMMUTABLE, which containers do not have by default.",
    shows_as: &[("openat", "EPERM"), ("unlink", "EPERM"), ("rename", "EPERM"), ("chmod", "EPERM"), ("chown", "EPERM"), ("link", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a tmpfs has the attribute since 6.6 only; elsewhere a file of a disk would be left immutable if the fault were killed"),
    see: &["ioctl_iflags(2), chattr(1)", "fs/namei.c: inode_permission(), may_open(), may_delete(); fs/attr.c: may_setattr()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno::EPERM)?;
    let place = case.places().find(|p| p.immutable || p.append_only)?;
    let opens = call.starts_with("open");
    let flags = case.failure().number_arg("flags").unwrap_or(0);
    let writes = flags & (libc::O_ACCMODE | libc::O_TRUNC) as u64 != 0;
    let appends = flags & libc::O_APPEND as u64 != 0 && flags & libc::O_TRUNC as u64 == 0;
    if opens && call != "openat2" && (!writes || !place.immutable && appends) {
        return None;
    }
    let (word, letter) = if place.immutable { ("immutable", "i") } else { ("append-only", "a") };
    let whose = if place.exists() { place.path.clone() } else { format!("The folder of {}", place.path) };
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state: Some(true),
        sentence: format!("{whose} is {word} (chattr +{letter}), which holds for root too."),
        knob: knob(
            KnobKind::File,
            if place.immutable { "FS_IMMUTABLE_FL" } else { "FS_APPEND_FL" },
            place.path.clone(),
        ),
        evidence: vec![format!("statx showed the attribute {word}"), lies(place)],
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (path, letter) = (&proof.knob.path, if proof.knob.name == "FS_IMMUTABLE_FL" { "i" } else { "a" });
    vec![fix(
        "now",
        format!("chattr -{letter} {path}"),
        "on the host (CAP_LINUX_IMMUTABLE); somebody set it on purpose",
        &format!("chattr +{letter} {path}"),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Place};

    #[test]
    fn the_attribute_and_what_it_forbids() {
        let finding = |immutable, append_only, flags: i32| {
            let mut i = incident("openat", Errno::EPERM, vec![]);
            set_args(&mut i, &[("pathname", "/x")], &[("flags", flags as u64)]);
            i.facts.push(Fact::Place(Place { immutable, append_only, ..place("pathname", "/x", "rw") }));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(finding(true, false, libc::O_WRONLY), Some(Confidence::Proven));
        assert_eq!(finding(true, false, libc::O_RDONLY), None);
        assert_eq!(finding(false, true, libc::O_WRONLY | libc::O_APPEND), None);
        assert_eq!(finding(false, false, libc::O_WRONLY), None);
    }
}
