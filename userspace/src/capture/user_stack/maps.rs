//! The failing process's memory map, and whether it is the one that the addresses belong to.

use super::elf::{self, Elf};
use super::recorded::{Piece, Pieces};
use super::{Ids, Seen};
use crate::limits::read::Root;
use crate::model::CallSite;
use procfs::process::{MMPermissions, MMapPath, Process};
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::rc::Rc;

/// What code is mapped from: a file, or what else there is.
#[derive(Debug, Clone)]
pub(super) struct Region {
    start: u64,
    end: u64,
    /// Of `start` in the file.
    offset: u64,
    inode: u64,
    /// As the process calls it: `/usr/bin/runc`, `[vdso]`.
    path: String,
}

/// The regions of the process itself, while it is there.
pub(super) fn living(root: &Root, task: Ids) -> Option<Vec<Region>> {
    of_process(root, task.tid).or_else(|| of_process(root, task.pid))
}

pub(super) fn recorded(pieces: &Pieces) -> Vec<Region> {
    let region = |(start, piece): (&u64, &Piece)| Region {
        start: *start,
        end: piece.end,
        offset: piece.offset,
        inode: piece.inode,
        path: piece.path.clone(),
    };
    pieces.iter().map(region).collect()
}

fn of_process(root: &Root, pid: u32) -> Option<Vec<Region>> {
    let process = Process::new_with_root(root.join(format!("proc/{pid}"))).ok()?;
    let executable =
        process.maps().ok()?.0.into_iter().filter(|map| map.perms.contains(MMPermissions::EXECUTE));
    let regions = executable.map(|map| Region {
        start: map.address.0,
        end: map.address.1,
        offset: map.offset,
        inode: map.inode,
        path: match map.pathname {
            MMapPath::Path(path) => path.to_string_lossy().into_owned(),
            MMapPath::Vdso => "[vdso]".into(),
            MMapPath::Vsyscall => "[vsyscall]".into(),
            _ => "anonymous memory".into(),
        },
    });
    let regions: Vec<Region> = regions.collect();
    (!regions.is_empty()).then_some(regions)
}

/// A region with its file, as far as it was opened.
#[derive(Debug)]
pub(super) struct Mapped {
    region: Region,
    pub(super) file: Option<Rc<Elf>>,
}

/// The executable mappings, by address.
#[derive(Debug)]
pub(super) struct Maps(Vec<Mapped>);

impl Maps {
    /// The map with its files: the one that was seen, else the one that was recorded, else that of the parent, which a
    /// forked child has until it runs another program. Whichever it is, there must be a system call's instruction where
    /// the call was made.
    pub(super) fn fitting(root: &Root, seen: Seen) -> Result<(Self, CallSite), String> {
        let Seen { site, task, living, recorded, .. } = seen;
        let why = match living {
            Some(_) => "the process ran another program before its memory map could be read",
            None => "the process was gone before its memory map could be read",
        };
        let reach = Reach::of(root, task);
        let opened = |regions: Vec<Region>| {
            let mut maps = Self(regions.into_iter().map(|region| Mapped { region, file: None }).collect());
            maps.open(&reach, &site);
            maps.is_of(&site).then_some(maps)
        };
        let parents = || of_process(root, task.ppid).and_then(opened);
        let found = living.and_then(opened).or_else(|| recorded.and_then(opened)).or_else(parents);
        found.map(|maps| (maps, site)).ok_or_else(|| why.into())
    }

    /// Opens what the known addresses lie in, while it can be reached through the process.
    fn open(&mut self, reach: &Reach, site: &CallSite) {
        // Whatever looks like an address of code: the unwinder may come by all of them.
        let wanted: Vec<u64> = site.chain.iter().chain(&site.top).copied().chain([site.ip]).collect();
        for mapped in &mut self.0 {
            if mapped.path().starts_with('/') && wanted.iter().any(|a| mapped.range().contains(a)) {
                mapped.file = mapped.file(reach).and_then(elf::opened);
            }
        }
    }

    /// Whether a system call could have been made there (`syscall`, `sysenter` or `int 0x80`).
    fn is_of(&self, site: &CallSite) -> bool {
        let Some(mapped) = self.at(site.ip) else { return false };
        let (Some(file), Some(offset)) = (&mapped.file, self.file_offset(site.ip)) else {
            // 32-bit code makes its calls in the vdso, for which there is no file.
            return !mapped.path().starts_with('/');
        };
        let bytes = offset.checked_sub(2).and_then(|at| file.bytes::<2>(at));
        matches!(bytes, Some([0x0f, 0x05 | 0x34] | [0xcd, 0x80]))
    }

    pub(super) fn at(&self, address: u64) -> Option<&Mapped> {
        self.0.iter().find(|mapped| mapped.range().contains(&address))
    }

    fn file_offset(&self, address: u64) -> Option<u64> {
        let region = &self.at(address)?.region;
        Some(address - region.start + region.offset)
    }

    /// The address as the mapped file has it.
    pub(super) fn in_file(&self, address: u64) -> Option<u64> {
        let file = self.at(address)?.file.as_ref()?;
        file.address_of(self.file_offset(address)?)
    }

    /// Whether the instruction before is a call, as it must be where a function returns to.
    pub(super) fn follows_call(&self, address: u64) -> bool {
        let Some(mapped) = self.at(address) else { return false };
        let Some(file) = &mapped.file else { return true };
        let before = self.file_offset(address).and_then(|offset| file.bytes::<7>(offset.checked_sub(7)?));
        before.is_none_or(is_call)
    }
}

impl Mapped {
    pub(super) fn range(&self) -> std::ops::Range<u64> {
        self.region.start..self.region.end
    }

    pub(super) fn path(&self) -> &str {
        &self.region.path
    }

    /// By the mapping itself, which leads to the very file, whatever has its name now (proc_pid_map_files(5)); else by
    /// the name, if that still leads to the same inode.
    fn file(&self, reach: &Reach) -> Option<File> {
        let Region { start, end, inode, path, .. } = &self.region;
        let mapping = format!("map_files/{start:x}-{end:x}");
        let mapped = reach.processes.iter().find_map(|folder| File::open(folder.join(&mapping)).ok());
        let is_same = |file: &File| file.metadata().is_ok_and(|meta| meta.ino() == *inode);
        let named = |root: &PathBuf| File::open(root.join(path.trim_start_matches('/'))).ok().filter(is_same);
        mapped.filter(is_same).or_else(|| reach.roots.iter().find_map(named))
    }
}

/// How to get at mapped files.
struct Reach {
    /// Folders in /proc of the processes that may have them mapped.
    processes: [PathBuf; 2],
    /// Where their names may lead to them: the task's root, its parent's, our own.
    roots: [PathBuf; 3],
}

impl Reach {
    fn of(root: &Root, task: Ids) -> Self {
        let folder = |pid: u32| root.join(format!("proc/{pid}"));
        let (own, parent) = (folder(task.pid), folder(task.ppid));
        let roots = [own.join("root"), parent.join("root"), root.join("")];
        Self { processes: [own, parent], roots }
    }
}

/// `call rel32`, or `call` through a register or memory, whose length depends on how it is addressed (opcode FF /2).
fn is_call(before: [u8; 7]) -> bool {
    let indirect = |length: usize| {
        let [opcode, modrm, ..] = before[7 - length..] else { return false };
        opcode == 0xff && modrm & 0x38 == 0x10
    };
    before[2] == 0xe8 || [2, 3, 4, 6, 7].into_iter().any(indirect)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_from_other_instructions() {
        assert!(is_call([0, 0, 0xe8, 1, 2, 3, 4]), "call rel32");
        assert!(is_call([0, 0, 0, 0, 0, 0xff, 0xd0]), "call *%rax");
        assert!(is_call([0, 0xff, 0x15, 1, 2, 3, 4]), "call *off(%rip)");
        assert!(!is_call([0x90; 7]), "nop");
        assert!(!is_call([0, 0, 0, 0, 0, 0xff, 0xe0]), "jmp *%rax");
    }
}
