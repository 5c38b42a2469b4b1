//! A block device that could not be mounted: whether it is one, may be written, holds anything, is used elsewhere.

use super::held::Held;
use crate::limits::read::Root;
use crate::model::{BlockDevice, Place, PlaceKind};
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

/// Magic numbers: (type, byte offset, bytes) from each file system's on-disk format (blkid(8) knows the same).
const MAGICS: &[(&str, u64, &[u8])] = &[
    ("ext", 1024 + 56, &[0x53, 0xef]),
    ("xfs", 0, b"XFSB"),
    ("btrfs", 0x10040, b"_BHRfS_M"),
    ("squashfs", 0, b"hsqs"),
    ("erofs", 1024, &[0xe2, 0xe1, 0xf5, 0xe0]),
    ("f2fs", 1024, &[0x10, 0x20, 0xf5, 0xf2]),
    ("iso9660", 0x8001, b"CD001"),
    ("vfat", 82, b"FAT32   "),
    ("vfat", 54, b"FAT1"),
    ("ntfs", 3, b"NTFS    "),
    ("exfat", 3, b"EXFAT   "),
    ("swap", 4086, b"SWAPSPACE2"),
    ("LVM2_member", 536, b"LVM2 001"),
    ("crypto_LUKS", 0, &[b'L', b'U', b'K', b'S', 0xba, 0xbe]),
];

pub(super) fn of(held: &Held, root: &Root, source: &Place) -> Option<BlockDevice> {
    if source.kind != PlaceKind::BlockDevice {
        return None;
    }
    let number = source.rdev.clone();
    let dir = root.join(format!("sys/dev/block/{number}"));
    let number_of =
        |file: &str| fs::read_to_string(dir.join(file)).ok().and_then(|t| t.trim().parse::<u64>().ok());
    let of_device = |m: &&super::held::Row| m.mount.device == number;
    let mounted =
        held.table().iter().filter(of_device).map(|row| format!("{} {}", row.mount.point, row.mount.options));
    Some(BlockDevice {
        path: source.path.clone(),
        read_only: number_of("ro").map(|ro| ro != 0),
        size: number_of("size"),
        holds: holds(&dir, &number),
        mounted: mounted.take(4).collect(),
        holders: fs::read_dir(dir.join("holders"))
            .map(|d| d.filter_map(Result::ok).map(|e| e.file_name().to_string_lossy().into_owned()).collect())
            .unwrap_or_default(),
        number,
    })
}

/// Which superblocks it holds, read through diag's own node of the device: the caller's may be of a file system that
/// allows none. A device is only read, never opened for writing or alone.
fn holds(dir: &std::path::Path, number: &str) -> Option<Vec<String>> {
    let name = fs::read_link(dir).ok()?;
    let node = format!("/dev/{}", name.file_name()?.to_str()?);
    let file: File =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(node).ok()?;
    let rdev = file.metadata().ok()?.rdev();
    if format!("{}:{}", libc::major(rdev), libc::minor(rdev)) != number {
        return None;
    }
    let mut out: Vec<String> = Vec::new();
    let mut read = false;
    for (kind, offset, magic) in MAGICS {
        let mut bytes = vec![0; magic.len()];
        if file.read_exact_at(&mut bytes, *offset).is_ok() {
            read = true;
            if bytes == *magic && !out.iter().any(|k| k == kind) {
                out.push((*kind).to_string());
            }
        }
    }
    read.then_some(out)
}
