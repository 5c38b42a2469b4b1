//! What the kernel still counts about a container that runs: forks that its pids limit refused, processes that its
//! memory limit ended. When that was, the counters do not say.

use crate::capture::{clock, sampler::hierarchies};
use crate::limits::memory::MEMORY_MAX;
use crate::limits::read::Root;
use crate::limits::tasks::PIDS_MAX;
use crate::model::{Abi, Errno, Failure, FailureKind, Killer, Reading, Taken, Task};
use std::fs;
use std::path::{Path, PathBuf};

/// What was refused in the cgroups of a container's first process, with how often.
pub(super) fn look(root: &Root, pid: u32) -> Vec<(u64, Failure)> {
    let folder = |controller| hierarchies::v1(root, pid, controller).or_else(|| hierarchies::v2(root, pid));
    let comm = fs::read_to_string(root.join(format!("proc/{pid}/comm"))).unwrap_or_default();
    let task = Task { pid, tid: pid, comm: comm.trim().to_owned(), ..Task::default() };
    let mut out = Vec::new();
    out.extend(folder("pids").and_then(|folder| forks(&folder, &task)));
    out.extend(folder("memory").and_then(|folder| kills(&folder, &task)));
    out
}

/// `pids.events`: `max N` (kernel/cgroup/pids.c), on both versions.
fn forks(folder: &Path, task: &Task) -> Option<(u64, Failure)> {
    let refused = keyed_file(&folder.join("pids.events"), "max").filter(|refused| *refused > 0)?;
    let kind = FailureKind::Syscall {
        name: "clone".into(),
        nr: 0,
        abi: Abi::Native,
        errno: Errno::EAGAIN,
        args: vec![],
    };
    let reading = Reading {
        limit: PIDS_MAX.id.into(),
        scope: folder.display().to_string(),
        ceiling: number(&folder.join("pids.max")),
        usage: number(&folder.join("pids.current")),
        adds: Some(1),
        hits: Some(refused),
        unit: PIDS_MAX.unit.into(),
        taken: Taken::After { ns: 0 },
        source: folder.join("pids.events").display().to_string(),
    };
    // One that has room again says nothing of then.
    let readings = if reading.exceeded() == Some(false) { vec![] } else { vec![reading] };
    Some((refused, Failure { time: clock::now(), task: task.clone(), kind, readings }))
}

/// `oom_kill N`: in memory.events, and on version 1 in memory.oom_control (since Linux 4.13).
fn kills(folder: &Path, task: &Task) -> Option<(u64, Failure)> {
    let files = [folder.join("memory.events"), folder.join("memory.oom_control")];
    let (file, killed) = files.iter().find_map(|file| Some((file, keyed_file(file, "oom_kill")?)))?;
    if killed == 0 {
        return None;
    }
    let either = |v2: &str, v1: &str| number(&folder.join(v2)).or_else(|| number(&folder.join(v1)));
    let scope = folder.display().to_string();
    let reading = Reading {
        limit: MEMORY_MAX.id.into(),
        scope: scope.clone(),
        ceiling: either("memory.max", "memory.limit_in_bytes"),
        usage: either("memory.current", "memory.usage_in_bytes"),
        adds: None,
        hits: Some(killed),
        unit: MEMORY_MAX.unit.into(),
        taken: Taken::After { ns: 0 },
        source: file.display().to_string(),
    };
    let by = Killer::Oom { cgroup: Some(scope), witness: None, asked: "nobody now knows who".into() };
    let kind = FailureKind::Killed { signal: "SIGKILL".into(), by };
    Some((killed, Failure { time: clock::now(), task: task.clone(), kind, readings: vec![reading] }))
}

fn keyed_file(file: &PathBuf, key: &str) -> Option<u64> {
    let text = fs::read_to_string(file).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_with_their_number_and_silence_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        let task = Task::default();
        assert_eq!(forks(at, &task), None);
        for (file, text) in [
            ("pids.events", "max 3\n"),
            ("pids.max", "8\n"),
            ("pids.current", "8\n"),
            ("memory.events", "low 0\nmax 4\noom 1\noom_kill 2\n"),
            ("memory.max", "1024\n"),
        ] {
            fs::write(at.join(file), text).unwrap();
        }
        let (count, failure) = forks(at, &task).unwrap();
        assert_eq!((count, failure.readings[0].ceiling), (3, Some(8)));
        let (count, failure) = kills(at, &task).unwrap();
        assert_eq!((count, failure.readings[0].ceiling), (2, Some(1024)));
        fs::write(at.join("pids.current"), "2\n").unwrap();
        assert!(forks(at, &task).unwrap().1.readings.is_empty(), "room now says nothing of then");
    }
}
