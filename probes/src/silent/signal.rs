//! Signals that end a process: who sent them, or what the kernel says the process did.

use super::{memory, party};
use crate::maps::{EVENTS, SILENT, config, count_dropped, load, offset};
use crate::read::field;
use crate::syscall::header;
use crate::tree;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use diag_abi::{
    KernelKill, MODE_MACHINE, MODE_TREE, ORIGIN_FORCED, ORIGIN_KERNEL, ORIGIN_PROCESS, OomVictim, Signal,
    UNRESOLVED, WITHOUT_CALL, kind,
};

const SIGBUS: u32 = 7;
const SIGKILL: u32 = 9;
const SIGTERM: u32 = 15;
const SIGXCPU: u32 = 24;
const SIGXFSZ: u32 = 25;
const SIGSYS: u32 = 31;

/// `TRACE_SIGNAL_DELIVERED` and `TRACE_SIGNAL_LOSE_INFO` (include/trace/events/signal.h): it arrived.
const DELIVERED: u32 = 0;
const LOSE_INFO: u32 = 4;

/// `SEND_SIG_PRIV` (include/linux/signal.h); up to here `info` is no pointer.
const SEND_SIG_PRIV: u64 = 1;

/// `SEND_SIG_NOINFO`: sent in the name of the current task, by no call of it to kill(2).
const SEND_SIG_NOINFO: u64 = 0;

/// What is known of a signal before its record is reserved.
struct Sent {
    task: u64,
    sender: u64,
    info: u64,
    signal: u32,
    origin: u32,
}

/// `signal_generate(sig, info, task, group, result)`: the current task is the sender.
#[raw_tracepoint(tracepoint = "signal_generate")]
pub(crate) fn watch_signal(ctx: RawTracePointContext) -> i32 {
    let signal = ctx.arg::<u64>(0) as u32;
    if !matches!(signal, SIGBUS | SIGKILL | SIGTERM | SIGSYS | SIGXCPU | SIGXFSZ) {
        return 0;
    }
    if !matches!(ctx.arg::<u64>(4) as u32, DELIVERED | LOSE_INFO) || offset!(task_tgid) == UNRESOLVED {
        return 0;
    }
    let (info, task): (u64, u64) = (ctx.arg(1), ctx.arg(2));
    // SAFETY: the helpers take no arguments.
    let (pid_tgid, sender) =
        unsafe { (generated::bpf_get_current_pid_tgid(), generated::bpf_get_current_task() as u64) };
    let (from, to) = ((pid_tgid >> 32) as u32, field::<u32>(task, offset!(task_tgid)));
    let Some(origin) = origin(signal, info, from == to) else { return 0 };
    if origin == ORIGIN_PROCESS && from == config!(own_tgid) {
        return 0;
    }
    if config!(mode) == MODE_TREE && !tree::contains(to, task) {
        return 0;
    }
    // Everybody is asked to end now and then; only in a tree is it the answer to "why did it end".
    if config!(mode) == MODE_MACHINE && signal == SIGTERM {
        return 0;
    }
    if signal != SIGKILL && handled(task, signal) {
        return 0;
    }
    let sent = Sent { task, sender, info, signal, origin };
    if origin == ORIGIN_KERNEL {
        emit_kill(&sent)
    } else {
        emit_signal(&sent)
    }
    0
}

/// Why the signal was sent; `None` when it is not of interest.
#[inline(always)]
fn origin(signal: u32, info: u64, own: bool) -> Option<u32> {
    if info == SEND_SIG_PRIV {
        // Past RLIMIT_CPU or RLIMIT_RTTIME, to whoever runs (kernel/time/posix-cpu-timers.c check_rlimit()).
        return match signal {
            SIGKILL => Some(ORIGIN_KERNEL),
            SIGXCPU if own => Some(ORIGIN_FORCED),
            _ => None,
        };
    }
    if signal == SIGXCPU {
        return None;
    }
    if signal == SIGBUS || signal == SIGSYS {
        // Positive codes are the kernel's (include/uapi/asm-generic/siginfo.h SI_FROMKERNEL).
        return if own && info != 0 && code(info) > 0 { Some(ORIGIN_FORCED) } else { None };
    }
    if signal == SIGXFSZ {
        // Past RLIMIT_FSIZE: send_sig() to the task that writes (fs/read_write.c generic_write_check_limits()). Whoever
        // sends it by a call sends a siginfo with it.
        return if own && info == SEND_SIG_NOINFO { Some(ORIGIN_FORCED) } else { None };
    }
    if own { None } else { Some(ORIGIN_PROCESS) }
}

/// `si_code`; the layout of siginfo is user space's and does not change.
#[inline(always)]
fn code(info: u64) -> i32 {
    if info <= SEND_SIG_PRIV { 0 } else { field::<u32>(info, 8) as i32 }
}

/// Whether the program has a handler of its own for the signal, so that it does not end by it.
#[inline(always)]
fn handled(task: u64, signal: u32) -> bool {
    let (table, size) = (load(&SILENT.sighand_action), load(&SILENT.sigaction_size));
    if table == UNRESOLVED || size == UNRESOLVED || load(&SILENT.task_sighand) == UNRESOLVED {
        return false;
    }
    let sighand = field::<u64>(task, load(&SILENT.task_sighand));
    // `sa_handler` is the first field of `k_sigaction`; SIG_DFL is 0.
    field::<u64>(sighand, table + (signal - 1) * size) != 0
}

#[inline(always)]
fn emit_signal(sent: &Sent) {
    let Some(mut entry) = EVENTS.reserve::<Signal>(0) else {
        return count_dropped();
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helper takes no arguments.
    unsafe {
        let now = generated::bpf_ktime_get_ns();
        (*record).header = header(kind::SIGNAL, size_of::<Signal>(), now);
        fill(record, sent);
    }
    entry.submit(0);
}

#[inline(always)]
fn emit_kill(sent: &Sent) {
    let Some(mut entry) = EVENTS.reserve::<KernelKill>(0) else {
        return count_dropped();
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helper takes no arguments.
    unsafe {
        let now = generated::bpf_ktime_get_ns();
        (*record).signal.header = header(kind::KERNEL_KILL, size_of::<KernelKill>(), now);
        fill(&raw mut (*record).signal, sent);
        memory::fill((&raw mut (*record).levels).cast(), sent.task);
    }
    entry.submit(0);
}

/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
unsafe fn fill(record: *mut Signal, sent: &Sent) {
    // SAFETY: all pointers are to fields of the record.
    unsafe {
        (*record).signal = sent.signal;
        (*record).origin = sent.origin;
        (*record).code = code(sent.info) as u32;
        (*record).address = 0;
        (*record).syscall = 0;
        if sent.origin == ORIGIN_PROCESS && sent.info == SEND_SIG_NOINFO {
            (*record).code = WITHOUT_CALL;
        }
        if sent.origin == ORIGIN_FORCED && sent.info > SEND_SIG_PRIV {
            // The union behind the three integers and their padding: `_sigfault` or `_sigsys`.
            (*record).address = field(sent.info, 16);
            (*record).syscall = field(sent.info, 24);
        }
        party::fill(&raw mut (*record).target, sent.task);
        party::fill(&raw mut (*record).sender, sent.sender);
    }
}

/// `mark_victim(task, uid)`, before 6.9 `mark_victim(pid)`: right after the SIGKILL, by the same task
/// (mm/oom_kill.c `__oom_kill_process`).
#[raw_tracepoint(tracepoint = "mark_victim")]
pub(crate) fn watch_oom(ctx: RawTracePointContext) -> i32 {
    let what: u64 = ctx.arg(0);
    let tid = if load(&SILENT.victim_is_task) == 1 {
        field::<u32>(what, load(&SILENT.task_pid))
    } else {
        what as u32
    };
    let Some(mut entry) = EVENTS.reserve::<OomVictim>(0) else {
        count_dropped();
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helper takes no arguments.
    unsafe {
        (*record).header = header(kind::OOM_VICTIM, size_of::<OomVictim>(), generated::bpf_ktime_get_ns());
        (*record).tid = tid;
        (*record).pad = 0;
    }
    entry.submit(0);
    0
}
