//! Files that code was mapped from: where they put it, and what they know about it. The last few stay open, because an
//! engine fails more than once.

use super::go;
use blazesym::symbolize::Symbolizer;
use object::read::ReadCache;
use object::{Object, ObjectSection, ObjectSegment};
use std::cell::RefCell;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::rc::Rc;

/// An engine, its runtime, the C library and what the container runs, and as many again.
const MOST_OPEN: usize = 12;

/// Unwind tables above this are no tables.
const MOST_TABLE: u64 = 64 << 20;

/// A section as it is in memory.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) address: u64,
    pub(super) bytes: Rc<[u8]>,
}

/// One file.
pub(super) struct Elf {
    file: File,
    segments: Vec<Segment>,
    pub(super) build_id: Option<String>,
    pub(super) eh_frame: Option<Table>,
    pub(super) eh_frame_hdr: Option<Table>,
    /// Where a Go program keeps the names of its functions, also when it is stripped.
    pub(super) go: Option<go::Place>,
    pub(super) symbols: Symbolizer,
}

#[derive(Debug)]
struct Segment {
    offset: u64,
    bytes: u64,
    address: u64,
}

impl std::fmt::Debug for Elf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Elf").field("build_id", &self.build_id).finish_non_exhaustive()
    }
}

/// What makes a file the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity([i64; 5]);

thread_local! {
    static OPEN: RefCell<Vec<(Identity, Option<Rc<Elf>>)>> = const { RefCell::new(Vec::new()) };
}

/// Reads the file's tables, or takes those that were read before. `None`: it is no ELF file.
pub(super) fn opened(file: File) -> Option<Rc<Elf>> {
    let meta = file.metadata().ok()?;
    let identity = Identity([
        meta.dev().cast_signed(),
        meta.ino().cast_signed(),
        meta.size().cast_signed(),
        meta.mtime(),
        meta.mtime_nsec(),
    ]);
    OPEN.with_borrow_mut(|open| {
        if let Some(at) = open.iter().position(|(known, _)| *known == identity) {
            let known = open.remove(at);
            open.push(known);
        } else {
            if open.len() >= MOST_OPEN {
                open.remove(0);
            }
            open.push((identity, Elf::read(file).map(Rc::new)));
        }
        open.last().and_then(|(_, elf)| elf.clone())
    })
}

impl Elf {
    fn read(file: File) -> Option<Self> {
        let cache = ReadCache::new(&file);
        let object = object::File::parse(&cache).ok()?;
        let segments = object.segments().map(|segment| {
            let (offset, bytes) = segment.file_range();
            Segment { offset, bytes, address: segment.address() }
        });
        let table = |name| {
            let section = object.section_by_name(name).filter(|section| section.size() < MOST_TABLE)?;
            Some(Table { address: section.address(), bytes: section.data().ok()?.into() })
        };
        let (segments, eh_frame, eh_frame_hdr) =
            (segments.collect(), table(".eh_frame"), table(".eh_frame_hdr"));
        let build_id = object.build_id().ok().flatten().map(hexadecimal);
        let names = object.section_by_name(go::SECTION).and_then(|section| section.file_range());
        drop(object);
        let go = names.and_then(|(offset, bytes)| go::Place::read(&file, offset, bytes));
        let symbols = Symbolizer::builder().enable_code_info(false).enable_inlined_fns(false).build();
        Some(Self { file, segments, build_id, eh_frame, eh_frame_hdr, go, symbols })
    }

    /// The address that a place in the file has when it is loaded where the file says.
    pub(super) fn address_of(&self, offset: u64) -> Option<u64> {
        let inside =
            |segment: &&Segment| offset.checked_sub(segment.offset).is_some_and(|at| at < segment.bytes);
        self.segments.iter().find(inside).map(|segment| offset - segment.offset + segment.address)
    }

    pub(super) fn bytes<const N: usize>(&self, offset: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact_at(&mut bytes, offset).ok()?;
        Some(bytes)
    }

    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// A path that leads to this very file for as long as it is open.
    pub(super) fn path(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.file.as_raw_fd()).into()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
