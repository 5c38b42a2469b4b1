//! What the call was about, and who may have answered it: the file behind its descriptor, and the task's
//! seccomp filters.

use crate::maps::{object, offset};
use crate::read::{field, known, user_bytes};
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use diag_abi::{
    CLONE_ARGS_CGROUP, FILE_NAME, OpenFile, PRESENT_BYTES, PRESENT_FILE, PRESENT_INHERITED, PRESENT_SECCOMP,
    ROW_FLAGS_STRUCT, SyscallFailure, UNRESOLVED,
};

/// `CGROUP_SUPER_MAGIC`, `CGROUP2_SUPER_MAGIC`, `PROC_SUPER_MAGIC` (linux/magic.h): what is written there is short
/// and decides over the answer.
const TALKING: [u64; 3] = [0x27_e0eb, 0x6367_7270, 0x9fa0];

/// `SECCOMP_MODE_FILTER` (linux/seccomp.h).
const MODE_FILTER: u32 = 2;

stage!(object_stage: read_object, read_object_typed);

/// Calls whose first argument is a descriptor.
#[inline(always)]
fn object_stage(_ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let task = generated::bpf_get_current_task() as u64;
        let plain = &raw mut (*record).whole.plain;
        let number = match (*plain).row & ROW_FLAGS_STRUCT {
            0 => (*plain).args[0] as u32,
            // clone3 with CLONE_INTO_CGROUP has it in its structure.
            _ => (*plain).strings[0].bytes.as_ptr().add(CLONE_ARGS_CGROUP).cast::<u32>().read_unaligned(),
        };
        let file = open_file(task, number);
        if file != 0 && fill_file(&raw mut (*plain).file, file) {
            (*plain).present |= PRESENT_FILE;
            if (*plain).row & ROW_FLAGS_STRUCT == 0 && TALKING.contains(&(*plain).file.magic) {
                let [_, buffer, length, ..] = (*plain).args;
                let text = &raw mut (*plain).strings[0];
                let (state, len) = (&raw mut (*text).state, &raw mut (*text).len);
                user_bytes(buffer, length, (&raw mut (*text).bytes).cast(), state, len);
                (*plain).present |= PRESENT_BYTES;
            }
        }
    }
    stage::submit(record);
    0
}

/// `task->files->fdt->fd[number]`; 0 when there is none.
#[inline(always)]
pub(crate) fn open_file(task: u64, number: u32) -> u64 {
    let table = field::<u64>(field(task, object!(task_files)), object!(files_fdt));
    let numbers = field::<u32>(table, object!(fdt_max));
    if number >= numbers {
        return 0;
    }
    field(field::<u64>(table, object!(fdt_fd)) + number as u64 * 8, 0)
}

/// # Safety
/// `to` must be valid for a file.
#[inline(always)]
unsafe fn fill_file(to: *mut OpenFile, file: u64) -> bool {
    let inode = field::<u64>(file, object!(file_inode));
    let block = field::<u64>(inode, object!(inode_sb));
    let Some(mode) = known::<u16>(inode, object!(inode_mode)) else { return false };
    let Some(device) = known::<u32>(block, object!(sb_device)) else { return false };
    let dentry = field::<u64>(file, object!(file_dentry));
    let folder = field::<u64>(field(dentry, object!(dentry_parent)), object!(dentry_inode));
    let name = field::<u64>(dentry, object!(dentry_name));
    // SAFETY: fields of the file, the name with the length given; the helper tolerates any source.
    unsafe {
        (*to).mode = mode as u32;
        (*to).device = device;
        (*to).rdev = field(inode, object!(inode_rdev));
        (*to).magic = field(block, object!(sb_magic));
        (*to).inode = field(inode, object!(inode_number));
        (*to).folder = field(folder, object!(inode_number));
        (*to).name_len = 0;
        if name != 0 {
            let bytes = (&raw mut (*to).name).cast();
            let read = generated::bpf_probe_read_kernel_str(bytes, FILE_NAME as u32, name as *const _);
            if read > 0 {
                (*to).name_len = read as u32;
            }
        }
    }
    true
}

/// How many filters the task has, and whether its parent process has the same: a chain of filters is never
/// changed, only added to in front (kernel/seccomp.c `seccomp_attach_filter()`), so that equal pointers are equal
/// chains.
///
/// # Safety
/// `record` must be valid for a whole record whose `present` is filled.
#[inline(always)]
pub(crate) unsafe fn fill_seccomp(record: *mut SyscallFailure, task: u64) {
    let (mut mode, mut filters, mut present) = (0, 0, 0);
    if object!(seccomp_filters) != UNRESOLVED
        && let Some(now) = known::<u32>(task, object!(seccomp_mode))
    {
        mode = now;
        present = PRESENT_SECCOMP;
        if mode == MODE_FILTER {
            filters = field::<u32>(task, object!(seccomp_filters));
            let parent = field::<u64>(field(task, offset!(task_real_parent)), offset!(task_group_leader));
            let own = field::<u64>(task, object!(seccomp_filter));
            if own != 0 && own == field::<u64>(parent, object!(seccomp_filter)) {
                present |= PRESENT_INHERITED;
            }
        }
    }
    // SAFETY: fields of the record.
    unsafe {
        (*record).seccomp_mode = mode;
        (*record).seccomp_filters = filters;
        (*record).present |= present;
    }
}
