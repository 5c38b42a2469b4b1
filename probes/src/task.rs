//! Who the current task is: ids, namespaces, cgroups, and what its mount namespace holds.

use crate::maps::{offset, subsys, variable};
use crate::read::{counter, field};
use aya_ebpf::helpers::generated;
use diag_abi::bounds::COMM;
use diag_abi::{PRESENT_MOUNT_MAX, PRESENT_MOUNTS, PRESENT_PENDING, SyscallFailure, UNRESOLVED};

/// The boot time at which the thread group of `task` started: with the pid, a name for good.
#[inline(always)]
pub(crate) fn group_start_ns(task: u64) -> u64 {
    field::<u64>(field(task, offset!(task_group_leader)), offset!(task_start_boottime))
}

/// The id of the task's cgroup in the v1 hierarchy of a controller; 0 when the controller is on v2.
///
/// `task->cgroups->subsys[id]->cgroup->kn->id`, where the default hierarchy is the one with
/// `hierarchy_id` 0 (kernel/cgroup/cgroup.c `cgroup_init`).
#[inline(always)]
pub(crate) fn v1_cgroup<const CONTROLLER: usize>(css_set: u64) -> u64 {
    let index = subsys::<CONTROLLER>();
    let table = offset!(css_set_subsys);
    if index == UNRESOLVED || table == UNRESOLVED {
        return 0;
    }
    let css = field::<u64>(css_set, table + index * 8);
    let cgroup = field::<u64>(css, offset!(css_cgroup));
    let root = field::<u64>(cgroup, offset!(cgroup_root));
    if field::<u32>(root, offset!(root_hierarchy_id)) == 0 {
        return 0;
    }
    field(field(cgroup, offset!(cgroup_kn)), offset!(kn_id))
}

/// The cgroup that floods are counted by: where the pids controller has the task, else its v2 cgroup
/// (which is the root, 1, for everybody on a pure v1 machine).
#[inline(always)]
pub(crate) fn flood_cgroup(task: u64) -> u64 {
    match v1_cgroup::<0>(field(task, offset!(task_cgroups))) {
        // SAFETY: the helper takes no arguments.
        0 => unsafe { generated::bpf_get_current_cgroup_id() },
        id => id,
    }
}

/// Fills everything about `task`, which must be the current one. Kept out of line so that the callers'
/// stack frames stay small.
///
/// # Safety
/// `record` must be valid for a whole record.
#[inline(never)]
pub(crate) unsafe fn fill(record: *mut SyscallFailure, task: u64) {
    // SAFETY: all writes go to fields of the record; the helpers take no pointers but the one to `comm`,
    // which has the length given.
    unsafe {
        let pid_tgid = generated::bpf_get_current_pid_tgid();
        (*record).pid = (pid_tgid >> 32) as u32;
        (*record).tid = pid_tgid as u32;
        (*record).uid = generated::bpf_get_current_uid_gid() as u32;
        (*record).ppid = field(field(task, offset!(task_real_parent)), offset!(task_tgid));
        (*record).start_ns = group_start_ns(task);
        generated::bpf_get_current_comm((&raw mut (*record).comm).cast(), COMM as u32);

        (*record).cgroup_v2 = generated::bpf_get_current_cgroup_id();
        let css_set = field::<u64>(task, offset!(task_cgroups));
        (*record).cgroup_v1[0] = v1_cgroup::<0>(css_set);
        (*record).cgroup_v1[1] = v1_cgroup::<1>(css_set);
        (*record).cgroup_v1[2] = v1_cgroup::<2>(css_set);
        (*record).cgroup_v1[3] = v1_cgroup::<3>(css_set);

        let mnt_ns = mount_namespace(task);
        (*record).mnt_ns = field(mnt_ns, offset!(mnt_ns_inum));
        (*record).pid_ns = pid_namespace(task);
        let user_ns = field::<u64>(field(task, offset!(task_real_cred)), offset!(cred_user_ns));
        (*record).user_ns = field(user_ns, offset!(user_ns_inum));
    }
}

/// `task->nsproxy->mnt_ns`; 0 for a task that is already exiting.
#[inline(always)]
fn mount_namespace(task: u64) -> u64 {
    field(field(task, offset!(task_nsproxy)), offset!(nsproxy_mnt_ns))
}

/// The inode number of `task_active_pid_ns(task)`: the namespace of the deepest number the task has
/// (kernel/pid.c `ns_of_pid`), which is not where its children would go.
#[inline(always)]
fn pid_namespace(task: u64) -> u32 {
    let (numbers, size) = (offset!(pid_numbers), offset!(upid_size));
    if offset!(pid_level) == UNRESOLVED || numbers == UNRESOLVED || size == UNRESOLVED {
        return 0;
    }
    let pid = field::<u64>(task, offset!(task_thread_pid));
    if pid == 0 {
        return 0;
    }
    let level = field::<u32>(pid, offset!(pid_level));
    let upid = pid + numbers as u64 + level as u64 * size as u64;
    field(field(upid, offset!(upid_ns)), offset!(pid_ns_inum))
}

/// Reads what `count_mounts()` compares with `fs.mount-max`.
///
/// # Safety
/// `record` must be valid for a whole record.
#[inline(always)]
pub(crate) unsafe fn fill_mounts(record: *mut SyscallFailure, task: u64, wanted: bool) {
    let (mut mounts, mut pending, mut most, mut present) = (0, 0, 0, 0);
    if wanted {
        let namespace = mount_namespace(task);
        if let Some(count) = counter(namespace, offset!(mnt_ns_mounts)) {
            mounts = count;
            present |= PRESENT_MOUNTS;
        }
        if let Some(count) = counter(namespace, offset!(mnt_ns_pending)) {
            pending = count;
            present |= PRESENT_PENDING;
        }
        if let Some(ceiling) = variable!(sysctl_mount_max) {
            most = ceiling;
            present |= PRESENT_MOUNT_MAX;
        }
    }
    // SAFETY: fields of the record.
    unsafe {
        (*record).mounts = mounts;
        (*record).pending = pending;
        (*record).mount_max = most;
        (*record).pad = 0;
        (*record).present = present;
    }
}
