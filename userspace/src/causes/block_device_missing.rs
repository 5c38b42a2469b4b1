//! What was to be mounted is no block device, or nothing is behind it.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, PlaceKind, Remedy};

const ENOTBLK: Errno = Errno(libc::ENOTBLK);
const EMPTY: &[Errno] =
    &[Errno(libc::ENXIO), Errno(libc::ENOMEDIUM), Errno(libc::ENODEV), Errno::EINVAL, Errno(libc::EIO)];
const DECIDERS: &[&str] = &[];

pub(super) static CAUSE: Cause = Cause {
    slug: "block-device-missing",
    title: "there is no block device behind what was to be mounted",
    about: "\
mount(2) of a disk type says ENOTBLK, \"Block device required\", when its source is a plain file or folder: mount(8) sets up a loop device
for an image file, the system call does not. It says ENXIO, \"No such device or address\", when a node exists and no driver has
such a device: a node made by hand with wrong numbers, a disk that was detached, a module that is not loaded. A loop
device without a file, or a drive without a medium, has size 0. In containers nodes in /dev are copies made at the
start: a device that came later, or got another number, is not the one the node means.",
    shows_as: &[("mount", "ENOTBLK"), ("mount", "ENXIO"), ("mount", "ENOMEDIUM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts a folder as if it were a disk", risk: "none: nothing is mounted", variants: &["file"] },
    see: &["mount(2), ENOTBLK, ENXIO", "block/bdev.c: lookup_bdev(), blkdev_get_no_open()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let source = case.place("source");
    if call != "mount" || case.mount_work() != MountWork::New || !(errno == ENOTBLK || EMPTY.contains(&errno))
    {
        return None;
    }
    let device = case.mounting().and_then(|m| m.device.as_ref());
    let path =
        source.map(|s| s.path.clone()).or_else(|| case.failure().text_arg("source").map(Into::into))?;
    let absent = device.is_some_and(|d| d.size.is_none());
    let empty = device.is_some_and(|d| d.size == Some(0));
    let (state, sentence) = match (errno, source.map(|s| s.kind)) {
        (ENOTBLK, Some(PlaceKind::BlockDevice)) => return None,
        (ENOTBLK, kind) => (
            kind.map(|_| true),
            format!("{path} is no block device, and this file system type lives on one."),
        ),
        (_, Some(PlaceKind::BlockDevice)) if absent => {
            (Some(true), format!("The node {path} is there, and no driver has a device with its number."))
        }
        (_, Some(PlaceKind::BlockDevice)) if empty => {
            (Some(true), format!("The block device {path} has size 0: nothing is attached to it."))
        }
        (Errno(libc::ENXIO), None) => (None, format!("No driver has the device that {path} names.")),
        _ => return None,
    };
    let mut evidence: Vec<String> = source.map(lies).into_iter().collect();
    if let Some(d) = device {
        evidence.push(match d.size {
            Some(size) => format!("/sys/dev/block/{}/size was {size}", d.number),
            None => format!("there was no /sys/dev/block/{}", d.number),
        });
    }
    Claim {
        deciders: DECIDERS,
        callers: &[
            "get_tree_bdev_flags",
            "get_tree_bdev",
            "mount_bdev",
            "blkdev_get_by_path",
            "setup_bdev_super",
            "bdev_file_open_by_dev",
            "ext4_fill_super",
        ],
        state,
        sentence,
        knob: knob(KnobKind::Other, "block device", path),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![
        fix(
            "look",
            format!("lsblk; stat -c '%F %t:%T' {path}"),
            "on the host and in the container: type and numbers must be the same",
            "reads only",
        ),
        fix(
            "now",
            format!("losetup --find --show {path}"),
            "for an image file: gives the loop device to mount; needs /dev/loop-control, so mostly the host",
            "losetup -d DEVICE",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{BlockDevice, Confidence, Fact, Mounting, Place};

    fn finding(errno: Errno, kind: PlaceKind, size: Option<u64>) -> Option<Confidence> {
        let mut i = incident("mount", errno, vec![]);
        set_args(&mut i, &[("fstype", "ext4"), ("source", "/img")], &[("flags", 0)]);
        i.facts.push(Fact::Place(Place { kind, ..place("source", "/img", "rw") }));
        let device = (kind == PlaceKind::BlockDevice).then(|| BlockDevice { size, ..BlockDevice::default() });
        i.facts.push(Fact::Mounting(Mounting { device, ..Mounting::default() }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn files_and_empty_devices() {
        assert_eq!(finding(ENOTBLK, PlaceKind::File, None), Some(Confidence::Proven));
        assert_eq!(finding(Errno(libc::ENXIO), PlaceKind::BlockDevice, None), Some(Confidence::Proven));
        assert_eq!(finding(Errno::EINVAL, PlaceKind::BlockDevice, Some(0)), Some(Confidence::Proven));
        assert_eq!(
            finding(Errno::EINVAL, PlaceKind::BlockDevice, Some(8192)),
            None,
            "a bad superblock or option"
        );
    }
}
