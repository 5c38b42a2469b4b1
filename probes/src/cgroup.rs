//! The names of cgroups, from the instant they are made: a container may be gone, its cgroups removed, before user
//! space looks into /proc, and a number alone tells nobody which one it was.

use crate::maps::{EVENTS, SILENT, count_dropped, load, offset};
use crate::read::field;
use crate::syscall::header;
use aya_ebpf::helpers::generated;
use aya_ebpf::macros::raw_tracepoint;
use aya_ebpf::programs::RawTracePointContext;
use diag_abi::bounds::CGROUP_PATH;
use diag_abi::{CgroupMade, kind};

/// `cgroup_mkdir(cgrp, path)` (kernel/cgroup/cgroup.c, `cgroup_mkdir`): in every hierarchy.
#[raw_tracepoint(tracepoint = "cgroup_mkdir")]
pub(crate) fn watch_cgroup(ctx: RawTracePointContext) -> i32 {
    let (cgroup, path): (u64, u64) = (ctx.arg(0), ctx.arg(1));
    let Some(mut entry) = EVENTS.reserve::<CgroupMade>(0) else {
        count_dropped();
        return 0;
    };
    let record = entry.as_mut_ptr();
    // SAFETY: the ring entry has room for the record; the helper writes no more than the length given.
    unsafe {
        (*record).header = header(kind::CGROUP_MADE, size_of::<CgroupMade>(), generated::bpf_ktime_get_ns());
        (*record).id = field(field(cgroup, offset!(cgroup_kn)), offset!(kn_id));
        let root = field::<u64>(cgroup, load(&SILENT.cgroup_root));
        (*record).hierarchy = field(root, load(&SILENT.root_hierarchy));
        (*record).pid = (generated::bpf_get_current_pid_tgid() >> 32) as u32;
        (*record).pad = 0;
        let to = (&raw mut (*record).path).cast();
        let read = generated::bpf_probe_read_kernel_str(to, CGROUP_PATH as u32, path as *const _);
        (*record).len = if read > 0 { read as u32 } else { 0 };
    }
    entry.submit(0);
    0
}
