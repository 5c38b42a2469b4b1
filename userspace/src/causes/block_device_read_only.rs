//! A block device that may only be read, or whose node may not be used, mounted for writing.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["bdev_permission"];
const CALLERS: &[&str] = &[
    "blkdev_get_by_path",
    "setup_bdev_super",
    "bdev_read_only",
    "get_tree_bdev",
    "get_tree_bdev_flags",
    "mount_bdev",
    "bdev_file_open_by_dev",
    "bdev_open_by_dev",
    "ext4_get_tree",
    "ext4_mount",
    "may_open_dev",
    "lookup_bdev",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "block-device-read-only",
    title: "the block device may only be read",
    about: "\
mount(2) of a disk fails with EACCES, \"Permission denied\", for root with all capabilities: the device itself is read-only (a loop device over
a file opened for reading, a write-protected volume, a snapshot, `blockdev --setro`) and the mount asked for writing. mount(8)
tries again with -o ro and says \"write-protected\"; other programs give up. It is not the mode of the node. A node on a
file system mounted with nodev gives the same errno: in a container nearly all but /dev is.",
    shows_as: &[("mount", "EACCES"), ("mount", "EROFS")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("it needs a block device; a loop device is one of the whole machine's"),
    see: &["mount(2), EACCES", "fs/super.c: setup_bdev_super(); block/bdev.c: blkdev_get_by_path(), lookup_bdev()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call =
        case.denied(&["mount"], Errno::EACCES).or_else(|| case.denied(&["mount"], Errno(libc::EROFS)))?;
    let remount = case.mount_work() == MountWork::Remount;
    if !(remount || case.mount_work() == MountWork::New) {
        return None;
    }
    let source = case.place("source")?;
    let reads_only = case.mount_flags() & libc::MS_RDONLY != 0;
    let device = case.mounting()?.device.as_ref()?;
    let nodev = source.flag("nodev") == Some(true);
    let (state, sentence, name) = match (nodev, device.read_only, reads_only) {
        (true, ..) => (
            Some(true),
            format!(
                "The node {} lies on a file system mounted with nodev, so it is no device there.",
                source.path
            ),
            "nodev",
        ),
        (false, Some(true), false) => (
            Some(true),
            format!("The block device {} is read-only, and this {call} asked for writing.", device.path),
            "ro",
        ),
        _ => return None,
    };
    let mut evidence = vec![lies(source)];
    if device.read_only == Some(true) {
        evidence.push(format!("/sys/dev/block/{}/ro was 1", device.number));
    }
    let claim = Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, name, device.path.clone()),
        evidence,
        missing: Vec::new(),
    };
    claim.prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    if proof.knob.name == "nodev" {
        return vec![fix(
            "now",
            format!("docker run --device {path} …"),
            "the engine makes the node in the container's /dev, which is not nodev",
            "start it without the option",
        )];
    }
    vec![
        fix(
            "now",
            format!("mount -o ro {path} DIR"),
            "reading needs no more; a journal that must be replayed refuses that too (ext4: -o ro,noload, xfs: -o ro,norecovery)",
            "umount DIR",
        ),
        fix(
            "or",
            format!("blockdev --setrw {path}"),
            "on the host, if nothing below it is write-protected; a loop device must be set up anew without -r",
            &format!("blockdev --setro {path}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{BlockDevice, Confidence, Fact, Mounting};

    fn finding(ro: bool, flags: u64, node: &str) -> Option<Confidence> {
        let mut i = incident("mount", Errno::EACCES, vec![]);
        set_args(&mut i, &[("fstype", "ext4")], &[("flags", flags)]);
        i.facts.push(Fact::Place(place("source", "/dev/sdb", node)));
        let device = BlockDevice { path: "/dev/sdb".into(), read_only: Some(ro), ..BlockDevice::default() };
        i.facts.push(Fact::Mounting(Mounting { device: Some(device), ..Mounting::default() }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_read_only_device_mounted_for_writing() {
        assert_eq!(finding(true, 0, "rw"), Some(Confidence::Proven));
        assert_eq!(finding(true, libc::MS_RDONLY, "rw"), None);
        assert_eq!(finding(false, 0, "rw"), None, "a device cgroup or a security module");
        assert_eq!(finding(false, 0, "rw,nodev"), Some(Confidence::Proven));
    }
}
