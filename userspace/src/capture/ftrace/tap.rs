//! The return values of everything that function_graph records, by one breakpoint.
//!
//! function_graph makes each traced function return into `return_to_handler` (arch/x86/kernel/ftrace_64.S),
//! whose first instruction still sees the function's return register. Kernels are seldom built to print it
//! (CONFIG_FUNCTION_GRAPH_RETVAL), but a processor can be told to stop there: a perf event of type
//! PERF_TYPE_BREAKPOINT on that address (perf_event_open(2)) samples the register, the stack pointer, the
//! thread and the time. One event a processor serves all functions, with nothing to load, on every kernel
//! that has function_graph; only threads that function_graph follows ever get there, and it is gone with its
//! descriptor.
//!
//! The events belong to processors, never to tasks: a task's event would be inherited by its children, and a child
//! of an unprivileged task may not have one on the kernel, so that its fork(2) would be refused with EPERM
//! (kernel/events/hw_breakpoint.c `hw_breakpoint_parse()`, from `perf_event_init_task()`).
//!
//! A kprobe could not stand there: kprobe events refuse functions that ftrace itself is made of
//! (kernel/trace/trace_kprobe.c `within_notrace_func`).

use crate::capture::perf::{Attributes, Event, Rings, processors};
use crate::capture::symbols::{RETURN_HOOK, return_hook};
use std::io;

/// What one function returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) tid: u32,
    /// `CLOCK_MONOTONIC`.
    pub(super) time_ns: u64,
    /// The return register, whole.
    pub(super) value: u64,
    /// The stack pointer behind the return address: a caller's is higher than those of what it called.
    pub(super) stack: u64,
}

/// The samples' memory of all processors together, and what one gets at least and at most: powers of two.
const TOTAL_BYTES: usize = 32 << 20;
const LEAST_BYTES: usize = 256 << 10;
const MOST_BYTES: usize = 4 << 20;

/// include/uapi/linux/perf_event.h
const PERF_TYPE_BREAKPOINT: u32 = 5;
const PERF_SAMPLE_TID: u64 = 1 << 1;
const PERF_SAMPLE_TIME: u64 = 1 << 2;
const PERF_SAMPLE_REGS_INTR: u64 = 1 << 18;
const PERF_RECORD_LOST: u32 = 2;
const PERF_RECORD_SAMPLE: u32 = 9;
/// Bits of the attributes' bit field, in its order.
const EXCLUDE_USER: u64 = 1 << 4;
const WATERMARK: u64 = 1 << 14;
const USE_CLOCKID: u64 = 1 << 25;
/// include/uapi/linux/hw_breakpoint.h
const HW_BREAKPOINT_X: u32 = 4;
/// arch/x86/include/uapi/asm/perf_regs.h: PERF_REG_X86_AX and PERF_REG_X86_SP, sampled in this order.
const REGISTERS: u64 = 1 << 0 | 1 << 7;

/// The breakpoint on every processor. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Tap {
    rings: Rings,
    /// Samples that the kernel had no room for.
    pub(super) lost: u64,
}

impl Tap {
    pub(super) fn open() -> Result<Self, String> {
        if !cfg!(target_arch = "x86_64") {
            return Err("written for x86-64 alone".into());
        }
        let address = return_hook().ok_or_else(|| format!("/proc/kallsyms does not show {RETURN_HOOK}"))?;
        let fair = TOTAL_BYTES / usize::try_from(processors()).unwrap_or(1);
        let bytes = (fair.next_power_of_two() / 2).clamp(LEAST_BYTES, MOST_BYTES);
        let rings = Rings::open(&breakpoint(address, bytes), -1, bytes).map_err(|error| refusal(&error))?;
        Ok(Self { rings, lost: 0 })
    }

    /// Hands out what came since the last call; in the order of time for each thread that stayed on its
    /// processor.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Sample)) {
        let lost = &mut self.lost;
        self.rings.drain(&mut |event: &Event<'_>| match event.kind {
            PERF_RECORD_SAMPLE if event.size >= 48 => each(Sample {
                tid: (event.word(1) >> 32) as u32,
                time_ns: event.word(2),
                value: event.word(4),
                stack: event.word(5),
            }),
            // id, lost
            PERF_RECORD_LOST => *lost += event.word(2),
            _ => {}
        });
    }
}

fn breakpoint(address: u64, bytes: usize) -> Attributes {
    Attributes {
        kind: PERF_TYPE_BREAKPOINT,
        size: size_of::<Attributes>() as u32,
        sample_period: 1,
        sample_type: PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_REGS_INTR,
        flags: EXCLUDE_USER | WATERMARK | USE_CLOCKID,
        // Nobody is woken: the reader of the graphs comes by anyway.
        wakeup_watermark: u32::try_from(bytes).unwrap_or(u32::MAX),
        bp_type: HW_BREAKPOINT_X,
        bp_addr: address,
        bp_len: size_of::<libc::c_long>() as u64,
        clockid: libc::CLOCK_MONOTONIC,
        sample_regs_intr: REGISTERS,
        ..Attributes::default()
    }
}

fn refusal(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EBUSY) => "all debug registers of the processor are in use".into(),
        Some(libc::EPERM | libc::EACCES) => "the kernel refuses breakpoints on itself".into(),
        _ => format!("a breakpoint on {RETURN_HOOK}: {error}"),
    }
}
