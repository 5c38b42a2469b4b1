//! An extended attribute that is too large, too long in its name, without room, or on a file that takes none.

use super::case::claim::{self, knob, look, step};
use super::case::rights::object;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, KnobKind, ObjectKind, Remedy, spaced};

const CALLS: &[&str] = &["setxattr", "lsetxattr", "fsetxattr", "setxattrat"];
const DECIDERS: &[&str] = &[
    "setxattr_copy",
    "import_xattr_name",
    "xattr_permission",
    "ext4_xattr_set_entry",
    "ext4_xattr_set_handle",
    "ext4_xattr_block_set",
    "shmem_xattr_handler_set",
    "btrfs_setxattr",
];
const CALLERS: &[&str] = &[
    "do_setxattr",
    "setxattr",
    "path_setxattr",
    "path_setxattrat",
    "filename_setxattr",
    "file_setxattr",
    "vfs_setxattr",
    "__vfs_setxattr",
    "__vfs_setxattr_noperm",
    "__vfs_setxattr_locked",
    "ext4_xattr_set",
    "ext4_xattr_user_set",
    "ext4_xattr_trusted_set",
    "ext4_xattr_security_set",
    "ovl_xattr_set",
];
/// `XATTR_SIZE_MAX`, `XATTR_NAME_MAX` (linux/limits.h).
const MOST: u64 = 65_536;
const LONGEST: u64 = 255;

pub(super) static CAUSE: Cause = Cause {
    slug: "xattr-limits",
    title: "the extended attribute is too large, or does not go onto this file",
    about: "\
setxattr(2) fails although the file system has attributes and room. E2BIG, \"Argument list too long\": the value is longer than \
64 KiB, and ERANGE, \"Numerical result out of range\": the name is longer than 255 bytes, of any file system. ENOSPC, \"No space left \
on device\", with gigabytes free: ext4 keeps all attributes of a file in its inode and one block more (4 KiB mostly), a tmpfs counts \
them against its inodes, and labels, capabilities and ACLs take of the same room. EPERM, \"Operation not permitted\", for user.* on a \
link, device, pipe or socket: those belong to regular files and folders only (xattr_permission() in fs/xattr.c).

It meets who unpacks images (tar --xattrs, rsync -X, buildah), backups, Samba and Ceph.",
    shows_as: &[("setxattr", "ENOSPC"), ("setxattr", "E2BIG"), ("setxattr", "ERANGE"), ("setxattr", "EPERM"), ("lsetxattr", "EPERM"), ("fsetxattr", "ENOSPC")],
    deciders: &["setxattr_copy", "import_xattr_name"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sets an attribute that is too large, one with too long a name, and one on a named pipe",
        risk: "none: on a tmpfs of its own",
        variants: &["size", "name", "kind"],
    },
    see: &["xattr(7), setxattr(2)", "fs/xattr.c: setxattr_copy(), xattr_permission(); fs/ext4/xattr.c: ext4_xattr_set_entry()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if !CALLS.contains(&call) {
        return None;
    }
    let name = case.failure().text_arg("name").unwrap_or_default();
    let path = case
        .failure()
        .text_arg("path")
        .or_else(|| object(case).map(|o| o.path.as_str()))
        .unwrap_or("the file");
    let size = case.failure().number_arg("size");
    let (state, sentence, limit) = match errno.0 {
        libc::E2BIG => {
            let bytes = size.map_or_else(String::new, |size| format!(" of {} bytes", spaced(size)));
            (
                size.map(|size| size > MOST),
                format!("The value{bytes} of {name} is longer than an attribute may be."),
                Some((size, MOST)),
            )
        }
        libc::ERANGE => {
            let length = name.len() as u64;
            let whole = !name.ends_with('…');
            let over = (whole && !name.is_empty()).then_some(length > LONGEST);
            (
                over.or((!whole).then_some(true)),
                "The name of the attribute is longer than 255 bytes, or empty.".into(),
                Some((whole.then_some(length), LONGEST)),
            )
        }
        libc::ENOSPC => return without_room(case, path, name),
        libc::EPERM if name.starts_with("user.") => {
            let kind = object(case)?.kind;
            let what = words(kind)?;
            (
                Some(true),
                format!(
                    "{path} is {what}, which takes no user.* attributes: {name} belongs on a regular file or a folder."
                ),
                None,
            )
        }
        _ => return None,
    };
    let weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, "xattr", path));
    if let Some((used, most)) = limit {
        (proof.usage, proof.limit, proof.unit) = (used, Some(most), "bytes".into());
    }
    Some(proof)
}

/// The disk has room: what is full is the file's own share of it.
fn without_room(case: &Case<'_>, path: &str, name: &str) -> Option<Proof> {
    let free = case.incident.suspects_of("blocks").next()?;
    if free.guilty != Some(false) {
        return None;
    }
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, None)?;
    weighed.confidence = weighed.confidence.max(Confidence::Likely);
    weighed.missing = vec!["how much the attributes of the file take: getfattr -d -m - shows them".into()];
    let size = case.failure().number_arg("size").unwrap_or(0);
    let on = case.places().find_map(|p| p.fstype()).unwrap_or("the file system");
    let sentence = format!(
        "{on} has no room for {name} ({} bytes) among the attributes of {path}; the disk itself is not full.",
        spaced(size)
    );
    let cited = format!("{}: {}", free.what, free.reading);
    Some(weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, "xattr", path)).because([cited]))
}

fn words(kind: ObjectKind) -> Option<&'static str> {
    match kind {
        ObjectKind::Fifo => Some("a named pipe"),
        ObjectKind::Socket => Some("a socket"),
        ObjectKind::Character | ObjectKind::Block => Some("a device node"),
        ObjectKind::Dangling | ObjectKind::Other => Some("a symbolic link"),
        _ => None,
    }
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![
        look(format!("getfattr -h -d -m - {path}"), "all attributes of the file, with their values"),
        step(
            "now",
            "unpack or copy without such attributes (tar --no-xattrs, rsync without -X)",
            "capabilities and labels of files are lost with them",
            "the same with them",
        ),
        step(
            "for good",
            "mkfs.ext4 -I 512 -O ea_inode, xfs or btrfs for the volume",
            "larger inodes, and a value may have an inode of its own; 64 KiB and 255 bytes stay",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, set_args, with_object};
    use crate::model::{Errno, PathObject, Suspect};

    fn set(errno: i32, name: &str, size: u64, kind: ObjectKind) -> crate::model::Incident {
        let mut i = with_object("setxattr", Errno(errno), PathObject { kind, ..file("/f", 0o644) });
        set_args(&mut i, &[("path", "/f"), ("name", name)], &[("size", size)]);
        i
    }

    fn judged(errno: i32, name: &str, size: u64, kind: ObjectKind) -> Option<Confidence> {
        judge_with(&CAUSE, &set(errno, name, size, kind)).map(|f| f.confidence)
    }

    #[test]
    fn sizes_names_and_kinds() {
        assert_eq!(judged(libc::E2BIG, "user.a", 70_000, ObjectKind::Regular), Some(Confidence::Proven));
        assert_eq!(judged(libc::E2BIG, "user.a", 70, ObjectKind::Regular), None);
        let long = format!("user.{}", "a".repeat(300));
        assert_eq!(judged(libc::ERANGE, &long, 1, ObjectKind::Regular), Some(Confidence::Proven));
        assert_eq!(judged(libc::EPERM, "user.a", 1, ObjectKind::Fifo), Some(Confidence::Proven));
        assert_eq!(judged(libc::EPERM, "user.a", 1, ObjectKind::Regular), None);
        assert_eq!(judged(libc::EPERM, "trusted.a", 1, ObjectKind::Fifo), None, "that needs a capability");
    }

    #[test]
    fn a_full_disk_is_another_cause() {
        let mut i = set(libc::ENOSPC, "user.a", 3000, ObjectKind::Regular);
        assert_eq!(judge_with(&CAUSE, &i), None);
        let room = |guilty| Suspect {
            id: "blocks".into(),
            what: "disk".into(),
            reading: "1 % used".into(),
            guilty: Some(guilty),
        };
        i.suspects = vec![room(false)];
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
        i.suspects = vec![room(true)];
        assert_eq!(judge_with(&CAUSE, &i), None);
    }
}
