//! Resource limits as the probe read them: pages become bytes, and what the refused call would have added comes
//! from its arguments.

use super::Trust;
use super::credentials::credentials;
use super::limits::of;
use crate::limits::rlimits::{AS, DATA, FSIZE, MAX_MAP_COUNT, MEMLOCK, MSGQUEUE, NOFILE, SIGPENDING, STACK};
use crate::model::{Credentials, Reading};
use diag_abi::{
    LimitReading, READING_ADDRESS_SPACE, READING_DATA, READING_FILE_SIZE, READING_LOCKED, READING_MAPPINGS,
    READING_NOFILE, READING_PINNED, READING_QUEUES, READING_SIGNALS, READING_STACK, SyscallFailure,
};

/// The probes count pages of this size (x86-64).
const PAGE: u64 = 4096;
const CAP_IPC_LOCK: u32 = 14;
/// mlockall(2): what is mapped now, and not only what will be.
const MCL_CURRENT: u64 = 1;
/// The kernel's unlimited, as /proc shows it.
const UNLIMITED: u64 = u64::MAX;

/// The refused call.
pub(super) struct Call<'a> {
    name: &'a str,
    errno: i32,
    args: &'a [u64],
    pid: u32,
    credentials: Option<Credentials>,
    /// RLIMIT_MEMLOCK, where a reading tells.
    memlock: u64,
}

impl<'a> Call<'a> {
    pub(super) fn new(record: &'a SyscallFailure, name: &'a str, trust: &Trust) -> Self {
        let memlock = record.readings.iter().find(|raw| raw.kind == READING_LOCKED);
        Self {
            name,
            errno: record.errno as i32,
            args: &record.args,
            pid: record.pid,
            credentials: credentials(record, trust),
            memlock: memlock.map_or(UNLIMITED, |raw| raw.ceiling),
        }
    }

    /// `None` for readings of another kind, and for limits that this call is not held against.
    pub(super) fn reading(&self, raw: &LimitReading) -> Option<Reading> {
        let process = format!("process {}", self.pid);
        let user = format!("user namespace {}", raw.scope);
        let bytes = LimitReading { usage: raw.usage.saturating_mul(PAGE), ..*raw };
        let ceiling = Some(raw.ceiling);
        let mut reading = match raw.kind {
            READING_NOFILE => {
                of(&NOFILE, raw, process, ceiling, 1, "files_struct, the lowest free number; signal->rlim")
            }
            READING_LOCKED => self.locked(&bytes, process)?,
            READING_PINNED => {
                let ceiling = self.unless_exempt(raw.ceiling)?;
                let reading = of(&MEMLOCK, &bytes, "the user".into(), ceiling, 0, "user_struct.locked_vm");
                Reading { adds: None, ..reading }
            }
            // mlockall(2) compares the whole address space with RLIMIT_MEMLOCK (mm/mlock.c).
            READING_ADDRESS_SPACE if self.name == "mlockall" => {
                let ceiling = self.unless_exempt(self.memlock).filter(|_| self.arg(0) & MCL_CURRENT != 0)?;
                of(&MEMLOCK, &bytes, process, ceiling, 0, "mm_struct.total_vm, signal->rlim")
            }
            READING_ADDRESS_SPACE => {
                let adds = self.grows()?;
                Reading { adds, ..of(&AS, &bytes, process, ceiling, 0, "mm_struct.total_vm, signal->rlim") }
            }
            READING_DATA => {
                let adds = self.grows_data()?;
                Reading { adds, ..of(&DATA, &bytes, process, ceiling, 0, "mm_struct.data_vm, signal->rlim") }
            }
            READING_MAPPINGS => {
                let ceiling = ceiling.filter(|most| *most != 0);
                of(&MAX_MAP_COUNT, raw, process, ceiling, self.maps(), "mm_struct.map_count")
            }
            READING_FILE_SIZE => self.file_size(raw, process)?,
            READING_SIGNALS => of(&SIGPENDING, raw, user, ceiling, 1, "the user's counter, signal->rlim"),
            READING_QUEUES => of(&MSGQUEUE, raw, user, ceiling, 1, "the user's counter, signal->rlim"),
            READING_STACK => {
                Reading { usage: None, adds: None, ..of(&STACK, raw, process, ceiling, 0, "signal->rlim") }
            }
            _ => return None,
        };
        if raw.adds != u64::MAX {
            reading.adds = Some(raw.adds);
        }
        Some(reading)
    }

    fn arg(&self, index: usize) -> u64 {
        self.args.get(index).copied().unwrap_or(0)
    }

    /// RLIMIT_MEMLOCK binds nobody with CAP_IPC_LOCK in the first user namespace. Without credentials nobody
    /// knows whether it was asked at all.
    fn unless_exempt(&self, ceiling: u64) -> Option<Option<u64>> {
        let exempt = self.credentials?.capable(CAP_IPC_LOCK);
        Some(Some(if exempt { UNLIMITED } else { ceiling }))
    }

    /// What is locked already, and what the call would lock (mm/mlock.c `do_mlock`, mm/mmap.c `mlock_future_ok`).
    fn locked(&self, raw: &LimitReading, scope: String) -> Option<Reading> {
        let adds = match self.name {
            "mlock" | "mlock2" => Some(span(self.arg(0), self.arg(1))),
            // Without the flag mlockall(2) for the future, or a memfd_secret(2), has it locked: nothing else says EAGAIN.
            "mmap" if self.arg(3) & MAP_LOCKED != 0 || self.errno == libc::EAGAIN => Some(pages(self.arg(1))),
            // Then the limit is not asked.
            "mmap" | "mmap2" | "mremap" => None,
            _ => return None,
        };
        let ceiling = self.unless_exempt(raw.ceiling)?;
        let reading = of(&MEMLOCK, raw, scope, ceiling, 0, "mm_struct.locked_vm, signal->rlim");
        Some(Reading { adds, ..reading })
    }

    /// By how much the address space grows (mm/mmap.c `may_expand_vm`): `None` when this call makes none, and
    /// `Some(None)` when nobody knows how much. What MAP_FIXED replaces is not counted twice.
    fn grows(&self) -> Option<Option<u64>> {
        match self.name {
            "mmap" if self.arg(3) & MAP_FIXED == 0 => Some(Some(pages(self.arg(1)))),
            "mmap" | "mmap2" | "shmat" => Some(None),
            "mremap" => Some(Some(pages(self.arg(2)).saturating_sub(pages(self.arg(1))))),
            _ => None,
        }
    }

    /// The same for private writable memory (mm/internal.h `is_data_mapping`).
    fn grows_data(&self) -> Option<Option<u64>> {
        let writable = self.arg(2) & libc::PROT_WRITE as u64 != 0;
        let private = self.arg(3) & libc::MAP_PRIVATE as u64 != 0;
        match self.name {
            "mmap" if !(writable && private) => None,
            "mmap" => self.grows(),
            "mprotect" if writable => Some(Some(span(self.arg(0), self.arg(1)))),
            "mmap2" | "mremap" => Some(None),
            _ => None,
        }
    }

    /// Mappings that must still fit: mremap(2) wants room for three splits and itself (mm/mremap.c `move_vma`).
    fn maps(&self) -> u64 {
        if self.name == "mremap" { 4 } else { 1 }
    }

    /// Where the refused bytes would have begun or ended.
    fn file_size(&self, raw: &LimitReading, scope: String) -> Option<Reading> {
        let (usage, adds) = match self.name {
            // A write is refused when not one byte fits; one that fits in part is cut.
            "write" | "writev" | "sendfile" | "sendfile64" => (raw.scope, 1),
            "pwrite64" | "pwritev" | "pwritev2" => (self.arg(3), 1),
            "ftruncate" | "truncate" => (self.arg(1), 0),
            "fallocate" => (self.arg(2), self.arg(3)),
            _ => return None,
        };
        let raw = LimitReading { usage, ..*raw };
        Some(of(&FSIZE, &raw, scope, Some(raw.ceiling), adds, "file.f_pos or arguments, signal->rlim"))
    }
}

const MAP_FIXED: u64 = libc::MAP_FIXED as u64;
const MAP_LOCKED: u64 = libc::MAP_LOCKED as u64;

/// Bytes in whole pages.
fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(PAGE).saturating_mul(PAGE)
}

/// The pages that a range touches, in bytes.
fn span(address: u64, bytes: u64) -> u64 {
    pages(bytes.saturating_add(address % PAGE))
}

#[cfg(test)]
#[path = "rlimits_tests.rs"]
mod tests;
