//! Who serves this file system is gone: a FUSE program that ended, a network server, a stale handle.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, Remedy};

const ERRNOS: &[Errno] =
    &[Errno(libc::ENOTCONN), Errno(libc::ESTALE), Errno(libc::ECONNABORTED), Errno(libc::EHOSTDOWN)];
const DECIDERS: &[&str] = &[];
/// Calls about sockets say ENOTCONN for themselves.
const SOCKETS: &[&str] = &[
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "shutdown",
    "getpeername",
    "accept",
    "accept4",
    "setsockopt",
    "getsockopt",
    "connect",
    "listen",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "file-server-gone",
    title: "the program or server behind this file system is gone",
    about: "\
ENOTCONN, \"Transport endpoint is not connected\", from open, stat or a bind mount means a FUSE file system whose program has ended or was killed (sshfs, s3fs,
a CSI driver that was restarted or ran out of memory, lxcfs): the mount stays, and each access fails until it is unmounted and
mounted again. Containers that bound it keep the dead one: they must be restarted too, or the bind must be rslave.
ESTALE, \"Stale file handle\", is NFS whose server no longer knows the file: exported anew, restored, or removed by another client. No
network of the container is involved.",
    shows_as: &[("openat", "ENOTCONN"), ("mount", "ENOTCONN"), ("newfstatat", "ENOTCONN"), ("openat", "ESTALE"), ("statfs", "ENOTCONN")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a FUSE server that ends needs /dev/fuse and a second process"),
    see: &["fuse(4); Documentation/filesystems/fuse.rst", "fs/fuse/dev.c: fuse_get_req(); open(2), ESTALE"],
};

fn served(place: &Place) -> Option<&str> {
    let fstype = place.fstype()?;
    let remote =
        ["fuse", "nfs", "cifs", "smb", "9p", "ceph", "virtiofs", "afs"].iter().any(|t| fstype.starts_with(t));
    (remote && fstype != "fusectl").then_some(fstype)
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if !ERRNOS.contains(&errno) || SOCKETS.contains(&call) || case.is_new_overlay(errno) {
        return None;
    }
    let found = case.places().find_map(|p| served(p).map(|t| (p, t)));
    let looked = case.places().any(|p| p.mount.is_some());
    // A pipe, a socket behind read and write.
    if found.is_none() && (looked || matches!(call, "read" | "write" | "readv" | "writev")) {
        return None;
    }
    let (point, fstype) = found.map_or((String::new(), "file system"), |(p, t)| {
        (p.mount.as_ref().map(|m| m.point.clone()).unwrap_or_default(), t)
    });
    let fuse = fstype.starts_with("fuse") || found.is_none() && errno == Errno(libc::ENOTCONN);
    let sentence = match (fuse, errno) {
        (true, Errno(libc::ESTALE)) => {
            format!("The {fstype} at {point} no longer knows what this handle means.")
        }
        (true, _) => format!(
            "The program that serves the {fstype} at {point} has ended; the mount is dead until it is mounted anew."
        ),
        (false, _) => {
            format!("The server of the {fstype} at {point} no longer knows this file, or is not reached.")
        }
    };
    Claim {
        deciders: DECIDERS,
        callers: &[
            "fuse_lookup_name",
            "fuse_lookup",
            "fuse_getattr",
            "fuse_do_getattr",
            "vfs_statx",
            "vfs_getattr",
            "fuse_statfs",
            "fuse_open_common",
            "fuse_dentry_revalidate",
            "lookup_fast",
            "fuse_permission",
            "inode_permission",
            "fuse_file_open",
            "fuse_do_open",
            "fuse_dir_open",
            "do_dentry_open",
            "vfs_open",
            "fuse_update_get_attr",
            "vfs_getattr_nosec",
            "user_statfs",
            "vfs_statfs",
            "statfs_by_dentry",
        ],
        state: found.map(|_| true),
        sentence,
        knob: knob(KnobKind::Other, fstype, point),
        evidence: found.map(|(p, _)| lies(p)).into_iter().collect(),
        missing: vec!["whether the kernel said so, or a server that still answers".into()],
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let at = if proof.knob.path.is_empty() { "DIR" } else { proof.knob.path.as_str() };
    vec![
        fix(
            "now",
            format!("umount --lazy {at}; mount it again; restart the containers that bound it"),
            "where the mount was made (fusermount3 -uz for a user's own)",
            "none needed",
        ),
        fix(
            "for good",
            "docker run -v HOSTDIR:DIR:rslave …",
            "binding the folder above as a slave lets a new mount reach running containers; in Kubernetes mountPropagation: HostToContainer",
            "start it without",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact};

    #[test]
    fn a_served_file_system_and_no_socket() {
        let finding = |call: &str, fstype: &str| {
            let mut i = incident(call, Errno(libc::ENOTCONN), vec![]);
            let mut p = place("pathname", "/m", "rw");
            p.mount.as_mut().unwrap().fstype = fstype.into();
            i.facts.push(Fact::Place(p));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(finding("openat", "fuse.sshfs"), Some(Confidence::Likely));
        assert_eq!(finding("openat", "ext4"), None);
        assert_eq!(finding("sendto", "fuse"), None);
    }
}
