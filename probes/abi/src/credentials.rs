//! What a task may do: who it acts as, its capabilities, in which user namespace they count, and which user
//! namespaces own the namespaces that capabilities are asked about.

use crate::UNRESOLVED;

/// The task's effective credentials, if [`crate::PRESENT_CREDENTIALS`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// The effective set: capability `n` is bit `n`.
    pub capabilities: u64,
    pub euid: u32,
    /// The inode of the user namespace in which the capabilities count.
    pub user_ns: u32,
    /// How deep that namespace is nested; 0 is the first one.
    pub level: u32,
    /// 1 when no_new_privs is set, 0 when not, [`UNRESOLVED`] when it was not read.
    pub no_new_privs: u32,
    /// Inodes of the user namespaces that own the task's namespaces, in the order of [`OWNED`]; 0 when not
    /// read.
    pub owners: [u32; 4],
}

/// The namespaces of [`Credentials::owners`], as in `/proc/PID/ns`.
pub const OWNED: [&str; 4] = ["mnt", "net", "uts", "ipc"];

impl Credentials {
    pub const NONE: Self =
        Self { capabilities: 0, euid: 0, user_ns: 0, level: 0, no_new_privs: UNRESOLVED, owners: [0; 4] };
}

/// The global `CREDENTIALS` of the probes: byte offsets, named `structure_field`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialOffsets {
    pub task_cred: u32,
    /// `task_struct.atomic_flags`, whose first bit is no_new_privs.
    pub task_flags: u32,
    pub cred_euid: u32,
    pub cred_caps: u32,
    pub cred_user_ns: u32,
    pub user_ns_level: u32,
    pub user_ns_inum: u32,
    pub task_nsproxy: u32,
    /// `nsproxy.mnt_ns` and its siblings, in the order of [`OWNED`].
    pub nsproxy: [u32; 4],
    /// `mnt_namespace.user_ns` and its siblings.
    pub owners: [u32; 4],
}

impl CredentialOffsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        task_cred: UNRESOLVED,
        task_flags: UNRESOLVED,
        cred_euid: UNRESOLVED,
        cred_caps: UNRESOLVED,
        cred_user_ns: UNRESOLVED,
        user_ns_level: UNRESOLVED,
        user_ns_inum: UNRESOLVED,
        task_nsproxy: UNRESOLVED,
        nsproxy: [UNRESOLVED; 4],
        owners: [UNRESOLVED; 4],
    };
}

const _: () = {
    assert!(size_of::<Credentials>() == 40);
    assert!(size_of::<CredentialOffsets>() == 16 * 4);
};
