//! Who started whom: the processes above a failed one, as far as they still live.

use crate::limits::read::Root;
use crate::model::Task;
use std::fs;

/// Engines put at most this many processes between themselves and a container's first.
const MOST: usize = 8;

/// One process, nearest first in a lineage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    pub pid: u32,
    pub comm: String,
    pub words: Vec<String>,
    /// The working folder: a containerd shim's is its container's bundle.
    pub folder: String,
}

/// The failed process and those above it. The probe's own word for the parent is used where the process is gone.
pub fn lineage(root: &Root, task: &Task) -> Vec<Process> {
    let mut out = Vec::new();
    let mut pid = if root.join(format!("proc/{}/comm", task.pid)).exists() { task.pid } else { task.ppid };
    while out.len() < MOST && pid > 1 {
        let folder = root.join(format!("proc/{pid}"));
        let Ok(comm) = fs::read_to_string(folder.join("comm")) else { break };
        let line = fs::read(folder.join("cmdline")).unwrap_or_default();
        let cwd = fs::read_link(folder.join("cwd")).unwrap_or_default();
        let comm = comm.trim_end_matches('\n').to_owned();
        out.push(Process { pid, comm, words: words(&line), folder: cwd.display().to_string() });
        pid = parent(&fs::read_to_string(folder.join("stat")).unwrap_or_default());
    }
    out
}

/// `/proc/PID/cmdline`: words with a NUL behind each.
pub(super) fn words(line: &[u8]) -> Vec<String> {
    let words = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
    let mut words: Vec<String> = words.collect();
    // The last NUL ends a word and begins none.
    if words.last().is_some_and(String::is_empty) {
        words.pop();
    }
    words
}

/// The fourth field of proc_pid_stat(5), counted behind the command's name, which may hold anything.
fn parent(stat: &str) -> u32 {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    rest.split_whitespace().nth(1).and_then(|ppid| ppid.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lineage_goes_up_to_init_and_begins_at_the_parent_of_the_dead() {
        let dir = tempfile::tempdir().unwrap();
        for (pid, ppid, comm) in [(30, 20, "runc:[2:INIT]"), (20, 10, "runc"), (10, 1, "containerd-shim")] {
            let folder = dir.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
            fs::write(folder.join("cmdline"), format!("{comm}\0a b\0\0")).unwrap();
            fs::write(folder.join("stat"), format!("{pid} ({comm}) S {ppid} 1 1")).unwrap();
        }
        let root = Root::at(dir.path());
        let pids = |pid, ppid| -> Vec<u32> {
            lineage(&root, &Task { pid, ppid, ..Task::default() }).iter().map(|p| p.pid).collect()
        };
        assert_eq!(pids(30, 20), [30, 20, 10]);
        assert_eq!(pids(31, 20), [20, 10]);
        assert_eq!(
            lineage(&root, &Task { pid: 10, ..Task::default() })[0].words,
            ["containerd-shim", "a b", ""]
        );
    }
}
