//! A task's cgroup path, while the task lives.

use crate::limits::read::Root;
use crate::model::Task;

/// The paths in `/proc/PID/cgroup`, one per hierarchy (cgroups(7): `ID:controllers:path`); empty when the
/// task is gone or is another one by now.
pub fn paths(root: &Root, task: &Task) -> Vec<String> {
    let Ok(text) = std::fs::read_to_string(root.join(format!("proc/{}/cgroup", task.pid))) else {
        return Vec::new();
    };
    text.lines().filter_map(|line| line.splitn(3, ':').nth(2)).map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_per_hierarchy_and_none_for_the_dead() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("proc/7")).unwrap();
        std::fs::write(dir.path().join("proc/7/cgroup"), "8:pids:/docker/ab\n0::/a:b\n").unwrap();
        let root = Root::at(dir.path());
        let task = |pid| Task { pid, ..Task::default() };
        assert_eq!(paths(&root, &task(7)), ["/docker/ab", "/a:b"]);
        assert!(paths(&root, &task(8)).is_empty());
    }
}
