//! What a new task or namespace is held against, read before the refused caller can see its errno.
//!
//! What a refused call had charged is undone by now, so "one more does not fit" is what a reading shows
//! where the limit said no. Hierarchies are walked from the leaf up, as the kernel charges them, and the
//! first level without room is the one that refused; where none is, the leaf stands for all. A walk that
//! meets its bound or an unreadable field leaves no reading: half a hierarchy rules nothing out.
//!
//! Each group of readings is a stage of its own (see `crate::stage`).

mod counts;
mod descriptors;
mod keys;
mod namespaces;
mod rlimits;
mod tasks;

use crate::maps::{limit, offset};
use crate::read::{field, known};
use aya_ebpf::helpers::bpf_probe_read_user;
use diag_abi::{
    CLONE_INTO_CGROUP, LimitReading, NAMESPACE_FLAGS, PRESENT_CALL_FLAGS, READING_NONE, READINGS,
    ROW_ANONYMOUS_MOUNTS, ROW_EXEC, ROW_FD, ROW_FLAGS_ARG, ROW_FLAGS_STRUCT, ROW_MEMORY, ROW_PINNED,
    ROW_SIGNALS, ROW_SIGNALS_TO, ROW_SOCKET, ROW_TASKS, STAGE_DESCRIPTORS, STAGE_NAMESPACES, STAGE_NONE,
    STAGE_OBJECT, STAGE_RLIMITS, STAGE_SOCKET, STAGE_TASKS, SyscallFailure, UNRESOLVED,
};

/// User and pid namespaces nest 32 deep below the first (kernel/user_namespace.c `create_user_ns`,
/// kernel/pid_namespace.c `MAX_PID_NS_LEVEL`), so this many levels are all there can be.
const NAMESPACE_LEVELS: usize = 34;

const EPERM: u32 = 1;
const E2BIG: u32 = 7;
const EAGAIN: u32 = 11;
const ENOMEM: u32 = 12;
const EMFILE: u32 = 24;
const EFBIG: u32 = 27;
const ENOSPC: u32 = 28;
const EBADF: u32 = 9;
/// Index of `mnt` in `diag_abi::NAMESPACE_TYPES`.
const MNT: usize = 5;

/// Which stage has the readings that this failure can be about.
///
/// # Safety
/// `record` must be valid for a whole record whose plain part is filled.
#[inline(always)]
pub(crate) unsafe fn stage(record: *const SyscallFailure) -> u32 {
    // SAFETY: fields of the record.
    let (errno, row, flags) = unsafe { ((*record).errno, (*record).row, (*record).call_flags) };
    if errno == EAGAIN && row & (ROW_TASKS | ROW_EXEC) != 0 {
        return STAGE_TASKS;
    }
    if errno == ENOSPC && flags & !CLONE_INTO_CGROUP != 0 {
        return STAGE_NAMESPACES;
    }
    if row & ROW_FLAGS_STRUCT != 0 && flags & CLONE_INTO_CGROUP != 0 {
        return STAGE_OBJECT;
    }
    if errno == EMFILE {
        return STAGE_DESCRIPTORS;
    }
    let memory = errno == ENOMEM || errno == EPERM;
    if errno == EFBIG
        || (errno == E2BIG && row & ROW_EXEC != 0)
        || (errno == EAGAIN && row & (ROW_MEMORY | ROW_SIGNALS | ROW_SIGNALS_TO) != 0)
        || (memory && row & (ROW_MEMORY | ROW_PINNED) != 0)
    {
        return STAGE_RLIMITS;
    }
    // Asking and waiting, and descriptors that are none, are no failures of a file.
    if row & ROW_FD != 0 && errno != EAGAIN && errno != EBADF {
        return STAGE_OBJECT;
    }
    if row & ROW_SOCKET != 0 && errno != EBADF {
        return STAGE_SOCKET;
    }
    STAGE_NONE
}

/// Marks every slot as unused.
///
/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
pub(crate) unsafe fn clear(record: *mut SyscallFailure) {
    // SAFETY: fields of the record.
    unsafe {
        let mut index = 0;
        while index < READINGS {
            (*record).readings[index] =
                LimitReading { kind: READING_NONE, pad: 0, scope: 0, usage: 0, ceiling: 0, adds: u64::MAX };
            index += 1;
        }
        (*record).count =
            LimitReading { kind: READING_NONE, pad: 0, scope: 0, usage: 0, ceiling: 0, adds: u64::MAX };
        (*record).values_read = 0;
        (*record).values_pad = 0;
    }
}

#[inline(always)]
fn slot(record: *mut SyscallFailure, index: usize) -> *mut LimitReading {
    // SAFETY: callers pass indices below READINGS.
    unsafe { (&raw mut (*record).readings).cast::<LimitReading>().add(index) }
}

/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn put(to: *mut LimitReading, kind: u32, scope: u64, usage: u64, ceiling: u64) {
    // SAFETY: by this function's contract.
    unsafe {
        (*to).kind = kind;
        (*to).scope = scope;
        (*to).usage = usage;
        (*to).ceiling = ceiling;
    }
}

/// `RLIMIT_*`, as `rlimit()` reads it: the soft limit of the process; `struct rlimit` is two words.
#[inline(always)]
fn rlimit_of(task: u64, which: u32) -> Option<u64> {
    const SIZE: u32 = 16;
    if limit!(signal_rlim) == UNRESOLVED {
        return None;
    }
    known(field::<u64>(task, limit!(task_signal)), limit!(signal_rlim) + which * SIZE)
}

/// A counter of the user in each user namespace up to the first, from `ucounts` on (kernel/ucount.c): `most` holds
/// on the first level, and each namespace has the ceiling of its owner there.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn per_user(to: *mut LimitReading, kind: u32, ucounts: u64, index: u32, adds: u64, most: u64) {
    let (counts, maxima) = (limit!(nproc_counts), limit!(nproc_maxima));
    let (mut ucounts, mut most) = (ucounts, most);
    for level in 0..NAMESPACE_LEVELS {
        let Some(namespace) = known::<u64>(ucounts, limit!(ucounts_ns)) else { return };
        let Some(used) = known::<u64>(ucounts, counts + index * 8) else { return };
        let Some(up) = known::<u64>(namespace, limit!(user_ns_ucounts)) else { return };
        let Some(next) = known::<u64>(namespace, maxima + index * 8) else { return };
        let full = used.wrapping_add(adds) > most;
        if level == 0 || full {
            let inum = field::<u32>(namespace, offset!(user_ns_inum));
            // Not a reading before the walk is complete.
            let kind = if full { kind } else { READING_NONE };
            // SAFETY: by this function's contract.
            unsafe { put(to, kind, inum as u64, used, most) };
            if full {
                return;
            }
        }
        if up == 0 {
            // SAFETY: by this function's contract.
            return unsafe { (*to).kind = kind };
        }
        (ucounts, most) = (up, next);
    }
}

/// Which namespaces the call asks for.
///
/// # Safety
/// `record` must be valid for a whole record whose arguments are filled.
#[inline(always)]
pub(crate) unsafe fn fill_call_flags(record: *mut SyscallFailure, row: u32) {
    // SAFETY: fields of the record; the helper tolerates any source.
    unsafe {
        (*record).call_flags = 0;
        let first = (*record).args[0];
        let flags = if row & ROW_FLAGS_ARG != 0 {
            first
        } else if row & ROW_FLAGS_STRUCT != 0 {
            match bpf_probe_read_user(first as *const u64) {
                Ok(flags) => flags,
                Err(_) => return,
            }
        } else if row & ROW_ANONYMOUS_MOUNTS != 0 {
            // Not the call's own flags: what it comes to.
            (*record).call_flags = NAMESPACE_FLAGS[MNT];
            return;
        } else {
            return;
        };
        (*record).call_flags = flags;
        (*record).present |= PRESENT_CALL_FLAGS;
    }
}
