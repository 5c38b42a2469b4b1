//! Stage: a counter of the user that is no namespace: inotify instances and watches, fanotify groups and marks.

use super::namespaces::{count, first_level};
use crate::limits;
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use diag_abi::{READING_COUNT, READING_NAMESPACES, READING_NONE};

stage!(counts_stage: read_counts, read_counts_typed);

/// The cursor holds the counter's number in `enum ucount_type`.
#[inline(always)]
fn counts_stage(ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments.
    unsafe {
        let task = generated::bpf_get_current_task() as u64;
        let plain = &raw mut (*record).whole.plain;
        let kind = (*record).cursor;
        (*record).cursor = 0;
        let (first, whole) = first_level(task, 0);
        let to = &raw mut (*plain).count;
        count(to, first, kind, 0, whole);
        if (*to).kind != READING_NONE {
            (*to).kind = READING_COUNT;
        }
        stage::enter(ctx, limits::stage(plain));
    }
    stage::submit(record);
    0
}

const _: () = assert!(READING_NAMESPACES != READING_NONE);
