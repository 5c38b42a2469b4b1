//! What was found out about a failed call of the mount family: the caller's rights, the type, the device.

use serde::{Deserialize, Serialize};

/// A block device that was to be mounted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BlockDevice {
    pub path: String,
    /// `7:0`.
    pub number: String,
    /// `/sys/dev/block/…/ro`.
    pub read_only: Option<bool>,
    /// In sectors of 512 bytes; 0: nothing is behind it.
    pub size: Option<u64>,
    /// File systems whose superblock is on it, as far as diag knows their magic numbers; `None`: unread.
    pub holds: Option<Vec<String>>,
    /// Where it is mounted, with the file system's options: `/data ro`.
    pub mounted: Vec<String>,
    /// `holders/` in sysfs: device mapper, md.
    pub holders: Vec<String>,
}

/// The circumstances of a mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Mounting {
    /// CAP_SYS_ADMIN among the caller's effective capabilities.
    pub admin: Option<bool>,
    /// Whether the caller's user namespace is the machine's first.
    pub first_user_ns: Option<bool>,
    /// Whether the caller's user namespace owns its mount namespace.
    pub owns_mounts: Option<bool>,
    /// The namespace that this type shows (`pid` of proc, `net` of sysfs, …), and whether the caller's user
    /// namespace owns it.
    pub shows: Option<(String, bool)>,
    /// Whether the type stands in /proc/filesystems, and there without `nodev`.
    pub registered: Option<bool>,
    pub needs_device: Option<bool>,
    pub device: Option<BlockDevice>,
    /// Mounts on top of parts of the /proc or /sys that the caller sees.
    pub masked: Vec<String>,
    /// What the kernel's log said in that moment, the file system's name first.
    pub said: Vec<String>,
    /// Who uses the mount: `nginx (pid 12): working folder`.
    pub users: Vec<String>,
    /// Who has files open for writing there.
    pub writers: Vec<String>,
    /// The type of the caller's root, and whether that root is the mount namespace's first mount.
    pub root_type: Option<String>,
    pub after_ns: u64,
}
