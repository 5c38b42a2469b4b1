//! The file system does not have the operation: attributes, direct I/O, unnamed files, holes.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, Remedy};

const EOPNOTSUPP: Errno = Errno(libc::EOPNOTSUPP);
const DECIDERS: &[&str] = &[];
const CALLERS: &[&str] = &[
    "vfs_setxattr",
    "__vfs_setxattr_noperm",
    "__vfs_setxattr_locked",
    "do_setxattr",
    "path_setxattr",
    "setxattr",
    "filename_setxattr",
    "do_dentry_open",
    "vfs_open",
    "do_open",
    "path_openat",
    "ksys_fallocate",
    "shmem_fallocate",
    "ext4_fallocate",
    "ovl_fallocate",
    "ovl_tmpfile",
    "file_setxattr",
    "do_tmpfile",
    "xattr_resolve_name",
    "__vfs_setxattr",
    "vfs_tmpfile",
    "vfs_fallocate",
    "vfs_clone_file_range",
    "ioctl_file_clone",
    "do_vfs_ioctl",
];
/// FICLONE, FICLONERANGE (linux/fs.h).
const CLONES: &[u64] = &[0x4004_9409, 0x4020_940d];
/// Families of attributes that the VFS knows.
const FAMILIES: &[&str] = &["user.", "trusted.", "security.", "system."];

pub(super) static CAUSE: Cause = Cause {
    slug: "operation-unsupported",
    title: "this file system cannot do that",
    about: "\
EOPNOTSUPP, \"Operation not supported\", from setxattr(2) (user.* on a tmpfs before 6.6, trusted.* and ACLs on NFS or FUSE), from open(2) with O_TMPFILE (overlay before 6.1, NFS,
FUSE before 6.2), from fallocate(2), or from ioctl(2) with FICLONE (cp --reflink=always: xfs and btrfs share blocks, ext4 and tmpfs do not);
and EINVAL from open(2) with O_DIRECT on a tmpfs before 6.6 and some FUSE. Images with file capabilities cannot be unpacked on such
volumes, databases that want O_DIRECT do not start, and nothing in the text points to the file system's type. A right or a
limit is not involved.",
    shows_as: &[("setxattr", "EOPNOTSUPP"), ("lsetxattr", "EOPNOTSUPP"), ("openat", "EOPNOTSUPP"), ("fallocate", "EOPNOTSUPP"), ("openat", "EINVAL"), ("ioctl", "EOPNOTSUPP")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "sets an attribute on a file of proc, or shares blocks of a tmpfs", risk: "none: nothing is changed", variants: &["xattr", "clone"] },
    see: &["xattr(7), open(2): O_TMPFILE, O_DIRECT; fallocate(2)", "fs/xattr.c: xattr_resolve_name(); fs/namei.c: vfs_tmpfile(); fs/open.c: do_dentry_open()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let flags = case.failure().number_arg("flags").unwrap_or(0);
    let opens = matches!(call, "open" | "openat");
    let what = match (call, errno) {
        ("setxattr" | "lsetxattr" | "fsetxattr" | "getxattr" | "lgetxattr", EOPNOTSUPP) => {
            "extended attributes"
        }
        _ if opens && errno == EOPNOTSUPP && flags & libc::O_TMPFILE as u64 == libc::O_TMPFILE as u64 => {
            "unnamed files (O_TMPFILE)"
        }
        _ if opens && errno == Errno::EINVAL && flags & libc::O_DIRECT as u64 != 0 => "direct I/O (O_DIRECT)",
        ("fallocate", EOPNOTSUPP) => "this way to allocate or free blocks (fallocate)",
        ("ioctl", EOPNOTSUPP) if CLONES.contains(&case.failure().number_arg("op")?) => {
            "blocks that two files share (FICLONE, cp --reflink)"
        }
        _ => return None,
    };
    let place: Option<&Place> = case.places().next();
    let name = case.failure().text_arg("name").unwrap_or_default();
    let unknown =
        what.starts_with("extended") && !name.is_empty() && !FAMILIES.iter().any(|f| name.starts_with(f));
    let fstype = place.and_then(|p| p.fstype());
    let state = fstype.map(|_| true);
    let on = fstype.unwrap_or("this file system");
    let (sentence, key) = if unknown {
        (
            format!(
                "{name} is no name of an attribute: it must begin with user., trusted., security. or system."
            ),
            "xattr",
        )
    } else if what.starts_with("extended") {
        (format!("{on} has no attributes of the kind {name}."), "xattr")
    } else {
        (format!("{on} does not have {what}."), "file system type")
    };
    let mut evidence: Vec<String> = place.map(lies).into_iter().collect();
    evidence.push(format!("{call} asked for {what}, and {errno} is what a type without it answers"));
    // Flags that do not go together give EINVAL too.
    let missing = if errno == Errno::EINVAL {
        vec!["whether another flag of the call was refused".to_string()]
    } else {
        Vec::new()
    };
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, key, on),
        evidence,
        missing,
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![fix(
        "for good",
        "a volume on ext4, xfs or btrfs for this path",
        "they have all of these; a newer kernel gives tmpfs user attributes and direct I/O (6.6)",
        "none needed",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact};

    #[test]
    fn the_operation_is_named() {
        let mut i = incident("setxattr", EOPNOTSUPP, vec![]);
        set_args(&mut i, &[("path", "/x"), ("name", "user.a")], &[]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
        i.facts.push(Fact::Place(place("path", "/x", "rw")));
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Proven));
        let mut i = incident("openat", Errno::EINVAL, vec![]);
        set_args(&mut i, &[("pathname", "/x")], &[("flags", libc::O_DIRECT as u64)]);
        assert!(judge_with(&CAUSE, &i).is_some());
        set_args(&mut i, &[("pathname", "/x")], &[("flags", 0)]);
        assert_eq!(judge_with(&CAUSE, &i), None);
    }

    #[test]
    fn blocks_are_shared_by_some_types_only() {
        let told = |op: u64| {
            let mut i = incident("ioctl", EOPNOTSUPP, vec![]);
            set_args(&mut i, &[], &[("fd", 4), ("op", op), ("argp", 3)]);
            i.facts.push(Fact::Place(place("fd", "/x", "rw")));
            judge_with(&CAUSE, &i)
                .map(|f| (f.confidence, f.sentence.starts_with("tmpfs does not have blocks")))
        };
        assert_eq!(told(CLONES[0]), Some((Confidence::Proven, true)));
        assert_eq!(told(0x5401), None);
    }
}
