//! Limits on cgroups themselves.

use super::{Ceiling, Holder, Limit, Usage, read::Root};
use crate::model::{KnobKind, keyed};
use std::fs;
use std::io;

/// Memory cgroups of the machine. Their ids are 16 bits (mm/memcontrol.c `MEM_CGROUP_ID_MAX`), and a removed cgroup
/// keeps its id while a page of it is left.
pub static MEMORY_IDS: Limit = Limit {
    id: "MEM_CGROUP_ID_MAX",
    title: "memory cgroups, removed ones whose pages are left among them",
    kind: KnobKind::Other,
    ceiling: Ceiling::Fixed(65_535),
    unit: "memory cgroups",
    counted_per: "machine",
    usage: Usage::Read(memory_ids),
    default: 65_535,
    since: "3.19",
    see: "mm/memcontrol.c, mem_cgroup_alloc(), MEM_CGROUP_ID_MAX",
};

/// Living and dying ones, by the root's statistics.
fn memory_ids(root: &Root) -> io::Result<Vec<Holder>> {
    let stat = fs::read_to_string(root.join("sys/fs/cgroup/cgroup.stat")).unwrap_or_default();
    let cgroups = fs::read_to_string(root.join("proc/cgroups"))?;
    let row = cgroups.lines().find_map(|l| l.strip_prefix("memory\t"));
    let living = keyed(&stat, "nr_subsys_memory").or_else(|| row?.split('\t').nth(1)?.parse().ok());
    let dying =
        keyed(&stat, "nr_dying_subsys_memory").or_else(|| keyed(&stat, "nr_dying_descendants")).unwrap_or(0);
    Ok(living.map(|n| Holder { name: String::new(), usage: n + dying, ceiling: None }).into_iter().collect())
}

/// Cgroups below one.
pub static DESCENDANTS: Limit = Limit {
    id: "cgroup.max.descendants",
    title: "cgroups below a cgroup",
    kind: KnobKind::Cgroup,
    ceiling: Ceiling::Cgroup("cgroup.max.descendants"),
    unit: "cgroups",
    counted_per: "cgroup",
    usage: Usage::Read(descendants),
    default: i32::MAX as u64,
    since: "4.14",
    see: "Documentation/admin-guide/cgroup-v2.rst, Core Interface Files",
};

/// How many levels below the top are looked at when nothing failed.
const LEVELS: usize = 4;

fn descendants(root: &Root) -> io::Result<Vec<Holder>> {
    let top = root.join("sys/fs/cgroup");
    let mut found = Vec::new();
    let mut todo = vec![(top.clone(), 0)];
    while let Some((at, level)) = todo.pop() {
        let limit =
            fs::read_to_string(at.join("cgroup.max.descendants")).ok().and_then(|t| t.trim().parse().ok());
        let stat = fs::read_to_string(at.join("cgroup.stat")).unwrap_or_default();
        if let (Some(most), Some(used)) = (limit, keyed(&stat, "nr_descendants")) {
            let name = at.strip_prefix(&top).unwrap_or(&at).display().to_string();
            found.push(Holder { name: format!("cgroup /{name}"), usage: used, ceiling: Some(most) });
        }
        if level < LEVELS {
            let below = fs::read_dir(&at)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()));
            todo.extend(below.map(|e| (e.path(), level + 1)));
        }
    }
    found.sort_by_key(|h| std::cmp::Reverse(h.usage.saturating_mul(1000) / h.ceiling.unwrap_or(1).max(1)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fullest_cgroup_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for (name, most, used) in [("a", "10", 9), ("b", "100", 10), ("c", "max", 99)] {
            let at = dir.path().join("sys/fs/cgroup").join(name);
            fs::create_dir_all(&at).unwrap();
            fs::write(at.join("cgroup.max.descendants"), most).unwrap();
            fs::write(at.join("cgroup.stat"), format!("nr_descendants {used}\nnr_dying_descendants 0\n"))
                .unwrap();
        }
        let found = descendants(&Root::at(dir.path())).unwrap();
        assert_eq!(found.iter().map(|h| h.name.as_str()).collect::<Vec<_>>(), ["cgroup /a", "cgroup /b"]);
    }

    #[test]
    fn dying_memory_cgroups_count() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("sys/fs/cgroup")).unwrap();
        fs::create_dir_all(dir.path().join("proc")).unwrap();
        fs::write(dir.path().join("proc/cgroups"), "#x\nmemory\t0\t40\t1\n").unwrap();
        fs::write(
            dir.path().join("sys/fs/cgroup/cgroup.stat"),
            "nr_descendants 39\nnr_dying_descendants 60000\n",
        )
        .unwrap();
        assert_eq!(memory_ids(&Root::at(dir.path())).unwrap()[0].usage, 60_040);
    }
}
