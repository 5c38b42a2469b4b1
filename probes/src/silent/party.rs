//! Who a task is, also when it is not the current one: everything through the task's own fields.

use crate::maps::{SILENT, load, offset};
use crate::read::field;
use crate::task::{group_start_ns, v1_cgroup};
use aya_ebpf::helpers::generated;
use diag_abi::bounds::COMM;
use diag_abi::{Party, UNRESOLVED};

/// Fills one side of a signal. Out of line: it is needed twice.
///
/// # Safety
/// `party` must be valid for a whole [`Party`]; `task` may be any address.
#[inline(never)]
pub(super) unsafe fn fill(party: *mut Party, task: u64) {
    let css_set = field::<u64>(task, offset!(task_cgroups));
    let dfl = field::<u64>(css_set, load(&SILENT.css_set_dfl_cgrp));
    // SAFETY: all writes go to fields of the party; the helper writes no more than the length given.
    unsafe {
        (*party).cgroup_v2 = field(field(dfl, offset!(cgroup_kn)), offset!(kn_id));
        (*party).cgroup_v1[0] = v1_cgroup::<0>(css_set);
        (*party).cgroup_v1[1] = v1_cgroup::<1>(css_set);
        (*party).cgroup_v1[2] = v1_cgroup::<2>(css_set);
        (*party).cgroup_v1[3] = v1_cgroup::<3>(css_set);
        (*party).start_ns = group_start_ns(task);
        (*party).pid = field(task, offset!(task_tgid));
        (*party).tid = field(task, load(&SILENT.task_pid));
        (*party).ppid = field(field(task, offset!(task_real_parent)), offset!(task_tgid));
        (*party).uid = field(field(task, offset!(task_real_cred)), load(&SILENT.cred_uid));
        let at = load(&SILENT.task_comm);
        (*party).comm = [0; COMM];
        if at != UNRESOLVED {
            let to = (&raw mut (*party).comm).cast();
            generated::bpf_probe_read_kernel(to, COMM as u32, (task + at as u64) as *const _);
        }
    }
}
