//! How many mounts a refused call would have added to its own mount namespace.
//!
//! A recursive bind copies a tree, and what goes below a shared mount goes to all its peers and slaves
//! (`attach_recursive_mnt()`, fs/namespace.c; `propagate_mnt()`, fs/pnode.c). Those of other mount namespaces are
//! counted there.

use super::held::{Held, Row};
use crate::limits::mount::MOUNT_MAX;
use crate::model::Failure;

pub(super) fn count(held: &Held, failure: &mut Failure) {
    let adds = would_add(held, failure);
    if let Some(reading) = failure.readings.iter_mut().find(|r| r.limit == MOUNT_MAX.id) {
        reading.adds = reading.adds.or(adds);
    }
}

fn would_add(held: &Held, failure: &Failure) -> Option<u64> {
    let (name, _) = failure.syscall()?;
    if name != "mount" {
        return None;
    }
    let flags = failure.number_arg("flags").unwrap_or(0);
    let table = held.table();
    let size = match flags & (libc::MS_BIND | libc::MS_REC | libc::MS_MOVE) {
        bits if bits & libc::MS_MOVE != 0 => return None,
        bits if bits & libc::MS_BIND != 0 && bits & libc::MS_REC != 0 => {
            let source = held.absolute(failure.text_arg("source")?)?;
            tree(table, held.row_by_name(&source)?, &source)
        }
        _ => 1,
    };
    let target = held.absolute(failure.text_arg("target")?)?;
    Some(size * places(table, held.row_by_name(&target)?, &target))
}

/// A mount and all below it that lie below the path, but for those that are unbindable.
fn tree(table: &[Row], top: &Row, path: &str) -> u64 {
    let below = |point: &str| {
        point.strip_prefix(path.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'))
    };
    let children =
        table.iter().filter(|row| row.parent == top.id && row.id != top.id && below(&row.mount.point));
    1 + children
        .filter(|row| !row.mount.propagation.contains("unbindable"))
        .map(|row| tree(table, row, &row.mount.point))
        .sum::<u64>()
}

/// Mounts of this namespace that would get a copy, the target's own included: those of its peer group, and slaves of it,
/// that show the place.
fn places(table: &[Row], target: &Row, path: &str) -> u64 {
    let Some(group) = tag(target, "shared:") else { return 1 };
    // Where the mount point is in its file system.
    let rest = path.strip_prefix(target.mount.point.trim_end_matches('/')).unwrap_or_default();
    let inside = format!("{}{rest}", target.root.trim_end_matches('/'));
    let shows = |row: &Row| {
        row.root == "/" || inside.strip_prefix(&row.root).is_some_and(|r| r.is_empty() || r.starts_with('/'))
    };
    let gets = |row: &&Row| tag(row, "shared:") == Some(group) || tag(row, "master:") == Some(group);
    let receivers = table.iter().filter(|row| row.mount.device == target.mount.device).filter(gets);
    // A peer whose root is the very mount point is mounted on top of itself no more.
    receivers.filter(|row| shows(row) && (row.id == target.id || row.root != inside)).count().max(1) as u64
}

fn tag<'a>(row: &'a Row, name: &str) -> Option<&'a str> {
    row.mount.propagation.split(',').find_map(|field| field.strip_prefix(name))
}

#[cfg(test)]
mod tests {
    use super::super::held::parse;
    use super::*;

    fn table(lines: &[&str]) -> Vec<Row> {
        lines.iter().filter_map(|line| parse(line)).collect()
    }

    #[test]
    fn a_tree_and_its_peers() {
        let t = table(&[
            "1 0 0:1 / / rw - tmpfs x rw",
            "2 1 0:2 / /a rw shared:5 - tmpfs x rw",
            "3 2 0:3 / /a/m rw - tmpfs x rw",
            "4 2 0:4 / /a/n rw unbindable - tmpfs x rw",
            "5 1 0:2 / /p rw shared:5 - tmpfs x rw",
            "6 1 0:2 /other /q rw shared:5 - tmpfs x rw",
            "7 1 0:2 / /r rw master:5 - tmpfs x rw",
        ]);
        assert_eq!(tree(&t, &t[1], "/a"), 2, "itself and one below");
        assert_eq!(
            places(&t, &t[1], "/a/x"),
            3,
            "itself, a peer and a slave; not the one that shows another part"
        );
        assert_eq!(places(&t, &t[0], "/x"), 1);
    }
}
