//! The object of a call that a path or a descriptor named, as it was found again: what it is, who may use it,
//! how it is mounted, and what its first bytes ask for.

use serde::{Deserialize, Serialize};

/// What lies at the end of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObjectKind {
    Regular,
    Folder,
    Character,
    Block,
    Fifo,
    Socket,
    /// A link whose target is not there.
    Dangling,
    /// Nothing, in a folder that is there.
    Absent,
    /// A part before the last one is not there.
    NoWay,
    Other,
}

/// Owner and permission bits, as the first user namespace numbers users.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    /// As the task names it.
    pub path: String,
    /// The permission bits with set-user-ID, set-group-ID and sticky: `0o1777`.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// More than owner, group and others is said (`system.posix_acl_access`).
    pub acl: bool,
    /// chattr(1) +i and +a; `None` where the file system does not tell.
    pub immutable: Option<bool>,
    pub append_only: Option<bool>,
}

/// The mount through which the task reaches the object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSeen {
    pub point: String,
    pub fstype: String,
    /// Of this mount: `ro,nosuid,nodev`.
    pub flags: String,
    /// Of the file system.
    pub options: String,
}

/// What the first bytes of a file make execve(2) do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// `#!`, with the interpreter as it stands there and what lies at its path.
    Script {
        interpreter: String,
        found: ObjectKind,
        carriage_return: bool,
    },
    Elf {
        /// `EI_CLASS`: 1 for 32 bits, 2 for 64.
        class: u8,
        /// `e_machine` and `e_type` (elf(5)).
        machine: u16,
        kind: u16,
        /// The machine's own `e_machine`.
        here: u16,
        /// `PT_INTERP`, and what lies at its path; `None` for a static program.
        interpreter: Option<(String, ObjectKind)>,
    },
    Empty,
    /// Neither, with what it looks like: `text`, `gzip`, `data`.
    Other(String),
    Unread,
}

/// The object with all that permission checks and execve(2) look at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathObject {
    /// The argument: `pathname`, `fd`.
    pub role: String,
    pub path: String,
    #[serde(rename = "what")]
    pub kind: ObjectKind,
    /// Of the object; of the folder that would hold it where it is absent.
    pub own: Option<Permissions>,
    /// The folders that lead there, the outermost first, the last one holds the object.
    pub folders: Vec<Permissions>,
    pub mount: Option<MountSeen>,
    pub head: Option<Head>,
    /// `major:minor` of a device node.
    pub device: Option<(u32, u32)>,
    /// Processes that run it, or that have it open for writing, by number and name.
    pub running: Vec<String>,
    pub writing: Vec<String>,
    /// All of the way there as the task sees it, links followed: `/proc/sys/vm/overcommit_memory`.
    pub whole: Option<String>,
    pub after_ns: u64,
}

impl PathObject {
    /// Whether the mount has a flag; `None` when the mount was not found.
    pub fn mount_flag(&self, flag: &str) -> Option<bool> {
        self.mount.as_ref().map(|m| m.flags.split(',').any(|f| f == flag))
    }

    /// The folder that holds the object.
    pub fn folder(&self) -> Option<&Permissions> {
        self.folders.last()
    }
}
