//! A signal that was sent to a frozen process: it waits with the process.

use super::hierarchies;
use crate::capture::clock;
use crate::limits::read::Root;
use crate::model::{Fact, Failure, FailureKind, Killer, State, keyed};
use std::fs;
use std::path::PathBuf;

/// A kill by a process whose target is in a frozen cgroup becomes a stall, with the freezer's state.
///
/// A frozen task of version 1 does not even end by SIGKILL before it is thawed (kernel/freezer.c
/// `__refrigerator()`); one of version 2 does, and keeps every other signal.
pub(super) fn look(root: &Root, failure: &mut Failure) -> Option<Fact> {
    let FailureKind::Killed { signal, by: Killer::Process { .. } } = &failure.kind else { return None };
    let (signal, pid) = (signal.clone(), failure.task.pid);
    let (file, value) = of_process(root, pid, signal == "SIGKILL")?;
    failure.kind = FailureKind::Stall { what: format!("{signal} waits: its cgroup is frozen") };
    Some(Fact::State(State {
        name: "freezer state".into(),
        of: format!("pid {pid}"),
        value,
        source: file.display().to_string(),
        after_ns: clock::mono_ns().saturating_sub(failure.time.mono_ns),
    }))
}

/// The file that shows a process's cgroup frozen, and what it says. A killable freezer is left out on request.
pub(in crate::capture) fn of_process(root: &Root, pid: u32, unkillable: bool) -> Option<(PathBuf, String)> {
    if let Some(folder) = hierarchies::v1(root, pid, "freezer") {
        let file = folder.join("freezer.state");
        let state = fs::read_to_string(&file).unwrap_or_default();
        if ["FROZEN", "FREEZING"].contains(&state.trim()) {
            return Some((file, state.trim().to_string()));
        }
    }
    if unkillable {
        return None;
    }
    let file = hierarchies::v2(root, pid)?.join("cgroup.events");
    let events = fs::read_to_string(&file).ok()?;
    (keyed(&events, "frozen") == Some(1)).then(|| (file, "frozen 1".to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stamp, Task};

    #[test]
    fn a_kill_into_a_frozen_cgroup_waits() {
        let dir = tempfile::tempdir().unwrap();
        let at = |rel: &str| dir.path().join(rel);
        for folder in ["proc/7/root", "proc/self", "f/a"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("proc/7/cgroup"), "3:freezer:/a\n").unwrap();
        fs::write(at("proc/self/mountinfo"), "30 1 0:20 / /f rw - cgroup c rw,freezer\n").unwrap();
        fs::write(at("f/a/freezer.state"), "FROZEN\n").unwrap();
        let by = Killer::Process {
            pid: 3,
            comm: "sh".into(),
            uid: 0,
            cgroups: vec![],
            container: None,
            without_call: false,
        };
        let mut failure = Failure {
            time: Stamp::default(),
            task: Task { pid: 7, tid: 7, ..Task::default() },
            kind: FailureKind::Killed { signal: "SIGKILL".into(), by },
            readings: vec![],
        };
        assert!(look(&Root::at(dir.path()), &mut failure).is_some());
        assert!(matches!(&failure.kind, FailureKind::Stall { what } if what.starts_with("SIGKILL waits")));
        fs::write(at("f/a/freezer.state"), "THAWED\n").unwrap();
        assert_eq!(of_process(&Root::at(dir.path()), 7, true), None);
    }
}
