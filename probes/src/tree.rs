//! Which processes belong to the followed tree.
//!
//! There is no program for exits: a process whose last threads still fail must be seen, and a recycled
//! pid gives itself away by another start time. The map forgets the least recently seen on its own.

use crate::maps::{TREE, offset};
use crate::read::field;
use crate::task::group_start_ns;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use diag_abi::UNRESOLVED;

/// Whether the thread group `tgid`, to which the current `task` belongs, is in the tree.
#[inline(always)]
pub(crate) fn contains(tgid: u32, task: u64) -> bool {
    let Some(known) = TREE.get_ptr_mut(tgid) else {
        return false;
    };
    let start = group_start_ns(task);
    // SAFETY: a pointer to a live map value.
    unsafe {
        if *known == 0 {
            // Added by user space, which knows only the number: from now on this very process.
            *known = start;
            return true;
        }
        *known == start || start == 0
    }
}

/// `sched_process_fork(parent, child)`: runs before the child does (kernel/fork.c `kernel_clone`).
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn follow_fork(ctx: RawTracePointContext) -> i32 {
    let child: u64 = ctx.arg(1);
    // SAFETY: the helpers take no arguments. The current task is the one that forks, also with
    // CLONE_PARENT, where the child's parent is another.
    let (pid_tgid, task) =
        unsafe { (generated::bpf_get_current_pid_tgid(), generated::bpf_get_current_task()) };
    let parent_tgid = (pid_tgid >> 32) as u32;
    if offset!(task_tgid) == UNRESOLVED || !contains(parent_tgid, task as u64) {
        return 0;
    }
    let tgid = field::<u32>(child, offset!(task_tgid));
    // A new thread is in its group's entry already.
    if tgid != 0 && tgid != parent_tgid {
        let _ = TREE.insert(tgid, group_start_ns(child), 0);
    }
    0
}
