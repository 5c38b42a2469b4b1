//! Huge pages when a mapping of them was refused: the pool, and the cgroup's own limit.

use super::{Look, Sampled, hierarchies};
use crate::limits::Limit;
use crate::limits::memory::{HUGE_PAGES, HUGETLB_MAX, HUGETLB_RSVD};
use crate::limits::read::Root;
use crate::model::{Errno, Fact, Failure, FailureKind, Reading, State, Taken};
use nix::sys::statfs::statfs;
use std::fs;
use std::path::Path;

const MAP_HUGETLB: u64 = 0x4_0000;
/// Where the size's logarithm is in the flags (`MAP_HUGE_SHIFT`).
const SIZE_SHIFT: u64 = 26;
const LEVELS: usize = 16;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let flags = failure.number_arg("flags").unwrap_or(0);
    let mapped = matches!(look.call, "mmap" | "mmap2") && flags & MAP_HUGETLB != 0;
    let segment = look.call == "shmget" && failure.number_arg("shmflg").is_some_and(|f| f & 0o4000 != 0);
    if look.errno != Errno::ENOMEM || !(mapped || segment || matches!(look.call, "mmap" | "mmap2")) {
        return;
    }
    // A file of a hugetlbfs, or a memfd of huge pages, needs no flag.
    let file = if mapped { None } else { mount(look, failure, out) };
    if !(mapped || segment || file.is_some()) {
        return;
    }
    let size = match (file, flags >> SIZE_SHIFT & 0x3f) {
        (Some(size), _) => size,
        (None, 0) => default_size(look).unwrap_or(2 << 20),
        (None, log) => 1 << log,
    };
    let pages =
        failure.number_arg("length").or(failure.number_arg("size")).unwrap_or(0).div_ceil(size).max(1);
    let taken = Taken::After { ns: look.after(failure) };
    out.readings.extend(pool(look.root, size, pages, taken));
    let nearest =
        [failure.task.tid, failure.task.ppid].into_iter().find_map(|pid| hierarchies::v2(look.root, pid));
    for folder in nearest.iter().flat_map(|at| at.ancestors().take(LEVELS)) {
        out.readings.extend(cgroup(folder, size, pages, taken));
    }
}

/// `HUGETLBFS_MAGIC` (linux/magic.h).
const HUGETLBFS: i64 = 0x9584_58f6;

/// The page size of the hugetlbfs that the descriptor's file lies on, with what a `size=` of its mount leaves.
fn mount(look: &Look<'_>, failure: &Failure, out: &mut Sampled) -> Option<u64> {
    let fd = failure.number_arg("fd").map(|raw| raw as u32 as i32).filter(|fd| *fd >= 0)?;
    let link = look.root.join(format!("proc/{}/fd/{fd}", failure.task.tid));
    let found = statfs(&link).ok()?;
    if found.filesystem_type().0 != HUGETLBFS {
        return None;
    }
    let mut add = |name: &str, value: String| {
        let (of, source) = ("the descriptor's file".into(), link.display().to_string());
        let after_ns = look.after(failure);
        out.facts.push(Fact::State(State { name: name.into(), of, value, source, after_ns }));
    };
    add("hugetlbfs", fs::read_link(&link).ok()?.display().to_string());
    // Without a limit it shows zeros or minus one (`hugetlbfs_statfs()`, fs/hugetlbfs/inode.c).
    if (1..u64::MAX >> 1).contains(&found.blocks()) {
        add("hugetlbfs pages", format!("{} {}", found.blocks_free(), found.blocks()));
    }
    u64::try_from(found.block_size()).ok().filter(|size| *size > 0)
}

/// The same when a page that was mapped could not be had: the address lies in a mapping of huge pages, and the cgroup's
/// limit of used (not reserved) ones is reached, or the pool is empty.
pub(super) fn touched(root: &Root, failure: &mut Failure, after_ns: u64) {
    let FailureKind::Fault { signal, address: Some(address), .. } = &failure.kind else { return };
    let pid = failure.task.pid;
    let maps = fs::read_to_string(root.join(format!("proc/{pid}/smaps"))).unwrap_or_default();
    if signal != "SIGBUS" || maps.is_empty() {
        return;
    }
    let Some(size) = page_size(&maps, *address).filter(|size| *size > 4096) else { return };
    let taken = Taken::After { ns: after_ns };
    let mut found: Vec<Reading> = Vec::new();
    if let Some(nearest) = hierarchies::v2(root, pid) {
        for folder in nearest.ancestors().take(LEVELS) {
            found.extend(limited(folder, &format!("hugetlb.{}", named(size)), &HUGETLB_MAX, size, taken));
        }
    }
    found.extend(pool(root, size, 1, taken));
    failure.readings.extend(found);
}

/// The page size of the mapping that holds an address, by smaps (proc_pid_smaps(5)).
fn page_size(smaps: &str, address: u64) -> Option<u64> {
    let mut inside = false;
    for line in smaps.lines() {
        let range = line.split(' ').next().and_then(|r| r.split_once('-'));
        let hex = |t: &str| u64::from_str_radix(t, 16).ok();
        if let Some((from, to)) = range.and_then(|(a, b)| Some((hex(a)?, hex(b)?))) {
            inside = (from..to).contains(&address);
        } else if let Some(rest) = line.strip_prefix("KernelPageSize:").filter(|_| inside) {
            return Some(rest.split_whitespace().next()?.parse::<u64>().ok()? * 1024);
        }
    }
    None
}

fn default_size(look: &Look<'_>) -> Option<u64> {
    let text = fs::read_to_string(look.root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|l| l.strip_prefix("Hugepagesize:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Free pages that nobody has reserved: what a new reservation may take (`hugetlb_acct_memory()`, mm/hugetlb.c).
fn pool(root: &Root, size: u64, pages: u64, taken: Taken) -> Option<Reading> {
    let at = root.join(format!("sys/kernel/mm/hugepages/hugepages-{}kB", size / 1024));
    let number = |file: &str| fs::read_to_string(at.join(file)).ok()?.trim().parse::<u64>().ok();
    let (total, free, reserved) =
        (number("nr_hugepages")?, number("free_hugepages")?, number("resv_hugepages")?);
    let surplus = number("nr_overcommit_hugepages").unwrap_or(0);
    Some(Reading {
        limit: HUGE_PAGES.id.into(),
        scope: format!("pages of {} KiB", size / 1024),
        ceiling: Some(total + surplus.saturating_sub(number("surplus_hugepages").unwrap_or(0))),
        usage: Some(total.saturating_sub(free.saturating_sub(reserved))),
        adds: Some(pages),
        hits: None,
        unit: HUGE_PAGES.unit.into(),
        taken,
        source: at.display().to_string(),
    })
}

/// `2MB`, `1GB`: how the files are called (`mem_fmt()`, mm/hugetlb_cgroup.c).
fn named(size: u64) -> String {
    match size {
        s if s >= 1 << 30 => format!("{}GB", s >> 30),
        s if s >= 1 << 20 => format!("{}MB", s >> 20),
        s => format!("{}KB", s >> 10),
    }
}

fn cgroup(folder: &Path, size: u64, pages: u64, taken: Taken) -> Option<Reading> {
    limited(folder, &format!("hugetlb.{}.rsvd", named(size)), &HUGETLB_RSVD, pages * size, taken)
}

fn limited(folder: &Path, file: &str, limit: &Limit, adds: u64, taken: Taken) -> Option<Reading> {
    let read = |end: &str| fs::read_to_string(folder.join(format!("{file}.{end}"))).ok();
    let ceiling = read("max")?.trim().parse().ok()?;
    Some(Reading {
        limit: limit.id.into(),
        scope: folder.display().to_string(),
        ceiling: Some(ceiling),
        usage: read("current")?.trim().parse().ok(),
        adds: Some(adds),
        hits: None,
        unit: limit.unit.into(),
        taken,
        source: folder.join(format!("{file}.max")).display().to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_called_by_size() {
        assert_eq!([named(2 << 20), named(1 << 30), named(64 << 10)], ["2MB", "1GB", "64KB"]);
    }

    #[test]
    fn the_mapping_at_an_address_has_its_page_size() {
        let smaps = "1000-2000 rw-p 0 00:00 0\nKernelPageSize:        4 kB\n200000-400000 rw-p 0 00:0f 7 /anon_hugepage (deleted)\nKernelPageSize:     2048 kB\n";
        assert_eq!(page_size(smaps, 0x20_1000), Some(2 << 20));
        assert_eq!(page_size(smaps, 0x1000), Some(4096));
        assert_eq!(page_size(smaps, 0x9000), None);
    }

    #[test]
    fn a_cgroups_own_limit_is_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("hugetlb.2MB.rsvd.max"), "0\n").unwrap();
        fs::write(dir.path().join("hugetlb.2MB.rsvd.current"), "0\n").unwrap();
        let r = cgroup(dir.path(), 2 << 20, 1, Taken::After { ns: 1 }).unwrap();
        assert_eq!(r.exceeded(), Some(true));
        assert!(cgroup(dir.path(), 1 << 30, 1, Taken::After { ns: 1 }).is_none());
    }
}
