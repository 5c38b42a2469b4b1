//! The device does not hold a file system of this type, or holds a damaged one.

use super::case::signs::{Claim, MountWork, fix, knob};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const ERRNOS: &[Errno] = &[Errno::EINVAL, Errno(libc::EUCLEAN), Errno(libc::EBADMSG), Errno(libc::EIO)];
const DECIDERS: &[&str] = &["ext4_load_super"];
const CALLERS: &[&str] = &[
    "ext4_fill_super",
    "__ext4_fill_super",
    "get_tree_bdev",
    "get_tree_bdev_flags",
    "mount_bdev",
    "ext4_get_tree",
    "ext4_mount",
    "xfs_fs_fill_super",
    "xfs_fs_get_tree",
    "fat_get_tree",
    "vfat_get_tree",
    "btrfs_get_tree",
    "btrfs_mount_root",
    "xfs_readsb",
    "btrfs_scan_one_device",
    "fat_fill_super",
    "erofs_read_superblock",
    "squashfs_fill_super",
    "isofs_fill_super",
];

/// Words of the disk file systems for "that is not mine", from each one's fill_super.
const NOT_MINE: &[&str] = &[
    "Can't find ext",
    "VFS: Can't find",
    "Invalid superblock magic number",
    "bogus number of",
    "can't find",
    "cannot find valid",
    "magic number",
    "invalid media value",
    "Can't find a SQUASHFS superblock",
    "No valid",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "bad-superblock",
    title: "the device holds no such file system",
    about: "\
mount(2) says EINVAL, \"Invalid argument\", and mount(8) makes of it \"wrong fs type, bad option, bad superblock\": three causes in one line. Here
it is the superblock: the type named is not the one on the device, the device was never formatted (a fresh volume
of a cloud or of Kubernetes in Block mode), it is the whole disk and not the partition, it carries LUKS, LVM or swap, or
its superblock is damaged (EUCLEAN, EBADMSG). The kernel's log has the sentence; the caller gets the number.",
    shows_as: &[("mount", "EINVAL"), ("mount", "EUCLEAN"), ("mount", "EIO")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival { name: "an option that this type does not take", ruled_out_by: "a superblock that is not of this type: it is read before most options are judged", stands: bad_option }],
    explain,
    remedy,
    fault: Fault::None("it needs a block device; a loop device is one of the whole machine's"),
    see: &["mount(2), EINVAL", "fs/ext4/super.c: ext4_load_super(); fs/super.c: get_tree_bdev()", "blkid(8)"],
};

/// ext2, ext3 and ext4 share their magic number; msdos and vfat theirs.
fn of_kind(fstype: &str) -> Option<&str> {
    match fstype {
        "ext2" | "ext3" | "ext4" => Some("ext"),
        "msdos" | "vfat" => Some("vfat"),
        "xfs" | "btrfs" | "squashfs" | "erofs" | "f2fs" | "iso9660" | "exfat" => Some(fstype),
        "ntfs" | "ntfs3" => Some("ntfs"),
        _ => None,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if call != "mount" || !ERRNOS.contains(&errno) || case.mount_work() != MountWork::New {
        return None;
    }
    let device = case.mounting()?.device.as_ref()?;
    if device.size.is_none_or(|size| size == 0) {
        return None;
    }
    let fstype = case.failure().text_arg("fstype")?;
    let said = case.said(NOT_MINE);
    let holds = device.holds.as_ref();
    let mine = of_kind(fstype).zip(holds).map(|(kind, holds)| holds.iter().any(|h| h == kind));
    let state = match (mine, said) {
        (Some(false), _) => Some(true),
        (Some(true), None) if errno == Errno::EINVAL => return None,
        (_, Some(_)) => Some(true),
        _ => None,
    };
    let found =
        holds.map(|h| if h.is_empty() { "no superblock that diag knows".to_string() } else { h.join(", ") });
    let sentence = match holds {
        Some(h) if h.is_empty() => {
            format!("{} holds no {fstype} file system: it is empty, or not formatted.", device.path)
        }
        Some(h) if mine == Some(false) => format!("{} holds {}, not {fstype}.", device.path, h.join(", ")),
        _ => format!(
            "The {fstype} superblock of {} is damaged or of a form this kernel does not take.",
            device.path
        ),
    };
    let mut evidence: Vec<String> =
        found.map(|f| format!("its magic numbers show {f}")).into_iter().collect();
    evidence.extend(said.map(|line| format!("the kernel's log said then: {line}")));
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, "superblock", device.path.clone()),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn bad_option(case: &Case<'_>) -> Option<String> {
    let line = case.said(&[
        "Unrecognized mount option",
        "Unknown parameter",
        "unrecognized mount option",
        "Bad value for",
    ])?;
    Some(format!("the kernel's log named an option: {line}"))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![
        fix(
            "look",
            format!("blkid -p {path}; dmesg | tail"),
            "what it holds, and the kernel's own sentence",
            "reads only",
        ),
        fix("now", format!("mount {path} DIR"), "without -t: blkid's type is taken", "umount DIR"),
        fix(
            "if it is new",
            format!("mkfs.ext4 {path}"),
            "formats it: all that is on it is lost, so only when it is truly empty",
            "none",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, set_args};
    use crate::model::{BlockDevice, Confidence, Fact, Mounting};

    fn finding(holds: &[&str], said: &[&str]) -> Option<Confidence> {
        let mut i = incident("mount", Errno::EINVAL, vec![]);
        set_args(&mut i, &[("fstype", "ext4")], &[("flags", 0)]);
        let words = |list: &[&str]| list.iter().map(|s| (*s).to_string()).collect::<Vec<_>>();
        let device = BlockDevice { size: Some(8192), holds: Some(words(holds)), ..BlockDevice::default() };
        i.facts.push(Fact::Mounting(Mounting {
            device: Some(device),
            said: words(said),
            ..Mounting::default()
        }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn another_superblock_or_none() {
        assert_eq!(finding(&[], &[]), Some(Confidence::Proven));
        assert_eq!(finding(&["xfs"], &[]), Some(Confidence::Proven));
        assert_eq!(finding(&["ext"], &[]), None, "its own type: an option then");
        assert_eq!(finding(&[], &["EXT4-fs: Unrecognized mount option \"x\""]), Some(Confidence::Likely));
    }
}
