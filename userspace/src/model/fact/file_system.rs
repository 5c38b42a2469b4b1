//! The file system behind the object of a call.

use serde::{Deserialize, Serialize};

/// What kind of file the call was about. Devices, pipes and sockets have ENOSPCs of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    Regular,
    Folder,
    /// Nothing is there yet: the call would have created it in a folder that is.
    Absent,
    Other,
}

/// The file system that holds, or would hold, the object of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Which argument led there: `fd`, `pathname`, `upperdir`.
    pub role: String,
    /// The object, as the task sees it.
    pub path: String,
    pub object: FileKind,
    /// The type by the superblock; below an overlay that of the upper folder, when it was found.
    pub fstype: Option<String>,
    /// Where it is mounted, and its superblock's options (proc_pid_mountinfo(5)).
    pub point: Option<String>,
    pub options: String,
    /// What is mounted: `/dev/vda`.
    pub source: String,
    /// The mount point of the overlay through which the task sees it, with its upper folder.
    pub overlay: Option<String>,
    pub upper: Option<String>,
    pub block_size: u64,
    /// statfs(2): 0 blocks or files in all means that they are not limited.
    pub blocks: u64,
    pub blocks_free: u64,
    /// What is left for tasks without a claim to the reserve.
    pub blocks_available: u64,
    pub files: u64,
    pub files_free: u64,
    /// Free blocks that this task may not use; `None` when it is not known what it may use.
    pub reserved: Option<u64>,
    /// Blocks the call needs at least, beyond those its file already has.
    pub needs: u64,
    pub after_ns: u64,
}
