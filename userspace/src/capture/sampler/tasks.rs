//! What refused a new task: ceilings that are not in the kernel's own structures, and the cgroup's name.

use super::{Look, Sampled};
use crate::limits::{
    Limit,
    read::Root,
    tasks::{PID_MAX, PIDS_MAX, THREADS_MAX},
};
use crate::model::{CgroupId, Errno, Failure, Reading, Taken};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Calls that make a task, or replace one's program.
const CALLS: &[&str] = &["clone", "clone3", "fork", "vfork", "execve", "execveat"];

/// Where hierarchies with the pids controller are mounted: v1, v2, and v2 beside v1.
const MOUNTS: &[&str] = &["sys/fs/cgroup/pids", "sys/fs/cgroup", "sys/fs/cgroup/unified"];

/// Levels of cgroups that are looked at; the probe's own bound.
const LEVELS: usize = 32;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.errno != Errno::EAGAIN || !CALLS.contains(&look.call) {
        return;
    }
    let (root, after) = (look.root, look.after(failure));
    // Later and approximate; where the probe has read it, that is the better reading.
    if !failure.readings.iter().any(|r| r.limit == THREADS_MAX.id) {
        out.readings.extend(threads(root, after));
    }
    let pids = [failure.task.pid, failure.task.ppid];
    for reading in &mut failure.readings {
        if reading.limit == PID_MAX.id && reading.ceiling.is_none() {
            reading.ceiling = root.ceiling(&PID_MAX).ok();
            reading.source = format!("{}; ceiling from {}", reading.source, PID_MAX.path());
        }
        if reading.limit == PIDS_MAX.id
            && let Some(id) = id(&reading.scope)
            && let Some(found) = pids.iter().find_map(|p| find(root, *p, id)).or_else(|| remembered(look, id))
        {
            name(reading, &found);
        }
    }
}

/// The machine's tasks: the number behind the slash in `/proc/loadavg` (proc_loadavg(5)) counts all threads.
fn threads(root: &Root, after: u64) -> Option<Reading> {
    let text = fs::read_to_string(root.join("proc/loadavg")).ok()?;
    let total = text.split(' ').nth(3)?.split_once('/')?.1.parse().ok()?;
    Some(reading(&THREADS_MAX, "the machine", root.ceiling(&THREADS_MAX).ok(), total, after))
}

fn reading(limit: &Limit, scope: &str, ceiling: Option<u64>, usage: u64, after: u64) -> Reading {
    Reading {
        limit: limit.id.into(),
        scope: scope.into(),
        ceiling,
        usage: Some(usage),
        adds: Some(1),
        hits: None,
        unit: limit.unit.into(),
        taken: Taken::After { ns: after },
        source: format!("/proc/loadavg, {}", limit.path()),
    }
}

/// The number in `cgroup (id 42)`.
fn id(scope: &str) -> Option<u64> {
    scope.split_once("(id ")?.1.strip_suffix(')')?.parse().ok()
}

/// A cgroup's folder and its path in the hierarchy.
struct Found {
    folder: PathBuf,
    path: String,
}

/// The cgroup with this id among those of a process and all around them: a folder's inode number is its id
/// (fs/kernfs/inode.c `kernfs_get_inode`).
fn find(root: &Root, pid: u32, id: u64) -> Option<Found> {
    let text = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        if !controllers.is_empty() && !controllers.split(',').any(|c| c == "pids") {
            continue;
        }
        for mount in MOUNTS {
            let top = root.join(mount);
            for level in Path::new(path).ancestors().take(LEVELS) {
                let folder = top.join(level.strip_prefix("/").unwrap_or(level));
                let same = fs::metadata(&folder).is_ok_and(|m| m.ino() == id);
                if same && folder.join("pids.max").exists() {
                    return Some(Found { folder, path: level.display().to_string() });
                }
            }
        }
    }
    None
}

/// The same for a cgroup that nobody living is in, or that is gone: by the name it was made with.
fn remembered(look: &Look<'_>, id: u64) -> Option<Found> {
    let cgroup = CgroupId { hierarchy: "pids".into(), id };
    let path = look.cgroups.path(look.root, &cgroup)?;
    let on_v1 = look.root.join("sys/fs/cgroup/pids").exists();
    let v2_alone = look.root.join("sys/fs/cgroup/cgroup.controllers").exists();
    let mount = if on_v1 {
        "pids"
    } else if v2_alone {
        ""
    } else {
        "unified"
    };
    let folder = look.root.join("sys/fs/cgroup").join(mount).join(path.strip_prefix('/').unwrap_or(path));
    Some(Found { folder, path: path.into() })
}

/// Adds path, file and the kernel's own count of refusals (pids.events, `max N`).
fn name(reading: &mut Reading, found: &Found) {
    if let Some(id) = id(&reading.scope) {
        reading.scope = format!("cgroup {} (id {id})", found.path);
    }
    let events = fs::read_to_string(found.folder.join("pids.events")).unwrap_or_default();
    reading.hits = events.lines().find_map(|l| l.strip_prefix("max ")).and_then(|n| n.trim().parse().ok());
    reading.source = format!("{}; {}", reading.source, found.folder.join("pids.max").display());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusing_cgroup_is_found_by_its_inode_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("sys/fs/cgroup/pids/a");
        fs::create_dir_all(top.join("b")).unwrap();
        fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        fs::write(dir.path().join("proc/7/cgroup"), "9:cpu:/x\n8:pids:/a/b\n0::/\n").unwrap();
        fs::write(top.join("pids.max"), "4\n").unwrap();
        fs::write(top.join("pids.events"), "max 12\n").unwrap();
        let inode = fs::metadata(&top).unwrap().ino();
        let root = Root::at(dir.path());
        let found = find(&root, 7, inode).unwrap();
        let mut r = reading(&PIDS_MAX, &format!("cgroup (id {inode})"), Some(4), 4, 0);
        name(&mut r, &found);
        assert_eq!(r.scope, format!("cgroup /a (id {inode})"));
        assert_eq!(r.hits, Some(12));
        assert!(r.source.ends_with("/a/pids.max"), "{}", r.source);
        assert!(find(&root, 8, inode).is_none());
    }

    #[test]
    fn the_machines_tasks_are_behind_the_slash() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/kernel")).unwrap();
        fs::write(dir.path().join("proc/loadavg"), "0.1 0.2 0.3 2/345 9999\n").unwrap();
        fs::write(dir.path().join("proc/sys/kernel/threads-max"), "1000\n").unwrap();
        let r = threads(&Root::at(dir.path()), 5).unwrap();
        assert_eq!((r.usage, r.ceiling), (Some(345), Some(1000)));
    }
}
