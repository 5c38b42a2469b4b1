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
/// Words that are read at once: each has a bit for each of 64 full words of 64 descriptors.
const AT_ONCE: usize = 16;
/// All together 1 048 576 descriptors, the default of `fs.nr_open`.
const ROUNDS: u32 = 16;

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
    let word = first_not_full(full, from / 64 + 1, size.div_ceil(64))?;
    if word * 64 >= size {
        return Some(size);
    }
    let free = !known::<u64>(open + word * 8, 0)?;
    Some(word * 64 + free.trailing_zeros() as u64)
}

/// The first word from `word` on whose bit in `full` is not set; `end` or more if there is none before it.
///
/// Many at once: the verifier walks through each round, and one for each word of bits is 46 000 instructions. The last
/// read may go beyond the table, into what the allocation is rounded up with; what it finds there is beyond `end`.
#[inline(always)]
fn first_not_full(full: u64, word: u64, end: u64) -> Option<u64> {
    let (mut group, mut mask) = (word / 64, u64::MAX << (word & 63));
    for _ in 0..ROUNDS {
        if group * 64 >= end {
            return Some(end);
        }
        let bits = known::<[u64; AT_ONCE]>(full + group * 8, 0)?;
        let rest = bits[1..].iter().fold(u64::MAX, |all, bits| all & bits);
        if rest & (bits[0] | !mask) != u64::MAX {
            let mut at = 0;
            while at < AT_ONCE {
                let free = !bits[at] & mask;
                if free != 0 {
                    return Some((group + at as u64) * 64 + free.trailing_zeros() as u64);
                }
                mask = u64::MAX;
                at += 1;
            }
        }
        mask = u64::MAX;
        group += AT_ONCE as u64;
    }
    None
}
