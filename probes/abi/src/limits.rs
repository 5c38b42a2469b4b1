//! Limits that the probes read themselves: what was used and allowed before the system call returned.
//!
//! One generic record, so that a further reading needs a number here and no new layout.

use crate::UNRESOLVED;

/// [`LimitReading::kind`]: the slot holds nothing.
pub const READING_NONE: u32 = 0;
/// The pids cgroup that refuses, else the one with the least room; scope: its id.
pub const READING_PIDS: u32 = 1;
/// Processes of the user, per user namespace; scope: the user namespace. The ceiling is `u64::MAX` for
/// who is exempt.
pub const READING_NPROC: u32 = 2;
/// Numbers in use in a pid namespace; scope: the namespace. A ceiling of 0: not read.
pub const READING_PID_NUMBERS: u32 = 3;
/// `usage` is the task's scheduling policy.
pub const READING_POLICY: u32 = 4;
/// `usage` is the level of the user namespace in `scope`.
pub const READING_USER_DEPTH: u32 = 5;
/// `usage` is the level of the pid namespace in `scope` that children go to.
pub const READING_PID_DEPTH: u32 = 6;
/// Tasks of the machine, and how many it may have.
pub const READING_THREADS: u32 = 7;
/// Namespaces of the type [`NAMESPACE_TYPES`]`[kind - READING_NAMESPACES]`; scope: the user namespace
/// that refuses, else the one with the least room.
pub const READING_NAMESPACES: u32 = 16;

/// A counter of the user that a set of values asks for; scope: the user namespace that refuses, else the one with
/// the least room.
pub const READING_COUNT: u32 = 64;

/// Types of namespaces that are counted per user, as in `enum ucount_type`: `UCOUNT_<NAME>_NAMESPACES`.
pub const NAMESPACE_TYPES: [&str; 8] = ["user", "pid", "uts", "ipc", "net", "mnt", "cgroup", "time"];

/// The flags that ask for a namespace of each type (include/uapi/linux/sched.h), in the same order.
pub const NAMESPACE_FLAGS: [u64; 8] =
    [0x1000_0000, 0x2000_0000, 0x0400_0000, 0x0800_0000, 0x4000_0000, 0x0002_0000, 0x0200_0000, 0x0000_0080];

/// Readings in a record: all types of namespaces and two depths.
pub const READINGS: usize = NAMESPACE_TYPES.len() + 2;

/// One limit at one instant.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitReading {
    pub kind: u32,
    pub pad: u32,
    pub scope: u64,
    pub usage: u64,
    pub ceiling: u64,
    /// What the call would have added, where only the probe can know; else `u64::MAX`.
    pub adds: u64,
}

/// The global `LIMITS` of the probes: byte offsets, named `structure_field`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitOffsets {
    pub css_parent: u32,
    pub pids_css: u32,
    pub pids_counter: u32,
    pub pids_limit: u32,
    pub task_cred: u32,
    pub task_signal: u32,
    pub task_policy: u32,
    pub signal_rlim: u32,
    pub cred_user: u32,
    pub cred_ucounts: u32,
    pub cred_euid: u32,
    pub cred_caps: u32,
    /// `user_struct.processes`, up to 5.13.
    pub user_processes: u32,
    pub ucounts_ns: u32,
    pub ucounts_uid: u32,
    /// `ucounts.ucount` and `user_namespace.ucount_max`, whose elements have `ucount_size` bytes.
    pub ucounts_counts: u32,
    pub user_ns_maxima: u32,
    pub ucount_size: u32,
    pub user_ns_ucounts: u32,
    pub user_ns_level: u32,
    pub mnt_ns_user_ns: u32,
    pub mnt_ns_ucounts: u32,
    /// Where processes of a user are counted since 5.14: arrays of longs, and the index in both.
    pub nproc_counts: u32,
    pub nproc_maxima: u32,
    pub nproc_index: u32,
    /// `nsproxy.pid_ns_for_children`.
    pub nsproxy_pid_ns: u32,
    pub pid_ns_parent: u32,
    pub pid_ns_level: u32,
    pub pid_ns_allocated: u32,
    /// Since 6.14.
    pub pid_ns_max: u32,
    /// `ucounts.node` in its chain, before 6.15.
    pub ucounts_node: u32,
    pub cred_fsuid: u32,
    /// `struct key_user`, whose tree node comes first.
    pub key_user_uid: u32,
    pub key_user_keys: u32,
    pub key_user_bytes: u32,
    /// Values of `enum ucount_type`, in the order of [`NAMESPACE_TYPES`].
    pub types: [u32; 8],
}

impl LimitOffsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        css_parent: UNRESOLVED,
        pids_css: UNRESOLVED,
        pids_counter: UNRESOLVED,
        pids_limit: UNRESOLVED,
        task_cred: UNRESOLVED,
        task_signal: UNRESOLVED,
        task_policy: UNRESOLVED,
        signal_rlim: UNRESOLVED,
        cred_user: UNRESOLVED,
        cred_ucounts: UNRESOLVED,
        cred_euid: UNRESOLVED,
        cred_caps: UNRESOLVED,
        user_processes: UNRESOLVED,
        ucounts_ns: UNRESOLVED,
        ucounts_uid: UNRESOLVED,
        ucounts_counts: UNRESOLVED,
        user_ns_maxima: UNRESOLVED,
        ucount_size: UNRESOLVED,
        user_ns_ucounts: UNRESOLVED,
        user_ns_level: UNRESOLVED,
        mnt_ns_user_ns: UNRESOLVED,
        mnt_ns_ucounts: UNRESOLVED,
        nproc_counts: UNRESOLVED,
        nproc_maxima: UNRESOLVED,
        nproc_index: UNRESOLVED,
        nsproxy_pid_ns: UNRESOLVED,
        pid_ns_parent: UNRESOLVED,
        pid_ns_level: UNRESOLVED,
        pid_ns_allocated: UNRESOLVED,
        pid_ns_max: UNRESOLVED,
        ucounts_node: UNRESOLVED,
        cred_fsuid: UNRESOLVED,
        key_user_uid: UNRESOLVED,
        key_user_keys: UNRESOLVED,
        key_user_bytes: UNRESOLVED,
        types: [UNRESOLVED; 8],
    };
}

const _: () = {
    assert!(size_of::<LimitReading>() == 40);
    assert!(size_of::<LimitOffsets>() == 43 * 4);
};
