//! The errno watch: one program on `sys_exit`.
//!
//! Every system call of the machine passes here, so the result is tested first and everything else is
//! behind that one comparison; then the interest tables, which most failures are not in.

use crate::maps::{INTEREST, INTEREST_COMPAT, MAYBE, config, load};
use crate::read::{no_string, user_bytes, user_string};
use crate::{credentials, flood, limits, object, registers, stack, stage, task, tree};
use aya_ebpf::EbpfContext;
use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};
use diag_abi::bounds::{
    ARGS, ERESTART_FIRST, ERESTART_LAST, ERRNO_END, LONG_SLOT, LONG_STRING, MAX_ERRNO, SHORT_STRING, SYSCALLS,
};
use diag_abi::{
    ABI_NATIVE, CLONE_ARGS, FloodKey, Header, InterestRow, MODE_TREE, PRESENT_BYTES, ROW_FLAGS_STRUCT,
    ROW_LONG, ROW_MOUNTS, ROW_SET_SHIFT, STAGE_VALUES, SyscallFailure, SyscallFailureLong, VERSION, kind,
};

/// Reads the argument that the row assigns to a slot as a string.
macro_rules! read_slot {
    ($plain:expr, $record:expr, $slot:ident $([$index:literal])?, $arg:expr, $capacity:expr) => {{
        let slot = &raw mut (*$record).$slot $([$index])?;
        let (state, len) = (&raw mut (*slot).state, &raw mut (*slot).len);
        let arg = $arg as usize;
        if arg < ARGS {
            let address = (*$plain).args[arg];
            user_string(address, (&raw mut (*slot).bytes).cast(), $capacity as u32, state, len);
        } else {
            no_string(state, len);
        }
    }};
}

/// `sys_exit(regs, ret)`.
#[raw_tracepoint(tracepoint = "sys_exit")]
pub(crate) fn watch_errno(ctx: RawTracePointContext) -> i32 {
    let ret: i64 = ctx.arg(1);
    if !(-MAX_ERRNO..0).contains(&ret) {
        return 0;
    }
    let regs: u64 = ctx.arg(0);
    failed(&ctx, regs, registers::number(regs), (-ret) as u32)
}

/// The same where the kernel knows the arguments' types: then the number is a plain load, and most failures end
/// without a single call of a helper.
#[btf_tracepoint(function = "sys_exit")]
pub(crate) fn watch_errno_typed(ctx: BtfTracePointContext) -> i32 {
    let ret: i64 = ctx.arg(1);
    if !(-MAX_ERRNO..0).contains(&ret) {
        return 0;
    }
    let regs: *const pt_regs = ctx.arg(0);
    // SAFETY: the kernel's own pointer; a load through it that faults reads zero.
    let nr = unsafe { (&raw const (*regs).orig_rax).read_volatile() } as u32;
    failed(&ctx, regs as u64, nr, (-ret) as u32)
}

#[inline(always)]
fn failed(ctx: &impl EbpfContext, regs: u64, nr: u32, errno: u32) -> i32 {
    // Most failures of a healthy machine end here, before anything is asked about the task.
    if !may_be_wanted(nr, errno) {
        return 0;
    }
    let Some((failed, row)) = of_interest(regs, nr, errno) else { return 0 };
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: this processor's record.
    unsafe {
        (*record).cursor = 0;
        fill(&raw mut (*record).whole, &failed, row);
        stack::fill(ctx, &raw mut (*record).whole.plain.stack, regs);
        // The recipes go on to the other stages; where their program is missing, or there are none, so does this.
        if row.flags >> ROW_SET_SHIFT != 0 {
            stage::enter(ctx, STAGE_VALUES);
        }
        stage::enter(ctx, limits::stage(&raw const (*record).whole.plain));
    }
    stage::submit(record);
    0
}

/// Whether one of the two tables wants it. A global, because that is a load, and no look-up.
#[inline(always)]
fn may_be_wanted(nr: u32, errno: u32) -> bool {
    if nr >= SYSCALLS {
        return false;
    }
    let at = bounded(u64::from(errno) * u64::from(SYSCALLS) + u64::from(nr)) as usize;
    at < MAYBE.len() && load(&MAYBE[at]) != 0
}

/// The same value, about which the compiler knows nothing: a comparison of it stays, and bounds the very register
/// that becomes the index; the verifier does not see through the compiler's own way of proving it.
#[inline(always)]
fn bounded(known: u64) -> u64 {
    let value: u64;
    // SAFETY: copies a register. (An empty statement would do, but leaves two line records for one instruction, which
    // the kernel refuses.)
    unsafe { core::arch::asm!("{value} = {known}", known = in(reg) known, value = lateout(reg) value) };
    value
}

/// What is known of a failure before its record is filled.
struct Failed {
    regs: u64,
    task: u64,
    now: u64,
    nr: u32,
    abi: u32,
    errno: u32,
}

/// Whether it travels, and by which row.
#[inline(always)]
fn of_interest(regs: u64, nr: u32, errno: u32) -> Option<(Failed, &'static InterestRow)> {
    if (ERESTART_FIRST..=ERESTART_LAST).contains(&errno) {
        return None;
    }
    // SAFETY: the helpers take no arguments.
    let (pid_tgid, task) =
        unsafe { (generated::bpf_get_current_pid_tgid(), generated::bpf_get_current_task()) };
    let (tgid, task) = ((pid_tgid >> 32) as u32, task as u64);
    if tgid == config!(own_tgid) {
        return None;
    }
    if config!(mode) == MODE_TREE && !tree::contains(tgid, task) {
        return None;
    }
    let abi = registers::abi(task);
    let row = if abi == ABI_NATIVE { INTEREST.get(nr) } else { INTEREST_COMPAT.get(nr) };
    if !wanted(row, errno) {
        return None;
    }
    // SAFETY: the helper takes no arguments.
    let now = unsafe { generated::bpf_ktime_get_ns() };
    let key = FloodKey { cgroup: task::flood_cgroup(task), tgid, nr, abi, errno };
    if !flood::travels_whole(&key, now) {
        return None;
    }
    row.map(|row| (Failed { regs, task, now, nr, abi, errno }, row))
}

#[inline(always)]
fn wanted(row: Option<&InterestRow>, errno: u32) -> bool {
    row.is_some_and(|row| contains(row, errno))
}

/// Whether the row's set holds the errno.
#[inline(always)]
fn contains(row: &InterestRow, errno: u32) -> bool {
    let errno = bounded(errno as u64);
    if errno >= ERRNO_END as u64 {
        return false;
    }
    row.errnos[(errno >> 6) as usize] & (1 << (errno & 63)) != 0
}

#[inline(always)]
pub(crate) fn header(kind: u16, size: usize, time_ns: u64) -> Header {
    Header { version: VERSION, kind, size: size as u32, time_ns }
}

/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
unsafe fn fill(record: *mut SyscallFailureLong, failed: &Failed, row: &InterestRow) {
    // SAFETY: all pointers are to fields of the record; strings have the capacity given.
    unsafe {
        let plain = &raw mut (*record).plain;
        (*plain).header = match row.flags & ROW_LONG {
            0 => header(kind::SYSCALL, size_of::<SyscallFailure>(), failed.now),
            _ => header(kind::SYSCALL_LONG, size_of::<SyscallFailureLong>(), failed.now),
        };
        (*plain).nr = failed.nr;
        (*plain).abi = failed.abi;
        (*plain).errno = failed.errno;
        (*plain).row = row.flags;
        registers::arguments(failed.regs, failed.abi, (&raw mut (*plain).args).cast());
        task::fill(plain, failed.task);
        task::fill_mounts(plain, failed.task, row.flags & ROW_MOUNTS != 0);
        credentials::fill(plain, failed.task);
        limits::clear(plain);
        limits::fill_call_flags(plain, row.flags);
        object::fill_seccomp(plain, failed.task);
        read_slot!(plain, plain, strings[0], row.strings[0], SHORT_STRING);
        read_slot!(plain, plain, strings[1], row.strings[1], SHORT_STRING);
        if row.flags & ROW_FLAGS_STRUCT != 0 && (*plain).args[1] >= CLONE_ARGS as u64 {
            let text = &raw mut (*plain).strings[0];
            let (state, len) = (&raw mut (*text).state, &raw mut (*text).len);
            user_bytes((*plain).args[0], CLONE_ARGS as u64, (&raw mut (*text).bytes).cast(), state, len);
            (*plain).present |= PRESENT_BYTES;
        }
        if row.flags & ROW_LONG != 0 {
            read_slot!(plain, record, third, row.strings[2], SHORT_STRING);
            read_slot!(plain, record, long, row.strings[LONG_SLOT], LONG_STRING);
        }
    }
}
