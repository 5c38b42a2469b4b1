//! The memory cgroups above a task, with what they hold and may hold at this instant.

use crate::maps::{SILENT, load, offset, subsys};
use crate::read::field;
use aya_ebpf::helpers::generated;
use diag_abi::bounds::{CGROUP_NAME, MEMORY_LEVELS};
use diag_abi::{LEVEL_CGROUP, LEVEL_LOCK, LEVEL_OOMS, LEVEL_USAGE, MemoryLevel, UNRESOLVED};

/// Fills all levels, nearest first; those above the root are marked as not there.
///
/// A `cgroup_subsys_state` is the first field of its `mem_cgroup` on every kernel; user space has checked
/// that, or the offsets here are unresolved.
///
/// # Safety
/// `levels` must be valid for [`MEMORY_LEVELS`] levels.
#[inline(always)]
pub(super) unsafe fn fill(levels: *mut MemoryLevel, task: u64) {
    let (index, table) = (subsys::<1>(), offset!(css_set_subsys));
    let mut css = 0;
    if index != UNRESOLVED && table != UNRESOLVED {
        css = field::<u64>(field(task, offset!(task_cgroups)), table + index * 8);
    }
    // Written out: the verifier of 5.10 knows bounded loops, but not through a pointer into the ring.
    macro_rules! levels {
        ($($at:literal),+) => {
            $(
                // SAFETY: one of the levels, by this function's contract.
                unsafe { level(levels.add($at), css) };
                css = if css == 0 { 0 } else { field::<u64>(css, load(&SILENT.css_parent)) };
            )+
        };
    }
    const _: () = assert!(MEMORY_LEVELS == 8);
    levels!(0, 1, 2, 3, 4, 5, 6, 7);
    let _ = css;
}

/// # Safety
/// `to` must be valid for a whole level.
#[inline(never)]
unsafe fn level(to: *mut MemoryLevel, css: u64) {
    let mut present = 0;
    // SAFETY: all writes go to fields of the level; the helper writes no more than the length given.
    unsafe {
        (*to).name_len = 0;
        (*to).pad = 0;
        let node = field::<u64>(field(css, offset!(css_cgroup)), offset!(cgroup_kn));
        (*to).cgroup = field(node, offset!(kn_id));
        let name = field::<u64>(node, load(&SILENT.kn_name));
        if name != 0 {
            let bytes = (&raw mut (*to).name).cast();
            let read = generated::bpf_probe_read_kernel_str(bytes, CGROUP_NAME as u32, name as *const _);
            if read > 0 {
                (*to).name_len = read as u32;
                present |= LEVEL_CGROUP;
            }
        }
        (*to).usage = field(css, load(&SILENT.memcg_usage));
        (*to).max = field(css, load(&SILENT.memcg_max));
        (*to).ooms = field(css, load(&SILENT.memcg_ooms));
        (*to).lock = field::<u8>(css, load(&SILENT.memcg_oom_lock)) as u32;
        if css != 0 {
            if load(&SILENT.memcg_usage) != UNRESOLVED && load(&SILENT.memcg_max) != UNRESOLVED {
                present |= LEVEL_USAGE;
            }
            if load(&SILENT.memcg_ooms) != UNRESOLVED {
                present |= LEVEL_OOMS;
            }
            if load(&SILENT.memcg_oom_lock) != UNRESOLVED {
                present |= LEVEL_LOCK;
            }
        }
        (*to).present = present;
    }
}
