//! The names of cgroups: of a living task from `/proc`, of the dead from what the kernel told when they were made.

use crate::limits::read::Root;
use crate::model::{CgroupId, Task};
use std::collections::{HashMap, VecDeque};
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

/// How many names are remembered, the last ones made. A node of Kubernetes with its full 110 pods has some 1500
/// cgroups in one hierarchy.
const MOST: usize = 16_384;

/// A cgroup's number and name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    /// The hierarchy's number in `/proc/cgroups`; 0 is v2.
    pub hierarchy: u32,
    pub id: u64,
    /// From the hierarchy's root; empty when it could not be read.
    pub path: String,
}

/// The names of cgroups by hierarchy and number. The kernel gives no number twice while it runs
/// (fs/kernfs/dir.c `__kernfs_new_node`), so what is remembered of the dead is never another's.
#[derive(Debug, Default)]
pub struct Names {
    known: HashMap<(u32, u64), String>,
    order: VecDeque<(u32, u64)>,
}

impl Names {
    /// Those that exist, by a walk through each hierarchy that holds containers.
    pub fn existing(root: &Root) -> Self {
        let mut names = Self::default();
        let numbers = fs::read_to_string(root.join("proc/cgroups")).unwrap_or_default();
        let controllers = diag_abi::CONTROLLERS.map(|name| (number(&numbers, name), name));
        for (hierarchy, name) in [(0, ""), (0, "unified")].into_iter().chain(controllers) {
            let top = root.join("sys/fs/cgroup").join(name);
            // Where v2 is beside v1, the folder of all hierarchies is none itself.
            if name.is_empty() && !top.join("cgroup.controllers").exists() {
                continue;
            }
            names.walk(hierarchy, &top);
        }
        names
    }

    fn walk(&mut self, hierarchy: u32, top: &Path) {
        let mut folders = VecDeque::from([top.to_owned()]);
        while let Some(folder) = folders.pop_front() {
            // Gone since its parent was read, or not there at all.
            let Ok(entries) = fs::read_dir(&folder) else { continue };
            for entry in entries.flatten() {
                if !entry.file_type().is_ok_and(|t| t.is_dir()) {
                    continue;
                }
                if self.known.len() == MOST {
                    return;
                }
                let path = entry.path();
                if let Ok(rel) = path.strip_prefix(top) {
                    let path = format!("/{}", rel.display());
                    self.learn(Made { hierarchy, id: entry.ino(), path });
                }
                folders.push_back(path);
            }
        }
    }

    /// Remembers a new one, and forgets the oldest when there are too many.
    pub fn learn(&mut self, made: Made) {
        let key = (made.hierarchy, made.id);
        if made.path.is_empty() || self.known.insert(key, made.path).is_some() {
            return;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// The path that a cgroup has or had in its hierarchy.
    pub fn path(&self, root: &Root, cgroup: &CgroupId) -> Option<&str> {
        let hierarchy = match cgroup.hierarchy.as_str() {
            "v2" => 0,
            name => number(&fs::read_to_string(root.join("proc/cgroups")).unwrap_or_default(), name),
        };
        self.known.get(&(hierarchy, cgroup.id)).map(String::as_str)
    }

    /// The paths in `/proc/PID/cgroup`, one per hierarchy (cgroups(7): `ID:controllers:path`); those that are
    /// remembered when the task is gone.
    pub fn paths(&self, root: &Root, task: &Task) -> Vec<String> {
        let Ok(text) = fs::read_to_string(root.join(format!("proc/{}/cgroup", task.pid))) else {
            return task.cgroups.iter().filter_map(|c| self.path(root, c)).map(str::to_owned).collect();
        };
        text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).map(str::to_string).collect()
    }
}

/// What tasks in a cgroup carry: its number in each hierarchy that it is in.
pub fn ids_of(root: &Root, made: &Made) -> Vec<CgroupId> {
    let id = |hierarchy: &str| CgroupId { hierarchy: hierarchy.into(), id: made.id };
    if made.hierarchy == 0 {
        return vec![id("v2")];
    }
    let numbers = fs::read_to_string(root.join("proc/cgroups")).unwrap_or_default();
    let of = |controller: &&&str| number(&numbers, controller) == made.hierarchy;
    diag_abi::CONTROLLERS.iter().filter(of).map(|controller| id(controller)).collect()
}

/// The number of a controller's hierarchy in `/proc/cgroups` (`name hierarchy cgroups enabled`): 0, which is v2,
/// also when it is not listed.
fn number(table: &str, controller: &str) -> u32 {
    table
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .find_map(|(name, rest)| (name == controller).then(|| rest.split('\t').next()?.parse().ok())?)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t7\t3\t1\npids\t9\t2\t1\n";

    fn machine() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        fs::write(dir.path().join("proc/7/cgroup"), "8:pids:/docker/ab\n0::/a:b\n").unwrap();
        fs::write(dir.path().join("proc/cgroups"), TABLE).unwrap();
        let root = Root::at(dir.path());
        (dir, root)
    }

    fn pids(id: u64) -> CgroupId {
        CgroupId { hierarchy: "pids".into(), id }
    }

    #[test]
    fn the_living_are_asked_and_the_dead_remembered() {
        let (_dir, root) = machine();
        let mut names = Names::default();
        names.learn(Made { hierarchy: 9, id: 40, path: "/docker/cd".into() });
        names.learn(Made { hierarchy: 0, id: 40, path: "/elsewhere".into() });
        let task = |pid| Task { pid, cgroups: vec![pids(40)], ..Task::default() };
        assert_eq!(names.paths(&root, &task(7)), ["/docker/ab", "/a:b"]);
        assert_eq!(names.paths(&root, &task(8)), ["/docker/cd"]);
        assert_eq!(names.path(&root, &pids(41)), None);
    }

    #[test]
    fn a_new_one_has_the_ids_that_its_tasks_carry() {
        let (_dir, root) = machine();
        let of = |hierarchy| ids_of(&root, &Made { hierarchy, id: 40, path: "/x".into() });
        assert_eq!(of(9), [pids(40)]);
        assert_eq!(of(7)[0].hierarchy, "cpuset");
        assert_eq!(of(0), [CgroupId { hierarchy: "v2".into(), id: 40 }]);
        assert_eq!(of(3), []);
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let (_dir, root) = machine();
        let mut names = Names::default();
        for id in 1..=MOST as u64 + 1 {
            names.learn(Made { hierarchy: 9, id, path: format!("/{id}") });
        }
        assert_eq!(names.path(&root, &pids(1)), None);
        assert_eq!(names.path(&root, &pids(2)), Some("/2"));
        assert_eq!(names.known.len(), MOST);
    }

    #[test]
    fn those_that_exist_are_found_in_every_hierarchy() {
        let (dir, root) = machine();
        for folder in ["pids/docker/ab", "unified/system.slice", "net_cls/ignored"] {
            fs::create_dir_all(dir.path().join("sys/fs/cgroup").join(folder)).unwrap();
        }
        let names = Names::existing(&root);
        let mut known: Vec<_> = names.known.iter().map(|((h, _), path)| (*h, path.as_str())).collect();
        known.sort_unstable();
        assert_eq!(known, [(0, "/system.slice"), (9, "/docker"), (9, "/docker/ab")]);
    }
}
