//! What kernel functions return: attached to all functions of a failing path at once, for the processes that are
//! watched.
//!
//! The one program here that Linux 5.10 does not know: it is attached as kprobe.multi (5.18), and `bpf_get_func_ip`
//! came with 5.15. So it is loaded by itself, only when it is wanted (`capture::ftrace::probed`).

use crate::maps::{EVENTS, TREE, count_dropped};
use crate::syscall::header;
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::kretprobe;
use aya_ebpf::programs::RetProbeContext;
use diag_abi::{FunctionReturned, kind};

/// Runs when one of the functions returns, whoever called it. Of the map of the tree only the key counts: a process
/// that got the number of one that was watched a moment ago costs a record, and its thread has no path that waits
/// for it.
#[kretprobe]
pub(crate) fn watch_return(ctx: RetProbeContext) -> u32 {
    // SAFETY: the helper takes no arguments.
    let pid_tgid = unsafe { generated::bpf_get_current_pid_tgid() };
    let tgid = (pid_tgid >> 32) as u32;
    if TREE.get_ptr(tgid).is_none() {
        return 0;
    }
    let Some(mut entry) = EVENTS.reserve::<FunctionReturned>(0) else {
        count_dropped();
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helper is given this program's own context.
    unsafe {
        let now = generated::bpf_ktime_get_ns();
        (*record).header = header(kind::FUNCTION_RETURNED, size_of::<FunctionReturned>(), now);
        (*record).function = generated::bpf_get_func_ip(ctx.as_ptr());
        (*record).value = ctx.ret();
        (*record).tgid = tgid;
        (*record).tid = pid_tgid as u32;
    }
    entry.submit(0);
    0
}
