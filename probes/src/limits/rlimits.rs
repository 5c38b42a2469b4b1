//! Stage: resource limits of a process or its user, and what is held against them.

use super::{per_user, put, rlimit_of, slot};
use crate::maps::{limit, offset, rlimit, variable};
use crate::object::open_file;
use crate::read::{field, known};
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::{bpf_probe_read_user, generated};
use diag_abi::{
    READING_ADDRESS_SPACE, READING_DATA, READING_FILE_SIZE, READING_LOCKED, READING_MAPPINGS, READING_PINNED,
    READING_QUEUES, READING_SIGNALS, READING_STACK, ROW_FD, ROW_MEMORY, ROW_PINNED, ROW_QUEUES, ROW_SIGNALS,
    ROW_SIGNALS_TO, STAGE_OBJECT, SyscallFailure, UNRESOLVED,
};

/// include/uapi/asm-generic/resource.h
const RLIMIT_FSIZE: u32 = 1;
const RLIMIT_DATA: u32 = 2;
const RLIMIT_STACK: u32 = 3;
const RLIMIT_MEMLOCK: u32 = 8;
const RLIMIT_AS: u32 = 9;
const RLIMIT_SIGPENDING: u32 = 11;
const RLIMIT_MSGQUEUE: u32 = 12;
const O_APPEND: u32 = 0o2000;
/// include/uapi/linux/mqueue.h
const MQ_PRIO_MAX: u64 = 32_768;

stage!(rlimits_stage: read_rlimits, read_rlimits_typed);

#[inline(always)]
fn rlimits_stage(ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let task = generated::bpf_get_current_task() as u64;
        let plain = &raw mut (*record).whole.plain;
        let (errno, row) = ((*plain).errno, (*plain).row);
        if errno == super::EFBIG {
            file_size(plain, task);
            if row & ROW_FD != 0 {
                stage::enter(ctx, STAGE_OBJECT);
            }
        } else if errno == super::E2BIG {
            if let Some(most) = rlimit_of(task, RLIMIT_STACK) {
                put(slot(plain, 0), READING_STACK, 0, 0, most);
            }
        } else if row & ROW_QUEUES != 0 {
            // The first is for descriptors.
            queues(plain, task);
        } else if row & (ROW_SIGNALS | ROW_SIGNALS_TO) != 0 {
            signals(plain, task);
        } else if row & ROW_PINNED != 0 {
            let user = field::<u64>(field(task, offset!(task_real_cred)), limit!(cred_user));
            let pinned = known::<u64>(user, rlimit!(user_pinned));
            if let (Some(pages), Some(most)) = (pinned, rlimit_of(task, RLIMIT_MEMLOCK)) {
                put(slot(plain, 0), READING_PINNED, 0, pages, most);
            }
        } else if row & ROW_MEMORY != 0 {
            memory(plain, task);
        }
    }
    stage::submit(record);
    0
}

/// What mm/mmap.c, mm/mlock.c and mm/mremap.c compare, each in pages.
///
/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
unsafe fn memory(record: *mut SyscallFailure, task: u64) {
    let mm = field::<u64>(task, rlimit!(task_mm));
    // SAFETY: slots of the record.
    unsafe {
        if let (Some(pages), Some(most)) = (known(mm, rlimit!(mm_locked)), rlimit_of(task, RLIMIT_MEMLOCK)) {
            put(slot(record, 0), READING_LOCKED, 0, pages, most);
        }
        if let (Some(pages), Some(most)) = (known(mm, rlimit!(mm_total)), rlimit_of(task, RLIMIT_AS)) {
            put(slot(record, 1), READING_ADDRESS_SPACE, 0, pages, most);
        }
        if let (Some(pages), Some(most)) = (known(mm, rlimit!(mm_data)), rlimit_of(task, RLIMIT_DATA)) {
            put(slot(record, 2), READING_DATA, 0, pages, most);
        }
        if let Some(maps) = known::<u32>(mm, rlimit!(mm_maps)) {
            let most = variable!(max_map_count).unwrap_or(0);
            put(slot(record, 3), READING_MAPPINGS, 0, maps as u64, most as u64);
        }
    }
}

/// What `generic_write_check_limits()` (fs/read_write.c) and `inode_newsize_ok()` (fs/attr.c) compare.
///
/// # Safety
/// `record` must be valid for a whole record whose arguments are filled.
#[inline(always)]
unsafe fn file_size(record: *mut SyscallFailure, task: u64) {
    // SAFETY: fields of the record.
    let (number, row) = unsafe { ((*record).args[0] as u32, (*record).row) };
    let file = if row & ROW_FD != 0 { open_file(task, number) } else { 0 };
    let size = field::<u64>(field(file, crate::maps::object!(file_inode)), rlimit!(inode_size));
    let appends = field::<u32>(file, rlimit!(file_flags)) & O_APPEND != 0;
    let begins = if appends { size } else { field::<u64>(file, rlimit!(file_position)) };
    if let Some(most) = rlimit_of(task, RLIMIT_FSIZE) {
        // SAFETY: a slot of the record.
        unsafe { put(slot(record, 0), READING_FILE_SIZE, begins, size, most) };
    }
}

/// `__sigqueue_alloc()` (kernel/signal.c) asks the limit and the user of the *receiver*, which is known here only
/// where that is the sender.
///
/// # Safety
/// `record` must be valid for a whole record whose arguments are filled.
#[inline(always)]
unsafe fn signals(record: *mut SyscallFailure, task: u64) {
    // SAFETY: fields of the record.
    let (to, row) = unsafe { ((*record).args[0] as u32, (*record).row) };
    if row & ROW_SIGNALS_TO != 0 && own_number(task) != Some(to) {
        return;
    }
    let Some(most) = rlimit_of(task, RLIMIT_SIGPENDING) else { return };
    let (old, index) = (rlimit!(user_signals), rlimit!(signals_index));
    // SAFETY: a slot of the record.
    unsafe { user_counter(slot(record, 0), READING_SIGNALS, task, (old, 4), index, most, 1) };
}

/// The process's number as it knows it itself (kernel/pid.c `task_tgid_vnr`).
#[inline(always)]
fn own_number(task: u64) -> Option<u32> {
    let (numbers, size) = (offset!(pid_numbers), offset!(upid_size));
    if numbers == UNRESOLVED || size == UNRESOLVED {
        return None;
    }
    let leader = field::<u64>(task, offset!(task_group_leader));
    let pid = field::<u64>(leader, offset!(task_thread_pid));
    let level = known::<u32>(pid, offset!(pid_level))?;
    known(pid + numbers as u64 + level as u64 * size as u64, rlimit!(upid_number))
}

/// `mqueue_get_inode()` (ipc/mqueue.c): the messages a queue can hold and the kernel's own bytes for each.
///
/// # Safety
/// `record` must be valid for a whole record whose arguments are filled.
#[inline(always)]
unsafe fn queues(record: *mut SyscallFailure, task: u64) {
    let Some(most) = rlimit_of(task, RLIMIT_MSGQUEUE) else { return };
    // SAFETY: fields of the record.
    let attributes = unsafe { (*record).args[3] };
    let ipc = field::<u64>(field(task, offset!(task_nsproxy)), rlimit!(nsproxy_ipc));
    let mut adds = u64::MAX;
    let (message, node) = (rlimit!(message_bytes), rlimit!(node_bytes));
    if let Some((messages, size)) = capacity(attributes, ipc)
        && message != UNRESOLVED
        && node != UNRESOLVED
    {
        let nodes = if messages > MQ_PRIO_MAX { MQ_PRIO_MAX } else { messages };
        adds = messages * (message as u64 + size) + nodes * node as u64;
    }
    let (old, index) = (rlimit!(user_queues), rlimit!(queues_index));
    // SAFETY: a slot of the record.
    unsafe { user_counter(slot(record, 1), READING_QUEUES, task, (old, 8), index, most, adds) };
}

/// Messages and their size: `mq_maxmsg` and `mq_msgsize` of the caller, or what the namespace gives without.
#[inline(always)]
fn capacity(attributes: u64, ipc: u64) -> Option<(u64, u64)> {
    if attributes != 0 {
        // SAFETY: the helper tolerates any source.
        let [messages, size] = unsafe { bpf_probe_read_user((attributes + 8) as *const [u64; 2]) }.ok()?;
        return Some((messages, size));
    }
    let lower = |a: u32, b: u32| if a < b { a as u64 } else { b as u64 };
    let messages = lower(known(ipc, rlimit!(ipc_messages))?, known(ipc, rlimit!(ipc_messages_max))?);
    let size = lower(known(ipc, rlimit!(ipc_message_size))?, known(ipc, rlimit!(ipc_message_size_max))?);
    Some((messages, size))
}

/// A counter of the user: one number up to 5.13 (with its size in bytes), then one for each user namespace.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn user_counter(
    to: *mut diag_abi::LimitReading,
    kind: u32,
    task: u64,
    (old, old_size): (u32, u32),
    index: u32,
    most: u64,
    adds: u64,
) {
    let cred = field::<u64>(task, offset!(task_real_cred));
    // SAFETY: by this function's contract.
    unsafe {
        (*to).adds = adds;
        if index == UNRESOLVED || limit!(nproc_counts) == UNRESOLVED {
            let user = field::<u64>(cred, limit!(cred_user));
            let used = match old_size {
                4 => known::<u32>(user, old).map(u64::from),
                _ => known::<u64>(user, old),
            };
            if let Some(used) = used {
                let user_ns = field::<u64>(cred, offset!(cred_user_ns));
                put(to, kind, field::<u32>(user_ns, offset!(user_ns_inum)) as u64, used, most);
                (*to).adds = adds;
            }
            return;
        }
        let needs = if adds == u64::MAX { 1 } else { adds };
        per_user(to, kind, field(cred, limit!(cred_ucounts)), index, needs, most);
        (*to).adds = adds;
    }
}
