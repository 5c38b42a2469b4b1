//! Which kernel fields resource limits are read from.

use super::offsets::Resolved;
use super::{Btf, Want};
use Want::{Int, Pointer, Words};
use diag_abi::{RlimitOffsets, UNRESOLVED};

/// The lowest free descriptor number.
pub const DESCRIPTORS: &str = "free descriptors";
/// Pages and mappings of a process.
pub const MEMORY: &str = "memory of a process";
/// Where a file ends and the next write begins.
pub const POSITIONS: &str = "positions in files";
/// Queued signals of a user.
pub const SIGNALS: &str = "queued signals of a user";
/// Message queues of a user.
pub const QUEUES: &str = "message queues of a user";

type Row = (&'static str, &'static str, &'static str, Want, fn(&mut RlimitOffsets) -> &mut u32);

const FIELDS: &[Row] = &[
    (DESCRIPTORS, "files_struct", "next_fd", Int(4), |o| &mut o.files_next),
    (DESCRIPTORS, "fdtable", "open_fds", Words, |o| &mut o.fdt_open),
    (DESCRIPTORS, "fdtable", "full_fds_bits", Words, |o| &mut o.fdt_full),
    (MEMORY, "task_struct", "mm", Pointer("mm_struct"), |o| &mut o.task_mm),
    (MEMORY, "mm_struct", "total_vm", Int(8), |o| &mut o.mm_total),
    (MEMORY, "mm_struct", "locked_vm", Int(8), |o| &mut o.mm_locked),
    (MEMORY, "mm_struct", "data_vm", Int(8), |o| &mut o.mm_data),
    (MEMORY, "mm_struct", "map_count", Int(4), |o| &mut o.mm_maps),
    (MEMORY, "user_struct", "locked_vm.counter", Int(8), |o| &mut o.user_pinned),
    (POSITIONS, "file", "f_pos", Int(8), |o| &mut o.file_position),
    (POSITIONS, "file", "f_flags", Int(4), |o| &mut o.file_flags),
    (POSITIONS, "inode", "i_size", Int(8), |o| &mut o.inode_size),
    (SIGNALS, "upid", "nr", Int(4), |o| &mut o.upid_number),
    (QUEUES, "nsproxy", "ipc_ns", Pointer("ipc_namespace"), |o| &mut o.nsproxy_ipc),
    (QUEUES, "ipc_namespace", "mq_msg_default", Int(4), |o| &mut o.ipc_messages),
    (QUEUES, "ipc_namespace", "mq_msgsize_default", Int(4), |o| &mut o.ipc_message_size),
    (QUEUES, "ipc_namespace", "mq_msg_max", Int(4), |o| &mut o.ipc_messages_max),
    (QUEUES, "ipc_namespace", "mq_msgsize_max", Int(4), |o| &mut o.ipc_message_size_max),
];

/// Looks up every field and adds what is missing to what else is.
pub(super) fn resolve(btf: &Btf<'_>, resolved: &mut Resolved) {
    let mut offsets = RlimitOffsets::NONE;
    let mut note = |reading, why: String| {
        if resolved.why_not(reading).is_none() {
            resolved.missing.push((reading, why));
        }
    };
    for (reading, structure, path, want, slot) in FIELDS {
        match btf.member(structure, path, *want) {
            Ok(offset) => *slot(&mut offsets) = offset,
            Err(why) => note(reading, why.to_string()),
        }
    }
    for (structure, slot) in
        [("msg_msg", &mut offsets.message_bytes), ("posix_msg_tree_node", &mut offsets.node_bytes)]
    {
        match btf.size_of(structure) {
            Ok(size) => *slot = size,
            Err(why) => note(QUEUES, why.to_string()),
        }
    }
    // Counted where processes of a user are (see `super::limits`): since 5.14 for each user namespace, in an array
    // that got an enumeration of its own in 6.1; before, in the user alone.
    let index = |name| ["rlimit_type", "ucount_type"].iter().find_map(|kind| btf.enumerator(kind, name).ok());
    let (signals, queues) = (index("UCOUNT_RLIMIT_SIGPENDING"), index("UCOUNT_RLIMIT_MSGQUEUE"));
    offsets.signals_index = signals.unwrap_or(UNRESOLVED);
    offsets.queues_index = queues.unwrap_or(UNRESOLVED);
    let user = |path, size| btf.member("user_struct", path, Int(size));
    if signals.is_none() {
        match user("sigpending.counter", 4) {
            Ok(offset) => offsets.user_signals = offset,
            Err(why) => note(SIGNALS, why.to_string()),
        }
    }
    if queues.is_none() {
        match user("mq_bytes", 8) {
            Ok(offset) => offsets.user_queues = offset,
            Err(why) => note(QUEUES, why.to_string()),
        }
    }
    resolved.rlimits = offsets;
}

/// Every member that is looked up, for tests that hold it against another implementation.
pub fn looked_up() -> impl Iterator<Item = (&'static str, &'static str, Want)> {
    FIELDS.iter().map(|(_, structure, path, want, _)| (*structure, *path, *want))
}
