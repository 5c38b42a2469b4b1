//! A path that a failed call named, as it was found again: what lies there, on which mount, with which flags.

use serde::{Deserialize, Serialize};

/// What lies at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlaceKind {
    /// The last part of the path is not there; the rest describes the folder that would hold it.
    Absent,
    /// Something before the last part is not there.
    NoFolder,
    Folder,
    File,
    Link,
    BlockDevice,
    CharDevice,
    Other,
    /// Looking at it failed, with `error`.
    Unreachable,
}

/// The mount through which a place is reached (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PlaceMount {
    pub point: String,
    pub fstype: String,
    pub source: String,
    /// Per mount: `ro,nosuid`.
    pub flags: String,
    /// Of the file system, shared by all its mounts: `rw,errors=remount-ro`.
    pub options: String,
    /// `shared:3`, `master:1`, `unbindable`; empty: private.
    pub propagation: String,
    /// The same of the mount below it; `None` for a root whose parent is not seen.
    pub parent_propagation: Option<String>,
    /// `major:minor` of the file system.
    pub device: String,
    /// Mount points below it.
    pub below: Vec<String>,
}

/// One path of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The argument's name: `target`, `newpath`, `upperdir`.
    pub role: String,
    pub path: String,
    #[serde(rename = "what")]
    pub kind: PlaceKind,
    /// The errno that looking at it gave.
    pub error: Option<i32>,
    /// Whether a mount begins right there; `None` before 5.8 (statx(2)).
    pub mount_root: Option<bool>,
    /// chattr(1)'s +i and +a.
    pub immutable: bool,
    pub append_only: bool,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub links: u64,
    /// `major:minor` of the device, for one.
    pub rdev: String,
    pub mount: Option<PlaceMount>,
    /// The project of ext4 and XFS quotas (FS_IOC_FSGETXATTR).
    pub project: Option<u32>,
    /// Of the folder that holds it: (mode, uid).
    pub folder: Option<(u32, u32)>,
    pub after_ns: u64,
}

impl Place {
    /// Whether the mount has this flag (`ro`, `nodev`).
    pub fn flag(&self, flag: &str) -> Option<bool> {
        self.mount.as_ref().map(|m| m.flags.split(',').any(|f| f == flag))
    }

    /// Whether its file system has this option.
    pub fn option(&self, option: &str) -> Option<bool> {
        self.mount.as_ref().map(|m| m.options.split(',').any(|o| o == option))
    }

    pub fn fstype(&self) -> Option<&str> {
        self.mount.as_ref().map(|m| m.fstype.as_str())
    }

    pub fn exists(&self) -> bool {
        !matches!(self.kind, PlaceKind::Absent | PlaceKind::NoFolder | PlaceKind::Unreachable)
    }
}
