//! Programs of container engines, from the instant they are started: a runtime that was refused something is gone
//! before user space reads /proc, and with it the only words that say whose container it was about.

use crate::maps::{ENGINE_WORDS, ENGINES, ENGINES_ALIVE, EVENTS, count_dropped, load, offset};
use crate::read::field;
use crate::syscall::header;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use diag_abi::bounds::{COMM, ENGINE_TEXT};
use diag_abi::{EngineEnded, EngineStarted, kind};

/// `sched_process_exec(task, old_pid, bprm)`: the current task has its new name and words (fs/exec.c `exec_binprm`,
/// fs/binfmt_elf.c `create_elf_tables`).
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn watch_engines(ctx: RawTracePointContext) -> i32 {
    let mut comm = [0_u8; COMM];
    // SAFETY: the helper writes as many bytes as the array has; the other one takes no arguments.
    let pid = unsafe {
        generated::bpf_get_current_comm(comm.as_mut_ptr().cast(), COMM as u32);
        (generated::bpf_get_current_pid_tgid() >> 32) as u32
    };
    if ENGINES.get_ptr(comm).is_none() {
        // A runtime's process that becomes the container's own works for no engine any more.
        ended(pid);
        return 0;
    }
    let _ = ENGINES_ALIVE.insert(pid, 1, 0);
    let task: u64 = ctx.arg(0);
    let Some(mut entry) = EVENTS.reserve::<EngineStarted>(0) else {
        count_dropped();
        return 0;
    };
    let record = entry.as_mut_ptr();
    let mm = field::<u64>(task, load(&ENGINE_WORDS.task_mm));
    let start = field::<u64>(mm, load(&ENGINE_WORDS.arg_start));
    let arg_end = field::<u64>(mm, load(&ENGINE_WORDS.arg_end));
    let env_end = field::<u64>(mm, load(&ENGINE_WORDS.env_end));
    let words = arg_end.wrapping_sub(start);
    // SAFETY: the ring entry has room for the record; the helper clears it before it returns an error, and
    // tolerates any source.
    unsafe {
        let now = generated::bpf_ktime_get_ns();
        (*record).header = header(kind::ENGINE_STARTED, size_of::<EngineStarted>(), now);
        (*record).pid = pid;
        (*record).ppid = field(field(task, offset!(task_real_parent)), offset!(task_tgid));
        (*record).words = words as u32;
        (*record).comm = comm;
        let to = (&raw mut (*record).text).cast();
        // Words and environment lie behind each other (fs/binfmt_elf.c), so one read has both. The end of the
        // environment may be out of memory already where the words are not.
        let both = bounded(env_end.wrapping_sub(start));
        let only = bounded(words);
        (*record).len = if generated::bpf_probe_read_user(to, both & MASK, start as *const _) == 0 {
            both
        } else if generated::bpf_probe_read_user(to, only & MASK, start as *const _) == 0 {
            only
        } else {
            0
        };
    }
    entry.submit(0);
    0
}

/// `sched_process_exit(task)`: for each thread; the leader's end is the process's.
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn watch_engines_end(_ctx: RawTracePointContext) -> i32 {
    // SAFETY: the helper takes no arguments.
    let pid_tgid = unsafe { generated::bpf_get_current_pid_tgid() };
    let (pid, tid) = ((pid_tgid >> 32) as u32, pid_tgid as u32);
    if pid == tid {
        ended(pid);
    }
    0
}

/// Says so, if it was told of.
#[inline(always)]
fn ended(pid: u32) {
    if ENGINES_ALIVE.get_ptr(pid).is_none() {
        return;
    }
    let _ = ENGINES_ALIVE.remove(pid);
    let Some(mut entry) = EVENTS.reserve::<EngineEnded>(0) else {
        count_dropped();
        return;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record.
    unsafe {
        let now = generated::bpf_ktime_get_ns();
        (*record).header = header(kind::ENGINE_ENDED, size_of::<EngineEnded>(), now);
        (*record).pid = pid;
        (*record).pad = 0;
    }
    entry.submit(0);
}

const MASK: u32 = ENGINE_TEXT as u32 - 1;
const _: () = assert!(ENGINE_TEXT.is_power_of_two());

/// As many bytes as the record has room for, in a form that the verifier follows.
#[inline(always)]
fn bounded(bytes: u64) -> u32 {
    if bytes > MASK as u64 { MASK } else { bytes as u32 & MASK }
}
