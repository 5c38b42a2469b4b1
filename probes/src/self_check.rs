//! The loader's own task as the probes see it, so that user space can hold it against `/proc/self`
//! before it trusts any offset. Run once per start by BPF_PROG_TEST_RUN, never attached.
//!
//! This is also where aya-log speaks: it costs hundreds of instructions, so it has no place in a program
//! that every system call passes.

use crate::credentials;
use crate::limits;
use crate::maps::{EVENTS, config, count_dropped};
use crate::registers;
use crate::syscall::header;
use crate::task;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use aya_log_ebpf::debug;
use diag_abi::{OpenFile, SyscallFailure, VERSION, kind};

#[raw_tracepoint]
pub(crate) fn self_check(ctx: RawTracePointContext) -> i32 {
    let Some(mut entry) = EVENTS.reserve::<SyscallFailure>(0) else {
        count_dropped();
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helpers take no arguments.
    let (mounts, mnt_ns) = unsafe {
        let task = generated::bpf_get_current_task() as u64;
        (*record).header =
            header(kind::SELF_CHECK, size_of::<SyscallFailure>(), generated::bpf_ktime_get_ns());
        (*record).args = [0; 6];
        (*record).nr = 0;
        (*record).abi = registers::abi(task);
        (*record).errno = 0;
        task::fill(record, task);
        task::fill_mounts(record, task, true);
        credentials::fill(record, task);
        limits::clear(record);
        (*record).row = 0;
        (*record).call_flags = 0;
        (*record).seccomp_mode = 0;
        (*record).seccomp_filters = 0;
        (*record).file = OpenFile::NONE;
        (*record).stack.frames_len = 0;
        (*record).stack.top_len = 0;
        (*record).strings[0].state = 0;
        (*record).strings[0].len = 0;
        (*record).strings[1].state = 0;
        (*record).strings[1].len = 0;
        ((*record).mounts, (*record).mnt_ns)
    };
    entry.submit(0);
    debug!(
        &ctx,
        "probes speak abi {}, mode {}, for process {}: mount namespace {} holds {} mounts",
        VERSION,
        config!(mode),
        config!(own_tgid),
        mnt_ns,
        mounts
    );
    0
}
