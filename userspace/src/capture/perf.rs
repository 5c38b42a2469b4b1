//! Events of the kernel's perf subsystem with their rings (perf_event_open(2)), as far as diag uses them: one event
//! with one ring on each processor, and records read word by word.

use super::account::Elsewhere;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};

/// include/uapi/linux/perf_event.h
const PERF_FLAG_FD_CLOEXEC: libc::c_ulong = 1 << 3;
/// `data_head`, `data_tail`, `data_offset`, `data_size` in struct perf_event_mmap_page.
const PAGE_FIELDS: usize = 1024;

/// `struct perf_event_attr` up to PERF_ATTR_SIZE_VER5.
#[repr(C)]
#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) kind: u32,
    pub(super) size: u32,
    pub(super) config: u64,
    pub(super) sample_period: u64,
    pub(super) sample_type: u64,
    pub(super) read_format: u64,
    pub(super) flags: u64,
    pub(super) wakeup_watermark: u32,
    pub(super) bp_type: u32,
    pub(super) bp_addr: u64,
    pub(super) bp_len: u64,
    pub(super) branch_sample_type: u64,
    pub(super) sample_regs_user: u64,
    pub(super) sample_stack_user: u32,
    pub(super) clockid: i32,
    pub(super) sample_regs_intr: u64,
    pub(super) aux_watermark: u32,
    pub(super) sample_max_stack: u16,
    pub(super) reserved: u16,
}

const _: () = assert!(size_of::<Attributes>() == 112);

/// An event on every processor. Dropping it removes it.
#[derive(Debug)]
pub(super) struct Rings(Vec<Ring>);

impl Rings {
    /// For one process and what it starts (`pid`), or whoever is on the processor (-1). `bytes` of each ring is a power
    /// of two.
    pub(super) fn open(attributes: &Attributes, pid: libc::pid_t, bytes: usize) -> io::Result<Self> {
        let _account = Elsewhere::open();
        let mut rings = Vec::new();
        for cpu in 0..processors() {
            match Ring::open(attributes, pid, cpu, bytes) {
                Ok(ring) => rings.push(ring),
                // A processor that is switched off.
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {}
                Err(error) => return Err(error),
            }
        }
        if rings.is_empty() { Err(io::Error::other("no processor took it")) } else { Ok(Self(rings)) }
    }

    /// Hands out what came since the last call, one processor after the other.
    pub(super) fn drain(&mut self, each: &mut impl FnMut(&Event<'_>)) {
        self.0.iter_mut().for_each(|ring| ring.drain(each));
    }
}

/// How many processors there may be.
pub(super) fn processors() -> i32 {
    // SAFETY: asks for a number.
    let cpus = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
    i32::try_from(cpus).unwrap_or(1).max(1)
}

/// One record of a ring.
pub(super) struct Event<'a> {
    ring: &'a Ring,
    at: u64,
    /// PERF_RECORD_*
    pub(super) kind: u32,
    pub(super) misc: u16,
    /// In bytes, a multiple of eight.
    pub(super) size: u64,
}

impl Event<'_> {
    /// A word, the header being the first. Beyond the record: what follows in the ring.
    pub(super) fn word(&self, index: u64) -> u64 {
        self.ring.word(self.at + index * 8)
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
    fn open(attributes: &Attributes, pid: libc::pid_t, cpu: i32, bytes: usize) -> io::Result<Self> {
        let none: libc::c_int = -1;
        // SAFETY: the attributes live through the call and say their own size.
        let fd = unsafe {
            libc::syscall(
                libc::SYS_perf_event_open,
                std::ptr::from_ref(attributes),
                pid,
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

    fn drain(&mut self, each: &mut impl FnMut(&Event<'_>)) {
        let head = self.field(0).load(Ordering::Acquire);
        let mut tail = self.field(1).load(Ordering::Relaxed);
        while tail < head {
            let header = self.word(tail);
            let size = header >> 48;
            if size < 8 {
                break;
            }
            each(&Event { ring: self, at: tail, kind: header as u32, misc: (header >> 32) as u16, size });
            tail += size;
        }
        self.field(1).store(head, Ordering::Release);
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
