//! Stage: what a new task is held against.

use super::{NAMESPACE_LEVELS, per_user, put, rlimit_of, slot};
use crate::maps::{limit, offset, subsys, variable};
use crate::read::{field, known};
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use diag_abi::{
    LimitReading, READING_NONE, READING_NPROC, READING_PID_NUMBERS, READING_PIDS, READING_POLICY,
    READING_THREADS, ROW_TASKS, UNRESOLVED,
};

/// Nested cgroups that are looked at.
const CGROUP_LEVELS: usize = 32;
/// `RLIMIT_NPROC` (include/uapi/asm-generic/resource.h).
const RLIMIT_NPROC: u32 = 6;
const CAP_SYS_ADMIN: u64 = 1 << 21;
const CAP_SYS_RESOURCE: u64 = 1 << 24;
/// `RESERVED_PIDS` (kernel/pid.c): numbers below are not given out again once they have been used up.
const RESERVED_PIDS: u32 = 300;
/// `PIDNS_ADDING` (include/linux/pid_namespace.h) in `pid_allocated`.
const PIDNS_ADDING: u32 = 1 << 31;

stage!(tasks_stage: read_tasks, read_tasks_typed);

/// EAGAIN of fork, clone and execve.
#[inline(always)]
fn tasks_stage(_ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let task = generated::bpf_get_current_task() as u64;
        let plain = &raw mut (*record).whole.plain;
        let makes = (*plain).row & ROW_TASKS != 0;
        // execve adds no process: the new user's are over already (fs/exec.c `do_execveat_common`).
        processes(slot(plain, 1), task, (*plain).uid, u64::from(makes));
        if makes {
            pids(slot(plain, 0), task);
            numbers(slot(plain, 2), task);
            policy(slot(plain, 3), task);
            threads(slot(plain, 4));
        }
    }
    stage::submit(record);
    0
}

/// The pids controller: `pids_try_charge()` (kernel/cgroup/pids.c) walks from the leaf, without the root.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn pids(to: *mut LimitReading, task: u64) {
    let (table, index, css_at) = (offset!(css_set_subsys), subsys::<0>(), limit!(pids_css));
    if table == UNRESOLVED || index == UNRESOLVED || css_at == UNRESOLVED {
        return;
    }
    let mut css = field::<u64>(field(task, offset!(task_cgroups)), table + index * 8);
    for level in 0..CGROUP_LEVELS {
        let Some(parent) = known::<u64>(css, limit!(css_parent)) else { return };
        if parent == 0 {
            // SAFETY: by this function's contract.
            return unsafe {
                // The root has no limit: a task right in it is not held against anything.
                if level == 0 {
                    put(to, READING_NONE, 0, 0, u64::MAX);
                }
                (*to).kind = READING_PIDS;
            };
        }
        let group = css - css_at as u64;
        let Some(used) = known::<u64>(group, limit!(pids_counter)) else { return };
        let Some(most) = known::<u64>(group, limit!(pids_limit)) else { return };
        let full = used >= most;
        if level == 0 || full {
            let cgroup = field::<u64>(css, offset!(css_cgroup));
            let id = field::<u64>(field(cgroup, offset!(cgroup_kn)), offset!(kn_id));
            // Not a reading before the walk is complete.
            let kind = if full { READING_PIDS } else { READING_NONE };
            // SAFETY: by this function's contract.
            unsafe { put(to, kind, id, used, most) };
            if full {
                return;
            }
        }
        css = parent;
    }
}

/// RLIMIT_NPROC, as `copy_process()` (kernel/fork.c) asks: `user_struct.processes` up to 5.13, then
/// `is_rlimit_overlimit()` (kernel/ucount.c) up the user namespaces. The first user and who has
/// CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the first user namespace are exempt.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn processes(to: *mut LimitReading, task: u64, uid: u32, adds: u64) {
    let Some(most) = rlimit_of(task, RLIMIT_NPROC) else { return };
    let cred = field::<u64>(task, offset!(task_real_cred));
    let user_ns = field::<u64>(cred, offset!(cred_user_ns));
    let (Some(caps), Some(level)) = (
        known::<u64>(field(task, limit!(task_cred)), limit!(cred_caps)),
        known::<u32>(user_ns, limit!(user_ns_level)),
    ) else {
        return;
    };
    // execve(2) asks for no capability.
    let exempt = uid == 0 || (adds != 0 && level == 0 && caps & (CAP_SYS_ADMIN | CAP_SYS_RESOURCE) != 0);
    let (counts, maxima, index) = (limit!(nproc_counts), limit!(nproc_maxima), limit!(nproc_index));
    if exempt {
        // SAFETY: by this function's contract.
        return unsafe { put(to, READING_NPROC, 0, 0, u64::MAX) };
    }
    if counts == UNRESOLVED || maxima == UNRESOLVED || index == UNRESOLVED {
        let user = field::<u64>(cred, limit!(cred_user));
        if let Some(used) = known::<u32>(user, limit!(user_processes)) {
            let inum = field::<u32>(user_ns, offset!(user_ns_inum));
            // SAFETY: by this function's contract.
            unsafe { put(to, READING_NPROC, inum as u64, used as u64, most) };
        }
        return;
    }
    // SAFETY: by this function's contract.
    unsafe { per_user(to, READING_NPROC, field(cred, limit!(cred_ucounts)), index, adds, most) };
}

/// `alloc_pid()` (kernel/pid.c) takes a number in the namespace of children and in every one around it.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn numbers(to: *mut LimitReading, task: u64) {
    let mut namespace = field::<u64>(field(task, offset!(task_nsproxy)), limit!(nsproxy_pid_ns));
    for _ in 0..NAMESPACE_LEVELS {
        let Some(used) = known::<u32>(namespace, limit!(pid_ns_allocated)) else { return };
        let Some(parent) = known::<u64>(namespace, limit!(pid_ns_parent)) else { return };
        // Before 6.14 one ceiling is for all, and the first namespace has a number for every task.
        let most = match limit!(pid_ns_max) {
            UNRESOLVED => variable!(pid_max).unwrap_or(0),
            own => field::<u32>(namespace, own),
        };
        let used = used & !PIDNS_ADDING;
        if parent == 0 || (most != 0 && used + RESERVED_PIDS >= most) {
            let inum = field::<u32>(namespace, offset!(pid_ns_inum));
            // SAFETY: by this function's contract.
            return unsafe { put(to, READING_PID_NUMBERS, inum as u64, used as u64, most as u64) };
        }
        namespace = parent;
    }
}

/// `copy_process()` (kernel/fork.c) compares both variables.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn threads(to: *mut LimitReading) {
    if let (Some(used), Some(most)) = (variable!(nr_threads), variable!(max_threads)) {
        // SAFETY: by this function's contract.
        unsafe { put(to, READING_THREADS, 0, used as u64, most as u64) };
    }
}

/// `sched_fork()` says EAGAIN to a deadline task.
///
/// # Safety
/// `to` must be valid for a reading.
#[inline(always)]
unsafe fn policy(to: *mut LimitReading, task: u64) {
    if let Some(policy) = known::<u32>(task, limit!(task_policy)) {
        // SAFETY: by this function's contract.
        unsafe { put(to, READING_POLICY, 0, policy as u64, 0) };
    }
}
