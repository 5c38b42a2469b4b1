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
use diag_abi::bounds::TREE_BESIDE;

/// Whether the thread group `tgid`, to which the current `task` belongs, is in the tree.
#[inline(always)]
pub(crate) fn contains(tgid: u32, task: u64) -> bool {
    side(tgid, task).is_some()
}

/// On which side of the tree it is: 0, or `TREE_BESIDE`; `None` when it is not in the tree.
#[inline(always)]
fn side(tgid: u32, task: u64) -> Option<u64> {
    let entry = TREE.get_ptr_mut(tgid)?;
    let start = group_start_ns(task);
    // SAFETY: a pointer to a live map value.
    unsafe {
        let (known, side) = (*entry & !TREE_BESIDE, *entry & TREE_BESIDE);
        if known == 0 {
            // Added by user space, which knows only the number: from now on this very process.
            *entry = start | side;
            return Some(side);
        }
        if known == start || start == 0 { Some(side) } else { None }
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
    if offset!(task_tgid) == UNRESOLVED {
        return 0;
    }
    let Some(side) = side(parent_tgid, task as u64) else { return 0 };
    let tgid = field::<u32>(child, offset!(task_tgid));
    // A new thread is in its group's entry already.
    if tgid != 0 && tgid != parent_tgid {
        let _ = TREE.insert(tgid, group_start_ns(child) | side, 0);
    }
    0
}
