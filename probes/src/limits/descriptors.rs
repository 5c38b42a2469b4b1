//! Stage: EMFILE, what the number of a new descriptor is held against.

use super::{put, rlimit_of, slot};
use crate::maps::{object, rlimit};
use crate::read::{field, known};
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use diag_abi::{ABI_NATIVE, READING_NOFILE, ROW_FD, ROW_QUEUES, STAGE_OBJECT, STAGE_RLIMITS};

/// `RLIMIT_NOFILE` (include/uapi/asm-generic/resource.h).
const RLIMIT_NOFILE: u32 = 7;
/// `fcntl` in arch/x86/entry/syscalls/syscall_64.tbl: `F_DUPFD` looks from its argument up.
const FCNTL: u32 = 72;
/// Words of 64 words of 64 descriptors each: 1 048 576, the default of `fs.nr_open`.
const GROUPS: u32 = 256;

stage!(descriptors_stage: read_descriptors, read_descriptors_typed);

#[inline(always)]
fn descriptors_stage(ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let task = generated::bpf_get_current_task() as u64;
        let plain = &raw mut (*record).whole.plain;
        let from =
            if (*plain).nr == FCNTL && (*plain).abi == ABI_NATIVE { (*plain).args[2] as u32 } else { 0 };
        if let (Some(free), Some(most)) = (lowest_free(task, from), rlimit_of(task, RLIMIT_NOFILE)) {
            put(slot(plain, 0), READING_NOFILE, 0, free, most);
        }
        if (*plain).row & ROW_QUEUES != 0 {
            stage::enter(ctx, STAGE_RLIMITS);
        } else if (*plain).row & ROW_FD != 0 {
            stage::enter(ctx, STAGE_OBJECT);
        }
    }
    stage::submit(record);
    0
}

/// What `alloc_fd()` (fs/file.c) found before it said EMFILE: the lowest free number from `start` on. Words of
/// descriptors in use, and above them words of full words, as in `find_next_fd()`.
#[inline(always)]
fn lowest_free(task: u64, start: u32) -> Option<u64> {
    let files = field::<u64>(task, object!(task_files));
    let table = known::<u64>(files, object!(files_fdt))?;
    let size = known::<u32>(table, object!(fdt_max))? as u64;
    let next = known::<u32>(files, rlimit!(files_next))?;
    let open = known::<u64>(table, rlimit!(fdt_open))?;
    let full = known::<u64>(table, rlimit!(fdt_full))?;
    // Nothing is free below `next_fd`.
    let from = if start > next { start } else { next } as u64;
    if from >= size {
        return Some(from);
    }
    let free = !known::<u64>(open + from / 64 * 8, 0)? >> (from & 63);
    if free != 0 {
        return Some(from + free.trailing_zeros() as u64);
    }
    let word = from / 64 + 1;
    let (mut group, mut mask) = (word / 64, u64::MAX << (word & 63));
    for _ in 0..GROUPS {
        if group * 4096 >= size {
            return Some(size);
        }
        let free = !known::<u64>(full + group * 8, 0)? & mask;
        if free != 0 {
            let word = group * 64 + free.trailing_zeros() as u64;
            if word * 64 >= size {
                return Some(size);
            }
            let free = !known::<u64>(open + word * 8, 0)?;
            return Some(word * 64 + free.trailing_zeros() as u64);
        }
        mask = u64::MAX;
        group += 1;
    }
    None
}
