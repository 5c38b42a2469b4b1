//! Memory maps of a command's processes, written down by the kernel as they come to be: many a process that fails is gone
//! before `/proc/PID/maps` can be read.
//!
//! A perf event that counts nothing (PERF_COUNT_SW_DUMMY) tells each mapping of code, each fork and each new program of
//! one process and of what it starts; `perf record` learns of mappings the same way. Other processes do not notice it.

use crate::capture::perf::{Attributes, Event, Rings};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// Of one processor; an exec writes about ten records of a hundred bytes.
const BYTES: usize = 256 << 10;
/// Processes that are remembered, the first forgotten first.
const MOST_PROCESSES: usize = 1024;
/// Records whose time has not come; more are taken as they are.
const MOST_WAITING: usize = 8192;
/// Longer paths there are not (PATH_MAX).
const MOST_PATH_WORDS: u64 = 512;

/// include/uapi/linux/perf_event.h
const PERF_TYPE_SOFTWARE: u32 = 1;
const PERF_COUNT_SW_DUMMY: u64 = 9;
const PERF_SAMPLE_TIME: u64 = 1 << 2;
const PERF_RECORD_COMM: u32 = 3;
const PERF_RECORD_FORK: u32 = 7;
const PERF_RECORD_MMAP2: u32 = 10;
const PERF_RECORD_MISC_COMM_EXEC: u16 = 1 << 13;
/// Bits of the attributes' bit field, in its order.
const INHERIT: u64 = 1 << 1;
const EXCLUDE_KERNEL: u64 = 1 << 5;
const EXCLUDE_HYPERVISOR: u64 = 1 << 6;
const MMAP: u64 = 1 << 8;
const COMM: u64 = 1 << 9;
const TASK: u64 = 1 << 13;
const WATERMARK: u64 = 1 << 14;
const SAMPLE_ID_ALL: u64 = 1 << 18;
const MMAP2: u64 = 1 << 23;
const COMM_EXEC: u64 = 1 << 24;
const USE_CLOCKID: u64 = 1 << 25;

/// A piece of a file, mapped to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) end: u64,
    pub(super) offset: u64,
    pub(super) inode: u64,
    pub(super) path: String,
}

/// By the address where they begin.
pub(super) type Pieces = BTreeMap<u64, Piece>;

/// What the kernel tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum News {
    Mapped {
        pid: u32,
        start: u64,
        piece: Piece,
    },
    Forked {
        pid: u32,
        parent: u32,
    },
    /// Another program took the process over: nothing of the old one is left.
    Executed {
        pid: u32,
        program: String,
    },
}

/// The maps of one command's processes.
#[derive(Debug, Default)]
pub struct Recorded {
    rings: Vec<Rings>,
    /// In the order of time.
    waiting: VecDeque<(u64, News)>,
    maps: HashMap<u32, Pieces>,
    order: VecDeque<u32>,
    /// What each process executed last, and when.
    programs: HashMap<u32, (u64, String)>,
}

impl Recorded {
    /// Follows one more process and what it starts from now on. Refused, nothing is lost but these maps.
    pub(in crate::capture) fn follow(&mut self, pid: u32) -> std::io::Result<()> {
        let attributes = Attributes {
            kind: PERF_TYPE_SOFTWARE,
            size: size_of::<Attributes>() as u32,
            config: PERF_COUNT_SW_DUMMY,
            sample_type: PERF_SAMPLE_TIME,
            flags: INHERIT
                | EXCLUDE_KERNEL
                | EXCLUDE_HYPERVISOR
                | MMAP
                | MMAP2
                | COMM
                | COMM_EXEC
                | TASK
                | WATERMARK
                | SAMPLE_ID_ALL
                | USE_CLOCKID,
            // Nobody is woken: it is looked at when something failed.
            wakeup_watermark: BYTES as u32,
            clockid: libc::CLOCK_MONOTONIC,
            ..Attributes::default()
        };
        self.rings.push(Rings::open(&attributes, pid.cast_signed(), BYTES)?);
        Ok(())
    }

    /// The name of the program that a process has begun to run after an instant.
    pub fn ran_after(&mut self, pid: u32, at_ns: u64) -> Option<&str> {
        self.take();
        self.programs.get(&pid).filter(|(time, _)| *time > at_ns).map(|(_, program)| program.as_str())
    }

    /// Takes over what the kernel told; to be called often enough that the rings do not overflow.
    pub fn take(&mut self) {
        let waiting = &mut self.waiting;
        let before = waiting.len();
        for rings in &mut self.rings {
            rings.drain(&mut |event| waiting.extend(news(event)));
        }
        for (time, told) in waiting.iter().skip(before) {
            if let News::Executed { pid, program } = told
                && (self.programs.len() < MOST_PROCESSES || self.programs.contains_key(pid))
            {
                self.programs.insert(*pid, (*time, program.clone()));
            }
        }
        if waiting.len() > before {
            waiting.make_contiguous().sort_by_key(|(time, _)| *time);
        }
        while self.waiting.len() > MOST_WAITING {
            self.next();
        }
    }

    /// The map that a process had at an instant.
    pub(super) fn of(&mut self, pid: u32, at_ns: u64) -> Option<&Pieces> {
        self.take();
        while self.waiting.front().is_some_and(|(time, _)| *time <= at_ns) {
            self.next();
        }
        self.maps.get(&pid).filter(|pieces| !pieces.is_empty())
    }

    fn next(&mut self) {
        match self.waiting.pop_front() {
            Some((_, News::Mapped { pid, start, piece })) => put(self.process(pid), start, piece),
            Some((_, News::Executed { pid, .. })) => self.process(pid).clear(),
            Some((_, News::Forked { pid, parent })) => {
                let inherited = self.maps.get(&parent).cloned().unwrap_or_default();
                *self.process(pid) = inherited;
            }
            None => {}
        }
    }

    fn process(&mut self, pid: u32) -> &mut Pieces {
        if !self.maps.contains_key(&pid) {
            self.order.push_back(pid);
            if self.order.len() > MOST_PROCESSES
                && let Some(oldest) = self.order.pop_front()
            {
                self.maps.remove(&oldest);
            }
        }
        self.maps.entry(pid).or_default()
    }
}

/// A new mapping takes the place of what was there.
fn put(pieces: &mut Pieces, start: u64, piece: Piece) {
    let end = piece.end;
    pieces.retain(|begin, old| old.end <= start || *begin >= end);
    pieces.insert(start, piece);
}

/// The record with its time, which is its last word.
fn news(event: &Event<'_>) -> Option<(u64, News)> {
    let words = event.size / 8;
    let time = event.word(words.checked_sub(1)?);
    let first = event.word(1);
    let (low, high) = (first as u32, (first >> 32) as u32);
    let news = match event.kind {
        // pid, tid, comm
        PERF_RECORD_COMM if event.misc & PERF_RECORD_MISC_COMM_EXEC != 0 => {
            News::Executed { pid: low, program: text(event, 2, words.checked_sub(3)?) }
        }
        // pid, ppid: a thread has the same of both.
        PERF_RECORD_FORK if low != high => News::Forked { pid: low, parent: high },
        // pid, tid, addr, len, pgoff, maj, min, ino, ino_generation, prot, flags, filename
        PERF_RECORD_MMAP2 => {
            let (start, length) = (event.word(2), event.word(3));
            let piece = Piece {
                end: start.saturating_add(length),
                offset: event.word(4),
                inode: event.word(6),
                path: text(event, 9, words.checked_sub(10)?.min(MOST_PATH_WORDS)),
            };
            News::Mapped { pid: low, start, piece }
        }
        _ => return None,
    };
    Some((time, news))
}

/// A text that begins at a word and ends with a zero.
fn text(event: &Event<'_>, first: u64, words: u64) -> String {
    let bytes: Vec<u8> = (0..words).flat_map(|at| event.word(first + at).to_le_bytes()).collect();
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(end: u64, path: &str) -> Piece {
        Piece { end, offset: 0, inode: 7, path: path.into() }
    }

    #[test]
    fn a_map_is_what_it_was_at_the_instant() {
        let mut recorded = Recorded::default();
        let mapped = |pid, path: &str| News::Mapped { pid, start: 0x1000, piece: piece(0x3000, path) };
        recorded.waiting.extend([
            (10, mapped(1, "/bin/sh")),
            (20, News::Forked { pid: 2, parent: 1 }),
            (30, News::Executed { pid: 2, program: "mount".into() }),
            (40, mapped(2, "/bin/mount")),
        ]);
        let path = |recorded: &mut Recorded, pid, at| {
            recorded.of(pid, at).map(|pieces| pieces[&0x1000].path.clone())
        };
        assert_eq!(path(&mut recorded, 2, 15), None);
        assert_eq!(path(&mut recorded, 2, 25).as_deref(), Some("/bin/sh"));
        assert_eq!(path(&mut recorded, 2, 35), None, "between two programs");
        assert_eq!(path(&mut recorded, 2, 45).as_deref(), Some("/bin/mount"));
        assert_eq!(path(&mut recorded, 1, 45).as_deref(), Some("/bin/sh"));
    }

    #[test]
    fn what_is_mapped_over_is_gone() {
        let mut pieces = Pieces::new();
        put(&mut pieces, 0x1000, piece(0x2000, "a"));
        put(&mut pieces, 0x2000, piece(0x3000, "b"));
        put(&mut pieces, 0x2800, piece(0x4000, "c"));
        let left: Vec<_> = pieces.values().map(|piece| piece.path.as_str()).collect();
        assert_eq!(left, ["a", "c"]);
    }

    #[test]
    fn the_first_processes_are_forgotten_first() {
        let mut recorded = Recorded::default();
        for pid in 0..=MOST_PROCESSES as u32 {
            put(recorded.process(pid), 1, piece(2, "x"));
        }
        assert!(recorded.of(0, 0).is_none() && recorded.of(1, 0).is_some());
    }
}
