//! A failure's record on its way through the stages.
//!
//! The watch fills what every failure has. Readings that only some failures need are programs of their own,
//! entered by a tail call: the verifier looks at each alone, so that one more reading can neither push the
//! watch over the verifier's limit nor, where a kernel refuses it, take the watch with it. A slot of
//! `STAGES` that user space left empty makes the tail call return, and the record travels without it.
//!
//! The record waits in memory of the processor, because no reservation in the ring survives a tail call. No
//! second failure can overwrite it there: up to 6.x a tracepoint's programs run with preemption off, and
//! where they do not, a program that is already running on a processor is skipped (`prog->active` in
//! kernel/trace/bpf_trace.c `__bpf_trace_run`), tail calls included.

use crate::maps::{EVENTS, RECORD, STAGES, count_dropped};
use aya_ebpf::EbpfContext;
use diag_abi::{ROW_LONG, STAGE_NONE, SyscallFailure, SyscallFailureLong};

/// A stage as two programs, because only programs of one type can enter each other: the watch is a raw tracepoint, or
/// one that knows its arguments' types where the kernel has that.
macro_rules! stage {
    ($body:ident: $raw:ident, $typed:ident) => {
        #[aya_ebpf::macros::raw_tracepoint]
        pub(crate) fn $raw(ctx: aya_ebpf::programs::RawTracePointContext) -> i32 {
            $body(&ctx)
        }

        #[aya_ebpf::macros::btf_tracepoint(function = "sys_exit")]
        pub(crate) fn $typed(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body(&ctx)
        }
    };
}
pub(crate) use stage;

/// A record, and how far its readings are.
#[repr(C)]
pub(crate) struct Draft {
    /// The long form; most failures use only its plain part.
    pub(crate) whole: SyscallFailureLong,
    /// For a stage that is entered several times.
    pub(crate) cursor: u32,
}

/// This processor's record. `None` never happens, but the verifier wants it asked.
#[inline(always)]
pub(crate) fn record() -> Option<*mut Draft> {
    RECORD.get_ptr_mut(0)
}

/// Goes on in the program of a stage. Returns if there is none, or user space could not load it.
#[inline(always)]
pub(crate) fn enter(ctx: &impl EbpfContext, stage: u32) {
    if stage != STAGE_NONE {
        // SAFETY: nothing is held that would have to be given back.
        unsafe { STAGES.tail_call(ctx, stage) };
    }
}

/// Sends the record, or counts the loss.
#[inline(always)]
pub(crate) fn submit(record: *mut Draft) {
    // SAFETY: a pointer to a live map value, whose record is filled.
    let sent = unsafe {
        if (*record).whole.plain.row & ROW_LONG == 0 {
            EVENTS.output::<SyscallFailure>(&(*record).whole.plain, 0)
        } else {
            EVENTS.output::<SyscallFailureLong>(&(*record).whole, 0)
        }
    };
    if sent.is_err() {
        count_dropped();
    }
}
