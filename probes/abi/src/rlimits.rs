//! Kinds of readings about resource limits (getrlimit(2)), and where the kernel keeps what they need.
//!
//! All are [`crate::LimitReading`]s; what their fields hold is said at each kind. Ceilings are those of
//! the task's `signal_struct`, `u64::MAX` where there is none.

use crate::UNRESOLVED;

/// RLIMIT_NOFILE; usage: the lowest free descriptor number, which is what the kernel compares.
pub const READING_NOFILE: u32 = 32;
/// RLIMIT_MEMLOCK; usage: locked pages of the process.
pub const READING_LOCKED: u32 = 33;
/// RLIMIT_AS; usage: pages of the address space.
pub const READING_ADDRESS_SPACE: u32 = 34;
/// RLIMIT_DATA; usage: pages of private writable memory.
pub const READING_DATA: u32 = 35;
/// `vm.max_map_count`, 0 where it could not be read; usage: mappings of the process.
pub const READING_MAPPINGS: u32 = 36;
/// RLIMIT_FSIZE; usage: the file's size, scope: where the next write would begin.
pub const READING_FILE_SIZE: u32 = 37;
/// RLIMIT_SIGPENDING; usage: queued signals of the user, scope: the user namespace.
pub const READING_SIGNALS: u32 = 38;
/// RLIMIT_MSGQUEUE; usage: bytes of the user's queues, scope: the user namespace; adds: of the refused one.
pub const READING_QUEUES: u32 = 39;
/// RLIMIT_MEMLOCK; usage: pages of the user that kernel objects hold (`user_struct.locked_vm`).
pub const READING_PINNED: u32 = 40;
/// RLIMIT_STACK, of which arguments and environment may take a quarter; usage is not read.
pub const READING_STACK: u32 = 41;

/// The global `RLIMITS` of the probes: byte offsets, named `structure_field`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RlimitOffsets {
    pub files_next: u32,
    pub fdt_open: u32,
    pub fdt_full: u32,
    pub task_mm: u32,
    pub mm_total: u32,
    pub mm_locked: u32,
    pub mm_data: u32,
    pub mm_maps: u32,
    pub file_position: u32,
    pub file_flags: u32,
    pub inode_size: u32,
    pub upid_number: u32,
    pub user_pinned: u32,
    /// `user_struct.sigpending` and `mq_bytes`, up to 5.13.
    pub user_signals: u32,
    pub user_queues: u32,
    /// Since 5.14: the indices of both in the arrays of [`crate::LimitOffsets::nproc_counts`].
    pub signals_index: u32,
    pub queues_index: u32,
    pub nsproxy_ipc: u32,
    /// What a queue has that is made without attributes.
    pub ipc_messages: u32,
    pub ipc_message_size: u32,
    /// The most it then may have.
    pub ipc_messages_max: u32,
    pub ipc_message_size_max: u32,
    /// `sizeof(struct msg_msg)` and `sizeof(struct posix_msg_tree_node)`.
    pub message_bytes: u32,
    pub node_bytes: u32,
}

impl RlimitOffsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        files_next: UNRESOLVED,
        fdt_open: UNRESOLVED,
        fdt_full: UNRESOLVED,
        task_mm: UNRESOLVED,
        mm_total: UNRESOLVED,
        mm_locked: UNRESOLVED,
        mm_data: UNRESOLVED,
        mm_maps: UNRESOLVED,
        file_position: UNRESOLVED,
        file_flags: UNRESOLVED,
        inode_size: UNRESOLVED,
        upid_number: UNRESOLVED,
        user_pinned: UNRESOLVED,
        user_signals: UNRESOLVED,
        user_queues: UNRESOLVED,
        signals_index: UNRESOLVED,
        queues_index: UNRESOLVED,
        nsproxy_ipc: UNRESOLVED,
        ipc_messages: UNRESOLVED,
        ipc_message_size: UNRESOLVED,
        ipc_messages_max: UNRESOLVED,
        ipc_message_size_max: UNRESOLVED,
        message_bytes: UNRESOLVED,
        node_bytes: UNRESOLVED,
    };
}

const _: () = assert!(size_of::<RlimitOffsets>() == 24 * 4);
