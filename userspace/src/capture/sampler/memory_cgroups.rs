//! Memory cgroups around a task whose call failed for want of memory: how full, and how often refused.

use super::{Look, Sampled, hierarchies};
use crate::limits::memory::MEMORY_MAX;
use crate::model::{Errno, Failure, Reading, Taken, keyed};
use std::fs;
use std::path::{Path, PathBuf};

const LEVELS: usize = 16;
const PAGE: u64 = 4096;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.errno != Errno::ENOMEM || failure.readings.iter().any(|r| r.limit == MEMORY_MAX.id) {
        return;
    }
    let after = look.after(failure);
    for (folder, version) in places(look, failure) {
        out.readings.extend(read(&folder, version, after));
        out.readings.extend(kernel_memory(&folder, after));
    }
}

/// The task's memory cgroup and all around it, nearest first. A child that is gone was in its parent's, mostly.
fn places(look: &Look<'_>, failure: &Failure) -> Vec<(PathBuf, u8)> {
    let task = &failure.task;
    let found = [task.tid, task.pid, task.ppid].into_iter().filter(|pid| *pid != 0).find_map(|pid| {
        let v1 = hierarchies::v1(look.root, pid, "memory").map(|at| (at, 1));
        v1.or_else(|| hierarchies::v2(look.root, pid).map(|at| (at, 2)))
    });
    let Some((nearest, version)) = found else { return Vec::new() };
    let levels = nearest.ancestors().take(LEVELS).take_while(|at| at.join("cgroup.procs").exists());
    levels.map(|at| (at.to_path_buf(), version)).collect()
}

/// The limit of kernel memory (version 1, enforced up to 5.15).
fn kernel_memory(folder: &Path, after: u64) -> Option<Reading> {
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let file = "memory.kmem.limit_in_bytes";
    Some(Reading {
        limit: MEMORY_MAX.id.into(),
        scope: folder.display().to_string(),
        ceiling: Some(number(file).filter(|n| *n < i64::MAX as u64 / 2)?),
        usage: number("memory.kmem.usage_in_bytes"),
        adds: Some(PAGE),
        hits: number("memory.kmem.failcnt"),
        unit: MEMORY_MAX.unit.into(),
        taken: Taken::After { ns: after },
        source: folder.join(file).display().to_string(),
    })
}

/// One level that has a limit.
fn read(folder: &Path, version: u8, after: u64) -> Option<Reading> {
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    let (ceiling, usage, hits) = if version == 2 {
        let events = fs::read_to_string(folder.join("memory.events")).unwrap_or_default();
        (number("memory.max")?, number("memory.current")?, keyed(&events, "max"))
    } else {
        let most = number("memory.limit_in_bytes").filter(|n| *n < i64::MAX as u64 / 2)?;
        (most, number("memory.usage_in_bytes")?, number("memory.failcnt"))
    };
    Some(Reading {
        limit: MEMORY_MAX.id.into(),
        scope: folder.display().to_string(),
        ceiling: Some(ceiling),
        usage: Some(usage),
        adds: Some(PAGE),
        hits,
        unit: MEMORY_MAX.unit.into(),
        taken: Taken::After { ns: after },
        source: folder
            .join(if version == 2 { "memory.max" } else { "memory.limit_in_bytes" })
            .display()
            .to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_with_a_limit_is_read_with_its_refusals() {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("memory.max", "4096\n"),
            ("memory.current", "4000\n"),
            ("memory.events", "low 0\nhigh 0\nmax 7\noom 1\n"),
        ] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        let r = read(dir.path(), 2, 5).unwrap();
        assert_eq!((r.usage, r.ceiling, r.hits), (Some(4000), Some(4096), Some(7)));
        fs::write(dir.path().join("memory.max"), "max\n").unwrap();
        assert!(read(dir.path(), 2, 5).is_none(), "without a limit there is nothing to be full");
    }
}
