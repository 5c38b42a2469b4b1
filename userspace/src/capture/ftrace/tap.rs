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

use crate::capture::account::Elsewhere;
use crate::capture::symbols::{RETURN_HOOK, return_hook};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

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
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
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
/// `data_head`, `data_tail`, `data_offset`, `data_size` in struct perf_event_mmap_page.
const PAGE_FIELDS: usize = 1024;

/// `struct perf_event_attr` up to PERF_ATTR_SIZE_VER5.
#[repr(C)]
#[derive(Debug, Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_watermark: u32,
    bp_type: u32,
    bp_addr: u64,
    bp_len: u64,
    branch_sample_type: u64,
    sample_regs_user: u64,
    sample_stack_user: u32,
    clockid: i32,
    sample_regs_intr: u64,
    aux_watermark: u32,
    sample_max_stack: u16,
    reserved: u16,
}

const _: () = assert!(size_of::<Attributes>() == 112);

/// The breakpoint on every processor. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Tap {
    rings: Vec<Ring>,
    /// Samples that the kernel had no room for.
    pub(super) lost: u64,
}

impl Tap {
    pub(super) fn open() -> Result<Self, String> {
        if !cfg!(target_arch = "x86_64") {
            return Err("written for x86-64 alone".into());
        }
        let address = return_hook().ok_or_else(|| format!("/proc/kallsyms does not show {RETURN_HOOK}"))?;
        // SAFETY: asks for a number.
        let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
        let cpus = i32::try_from(cpus).unwrap_or(1).max(1);
        let fair = TOTAL_BYTES / usize::try_from(cpus).unwrap_or(1);
        let bytes = (fair.next_power_of_two() / 2).clamp(LEAST_BYTES, MOST_BYTES);
        let mut rings = Vec::new();
        let _account = Elsewhere::open();
        for cpu in 0..cpus {
            match Ring::open(address, cpu, bytes) {
                Ok(ring) => rings.push(ring),
                // A processor that is switched off.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(refusal(&error)),
            }
        }
        if rings.is_empty() {
            Err("no processor took the breakpoint".into())
        } else {
            Ok(Self { rings, lost: 0 })
        }
    }

    /// Hands out what came since the last call; in the order of time for each thread that stayed on its
    /// processor.
    pub(super) fn drain(&mut self, mut each: impl FnMut(Sample)) {
        for ring in &mut self.rings {
            self.lost += ring.drain(&mut each);
        }
    }
}

fn refusal(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EBUSY) => "all debug registers of the processor are in use".into(),
        Some(libc::EPERM | libc::EACCES) => "the kernel refuses breakpoints on itself".into(),
        _ => format!("a breakpoint on {RETURN_HOOK}: {error}"),
    }
}

/// One processor's event and its memory.
#[derive(Debug)]
struct Ring {
    // Never read: it keeps the event.
    _event: OwnedFd,
    base: *mut u8,
    page: usize,
    bytes: usize,
}

// SAFETY: the mapping belongs to this value alone and has no ties to a thread.
unsafe impl Send for Ring {}

impl Ring {
    fn open(address: u64, cpu: i32, bytes: usize) -> io::Result<Self> {
        let attributes = Attributes {
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
        };
        let every: libc::c_int = -1;
        let none: libc::c_int = -1;
        // SAFETY: the attributes live through the call and say their own size.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                &raw const attributes,
                every,
                cpu,
                none,
                PERF_FLAG_FD_CLOEXEC,
            )
        };
        let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
        // SAFETY: the kernel has just returned this descriptor to us.
        let event = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: asks for a number.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a fresh mapping at a place of the kernel's choice.
        let base = unsafe {
            libc::mmap(std::ptr::null_mut(), page + bytes, access, libc::MAP_SHARED, event.as_raw_fd(), 0)
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { _event: event, base: base.cast(), page, bytes })
    }

    fn field(&self, index: usize) -> &AtomicU64 {
        // SAFETY: the first page is mapped, the field is aligned, and the kernel writes it as one word.
        unsafe { &*self.base.add(PAGE_FIELDS + index * 8).cast::<AtomicU64>() }
    }

    /// Returns how many samples the kernel says it lost.
    fn drain(&mut self, each: &mut impl FnMut(Sample)) -> u64 {
        let head = self.field(0).load(Ordering::Acquire);
        let mut tail = self.field(1).load(Ordering::Relaxed);
        let mut lost = 0;
        while tail < head {
            let kind = self.word(tail) as u32;
            let size = self.word(tail) >> 48;
            if size < 8 {
                break;
            }
            match kind {
                PERF_RECORD_SAMPLE if size >= 48 => each(Sample {
                    tid: (self.word(tail + 8) >> 32) as u32,
                    time_ns: self.word(tail + 16),
                    value: self.word(tail + 32),
                    stack: self.word(tail + 40),
                }),
                // id, lost
                PERF_RECORD_LOST => lost += self.word(tail + 16),
                _ => {}
            }
            tail += size;
        }
        self.field(1).store(head, Ordering::Release);
        lost
    }

    /// A word of the ring. Records are multiples of eight bytes, so that none is torn at its end.
    fn word(&self, at: u64) -> u64 {
        let offset = (at as usize) & (self.bytes - 1);
        // SAFETY: inside the mapping, aligned; the kernel does not write between tail and head.
        unsafe { self.base.add(self.page + offset).cast::<u64>().read_volatile() }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping made in `open`, to which no reference is left.
        unsafe { libc::munmap(self.base.cast(), self.page + self.bytes) };
    }
}
