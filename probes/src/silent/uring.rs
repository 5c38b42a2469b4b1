//! Operations of an io_uring that failed: they complete without any system call returning an error.
//!
//! The arguments of `io_uring_complete` changed twice, and a program that reads past those a kernel passes
//! is refused there, so each form is a program of its own and user space attaches the one that fits.

use super::party;
use crate::maps::{EVENTS, SILENT, config, count_dropped, load, offset};
use crate::read::field;
use crate::syscall::header;
use crate::{flood, task, tree};
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use diag_abi::{
    ABI_IO_URING, FloodKey, IoUring, MODE_MACHINE, MODE_TREE, NO_OPCODE, UNRESOLVED, bounds, kind,
};

/// Linux 5.10 to 5.17: `(ctx, user_data, res, …)`.
#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub(crate) fn watch_uring_plain(ctx: RawTracePointContext) -> i32 {
    completed(ctx.arg(0), 0, ctx.arg(1), ctx.arg::<u64>(2) as i32);
    0
}

/// From 5.18 on: `(ctx, req, user_data, res, …)`.
#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub(crate) fn watch_uring_request(ctx: RawTracePointContext) -> i32 {
    completed(ctx.arg(0), ctx.arg(1), ctx.arg(2), ctx.arg::<u64>(3) as i32);
    0
}

/// The newest: `(ctx, req, cqe)`; a cqe begins with `user_data` and `res` (include/uapi/linux/io_uring.h).
#[raw_tracepoint(tracepoint = "io_uring_complete")]
pub(crate) fn watch_uring_entry(ctx: RawTracePointContext) -> i32 {
    let entry: u64 = ctx.arg(2);
    completed(ctx.arg(0), ctx.arg(1), field(entry, 0), field::<u32>(entry, 8) as i32);
    0
}

#[inline(always)]
fn completed(ring: u64, request: u64, user_data: u64, res: i32) {
    if res >= 0 || (res as i64) < -bounds::MAX_ERRNO {
        return;
    }
    let errno = res.unsigned_abs();
    if !of_interest(errno) || offset!(task_tgid) == UNRESOLVED {
        return;
    }
    let owner = owner(ring);
    let tgid = field::<u32>(owner, offset!(task_tgid));
    if tgid == config!(own_tgid) || (config!(mode) == MODE_TREE && !tree::contains(tgid, owner)) {
        return;
    }
    let mut opcode = NO_OPCODE;
    if request != 0 && load(&SILENT.kiocb_opcode) != UNRESOLVED {
        opcode = field::<u8>(request, load(&SILENT.kiocb_opcode)) as u32;
    }
    // SAFETY: the helper takes no arguments.
    let now = unsafe { generated::bpf_ktime_get_ns() };
    let key = FloodKey { cgroup: task::flood_cgroup(owner), tgid, nr: opcode, abi: ABI_IO_URING, errno };
    if !flood::travels_whole(&key, now) {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<IoUring>(0) else {
        return count_dropped();
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record.
    unsafe {
        (*record).header = header(kind::IO_URING, size_of::<IoUring>(), now);
        party::fill(&raw mut (*record).who, owner);
        (*record).user_data = user_data;
        (*record).errno = errno;
        (*record).opcode = opcode;
    }
    entry.submit(0);
}

/// Whose ring it is. Before 5.12 workers are kernel threads that belong to nobody, but the ring knows its
/// task (`io_ring_ctx.sqo_task`); since then they are threads of the process.
#[inline(always)]
fn owner(ring: u64) -> u64 {
    let at = load(&SILENT.ring_task);
    let known = if at == UNRESOLVED { 0 } else { field::<u64>(ring, at) };
    // SAFETY: the helper takes no arguments.
    if known == 0 { unsafe { generated::bpf_get_current_task() as u64 } } else { known }
}

/// Of the machine only what a limit or a permission refuses; of a tree all but the ordinary course of
/// asynchronous work: EINTR, EAGAIN, ETIME, EALREADY, EINPROGRESS, ECANCELED.
#[inline(always)]
fn of_interest(errno: u32) -> bool {
    if config!(mode) == MODE_MACHINE {
        // EPERM, ENOMEM, ENFILE, EMFILE, ENOSPC, EDQUOT
        return matches!(errno, 1 | 12 | 23 | 24 | 28 | 122);
    }
    !matches!(errno, 4 | 11 | 62 | 114 | 115 | 125)
        && !(bounds::ERESTART_FIRST..=bounds::ERESTART_LAST).contains(&errno)
}
