//! The disk below does not answer, or the file system on it is damaged.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const ERRNOS: &[Errno] = &[Errno(libc::EIO), Errno(libc::EUCLEAN), Errno(libc::EBADMSG)];
const WORDS: &[&str] = &[
    "I/O error",
    "EXT4-fs error",
    "Corruption",
    "corruption",
    "BTRFS error",
    "Metadata",
    "SQUASHFS error",
    "error (device",
    "xfs_do_force_shutdown",
    "Filesystem has been shut down",
    "lost page write",
    "checksum",
];
/// Where EIO has other meanings: a terminal that hung up, a process's memory.
const INTERFACES: &[&str] = &[
    "devpts",
    "proc",
    "sysfs",
    "cgroup",
    "cgroup2",
    "devtmpfs",
    "mqueue",
    "sockfs",
    "pipefs",
    "anon_inodefs",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "io-error",
    title: "the disk or the file system on it has errors",
    about: "\
EIO, \"Input/output error\", is a block that the device did not give or take; EUCLEAN, \"Structure needs cleaning\", and EBADMSG are a file system that found itself
damaged. In containers a detached cloud volume, a lost iSCSI or Ceph connection, a loop device whose file's disk is full and a thin
pool that is full look so. fsync(2) tells of an earlier write, and once only. The kernel's log names device and block.",
    shows_as: &[("read", "EIO"), ("write", "EIO"), ("fsync", "EIO"), ("openat", "EIO"), ("openat", "EUCLEAN")],
    deciders: &[],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("it needs a disk that fails"),
    see: &["fsync(2), EIO", "block/blk-core.c: blk_errors"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if !ERRNOS.contains(&errno) || matches!(call, "mount" | "ioctl" | "ptrace" | "process_vm_readv") {
        return None;
    }
    let place = case.places().find(|p| p.mount.is_some())?;
    if place.fstype().is_some_and(|t| INTERFACES.contains(&t)) {
        return None;
    }
    let said = case.said(WORDS);
    let mount = place.mount.as_ref()?;
    let mut evidence = vec![lies(place)];
    evidence.extend(said.map(|line| format!("the kernel's log said then: {line}")));
    let damaged = errno != Errno(libc::EIO);
    let sentence = match damaged {
        true => format!(
            "The {} at {} ({}) found its own structure damaged.",
            mount.fstype, mount.point, mount.source
        ),
        false => format!(
            "The device below the {} at {} ({}) gave an error.",
            mount.fstype, mount.point, mount.source
        ),
    };
    let state = said.map(|_| true);
    let mut proof = Claim {
        deciders: &[],
        callers: &[],
        state,
        sentence,
        knob: knob(KnobKind::Other, "device", mount.source.clone()),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)?;
    // A line of the log names a device, not this call.
    if said.is_some() {
        proof.settle(vec!["errors of another file of the same device".into()]);
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "look",
            format!("dmesg | tail -50; smartctl -a {0}; lsblk {0}", proof.knob.path),
            "which block of which device, and whether it is there at all",
            "reads only",
        ),
        fix(
            "then",
            format!("umount, fsck {}", proof.knob.path),
            "after a copy of what is still readable",
            "none",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact, Mounting};

    #[test]
    fn the_log_makes_it_likely() {
        let mut i = incident("fsync", Errno(libc::EIO), vec![]);
        i.facts.push(Fact::Place(place("fd", "/x", "rw")));
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
        i.facts.push(Fact::Mounting(Mounting {
            said: vec!["I/O error, dev sdb, sector 8".into()],
            ..Mounting::default()
        }));
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
        let mut tty = incident("read", Errno(libc::EIO), vec![]);
        let mut p = place("fd", "/dev/pts/0", "rw");
        p.mount.as_mut().unwrap().fstype = "devpts".into();
        tty.facts.push(Fact::Place(p));
        assert_eq!(judge_with(&CAUSE, &tty), None);
    }
}
