//! Where a process's cgroup of a controller is, whichever version it is on and wherever that is mounted.

use crate::limits::read::Root;
use std::fs;
use std::path::PathBuf;

/// The folder of a process's cgroup in the v1 hierarchy of a controller; `None` when it is not on v1 or not mounted.
pub(in crate::capture) fn v1(root: &Root, pid: u32, controller: &str) -> Option<PathBuf> {
    let text = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    let path = text.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (controllers, path) = (fields.next()?, fields.next()?);
        controllers.split(',').any(|c| c == controller).then_some(path)
    })?;
    mounted(root, pid, |kind, options| kind == "cgroup" && options.split(',').any(|o| o == controller), path)
}

/// The same in the unified hierarchy.
pub(in crate::capture) fn v2(root: &Root, pid: u32) -> Option<PathBuf> {
    let text = fs::read_to_string(root.join(format!("proc/{pid}/cgroup"))).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    mounted(root, pid, |kind, _| kind == "cgroup2", path)
}

/// The folder of a path in the first hierarchy that fits, by diag's own mounts or the process's.
fn mounted(root: &Root, pid: u32, fits: impl Fn(&str, &str) -> bool, path: &str) -> Option<PathBuf> {
    let views = [
        (root.join("proc/self/mountinfo"), root.join("/")),
        (root.join(format!("proc/{pid}/mountinfo")), root.join(format!("proc/{pid}/root"))),
    ];
    for (table, top) in views {
        let table = fs::read_to_string(table).unwrap_or_default();
        for line in table.lines() {
            let Some((mount, rest)) = line.split_once(" - ") else { continue };
            let mut behind = rest.split(' ');
            let (kind, options) = (behind.next().unwrap_or_default(), behind.nth(1).unwrap_or_default());
            if !fits(kind, options) {
                continue;
            }
            let fields: Vec<&str> = mount.split(' ').collect();
            let (Some(begin), Some(point)) = (fields.get(3), fields.get(4)) else { continue };
            let rel = if *begin == "/" { Some(path) } else { path.strip_prefix(begin) };
            let Some(rel) = rel else { continue };
            let folder = top.join(point.trim_start_matches('/')).join(rel.trim_start_matches('/'));
            if folder.is_dir() {
                return Some(folder);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_is_found_where_it_is_mounted() {
        let dir = tempfile::tempdir().unwrap();
        let at = |rel: &str| dir.path().join(rel);
        for folder in ["proc/7/root", "proc/self", "t/v1/a", "sys/fs/cgroup/b"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("proc/7/cgroup"), "3:freezer:/a\n0::/b\n").unwrap();
        let table =
            "30 1 0:20 / /t/v1 rw - cgroup c rw,freezer\n31 1 0:21 / /sys/fs/cgroup rw - cgroup2 c rw\n";
        fs::write(at("proc/self/mountinfo"), table).unwrap();
        let root = Root::at(dir.path());
        assert!(v1(&root, 7, "freezer").unwrap().ends_with("t/v1/a"));
        assert!(v2(&root, 7).unwrap().ends_with("sys/fs/cgroup/b"));
        assert_eq!(v1(&root, 7, "devices"), None);
    }
}
