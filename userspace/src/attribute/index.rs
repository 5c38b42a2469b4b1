//! The index: what is known about each container, and the three ways a failure is tied to one.

use super::{recognise, steps::Steps};
use crate::model::{ArgValue, CgroupId, Container, ContainerEvent, EngineStep, Failure, Stamp, Task};
use std::collections::{HashMap, VecDeque};

/// How many containers are remembered; the ones unseen longest are forgotten first.
const MOST_CONTAINERS: usize = 4096;

/// A failure's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    pub container: Container,
    /// `cgroup`, `arguments`, `engine process`.
    pub by: &'static str,
}

#[derive(Debug, Default)]
pub struct Index {
    known: HashMap<String, Known>,
    /// In the order they were last heard of.
    order: VecDeque<String>,
    by_cgroup: HashMap<CgroupId, String>,
    steps: Steps,
}

#[derive(Debug)]
struct Known {
    container: Container,
    cgroups: Vec<CgroupId>,
    paths: Vec<String>,
    engine_pid: Option<u32>,
    init_pid: Option<u32>,
}

impl Index {
    /// Learns from an event; what it does not say stays as it was.
    pub fn learn(&mut self, event: &ContainerEvent) {
        let id = event.container.id.clone();
        let known = self.known.entry(id.clone()).or_insert_with(|| Known {
            container: Container { id: id.clone(), ..Container::default() },
            cgroups: vec![],
            paths: vec![],
            engine_pid: None,
            init_pid: None,
        });
        merge(&mut known.container, &event.container);
        for cgroup in &event.cgroups {
            self.by_cgroup.insert(cgroup.clone(), id.clone());
            if !known.cgroups.contains(cgroup) {
                known.cgroups.push(cgroup.clone());
            }
        }
        known
            .paths
            .extend(event.paths.iter().filter(|p| !known.paths.contains(p)).cloned().collect::<Vec<_>>());
        // Once the container runs, the engine process is free to work for the next one.
        known.engine_pid =
            if event.init_pid.is_some() { None } else { event.engine_pid.or(known.engine_pid) };
        known.init_pid = event.init_pid.or(known.init_pid);
        self.touch(id);
    }

    /// Learns from the cgroup paths of a living task: an engine's shape names the container, and the
    /// task's cgroup ids then lead to it for good.
    pub fn learn_paths(&mut self, task: &Task, paths: &[String]) {
        if task.cgroups.iter().any(|c| self.by_cgroup.contains_key(c)) {
            return;
        }
        let Some((path, found)) = paths.iter().find_map(|p| Some((p, recognise(p)?))) else { return };
        self.learn(&ContainerEvent {
            time: Stamp::default(),
            container: Container {
                engine: found.engine.into(),
                id: found.id,
                cgroup: Some(path.clone()),
                ..Container::default()
            },
            // Id 1 is the root of a hierarchy: everybody's, so nobody's.
            cgroups: task.cgroups.iter().filter(|c| c.id > 1).cloned().collect(),
            engine_pid: None,
            init_pid: None,
            paths: vec![],
            what: "found".into(),
        });
    }

    /// An engine process is at work for this container, and its failure shows it. It is one among many that
    /// this process, or its parent, will work for, so only this failure's process is tied to it.
    pub fn at_work(&mut self, container: Container, failure: &Failure) {
        self.learn(&ContainerEvent {
            time: failure.time,
            container,
            cgroups: vec![],
            engine_pid: Some(failure.task.pid),
            init_pid: None,
            paths: vec![],
            what: "found".into(),
        });
    }

    /// What was found out about a container that is known already.
    pub fn complete(&mut self, container: &Container) {
        if let Some(known) = self.known.get_mut(&container.id) {
            merge(&mut known.container, container);
        }
    }

    /// Remembers a failed step until its system call comes by; `live` says that it should.
    pub fn step(&mut self, step: EngineStep, live: bool) {
        self.steps.told(step, live);
    }

    /// Remembers a failure that the probe saw, for a step that is told later.
    pub fn seen(&mut self, failure: &Failure) {
        self.steps.seen(failure);
    }

    /// Whether a system call of this process failed in the last moments before that time.
    pub fn failed_lately(&self, pid: u32, mono_ns: u64) -> bool {
        self.steps.failed_lately(pid, mono_ns)
    }

    /// Steps whose system call should have been seen by now and was not; each once.
    pub fn overdue(&mut self, now_ns: u64) -> Vec<EngineStep> {
        self.steps.overdue(now_ns)
    }

    /// The step an engine reported for this failure, if it did.
    pub fn step_of(&self, failure: &Failure) -> Option<&EngineStep> {
        self.steps.of(failure)
    }

    /// Who a failure belongs to: its own cgroup, else a folder in its arguments, else the engine process
    /// that is at work for one container.
    pub fn owner(&self, failure: &Failure) -> Option<Owned> {
        let found =
            |id: &String, by| self.known.get(id).map(|k| Owned { container: k.container.clone(), by });
        if let Some(id) = failure.task.cgroups.iter().find_map(|c| self.by_cgroup.get(c)) {
            return found(id, "cgroup");
        }
        if let Some(step) = self.step_of(failure) {
            return found(&step.container_id, "engine process");
        }
        if let Some(id) = self.by_arguments(failure) {
            return found(id, "arguments");
        }
        let engine = [failure.task.pid, failure.task.ppid];
        let mut at_work =
            self.known.iter().filter(|(_, k)| k.engine_pid.is_some_and(|p| engine.contains(&p)));
        match (at_work.next(), at_work.next()) {
            (Some((id, _)), None) => found(id, "engine process"),
            // Two containers in the making: naming either would be a guess.
            _ => None,
        }
    }

    /// The container that these cgroups are.
    pub fn of_cgroups(&self, cgroups: &[CgroupId]) -> Option<&Container> {
        cgroups.iter().find_map(|c| self.by_cgroup.get(c)).and_then(|id| self.get(id))
    }

    /// The container with this id, as known so far.
    pub fn get(&self, id: &str) -> Option<&Container> {
        self.known.get(id).map(|k| &k.container)
    }

    fn by_arguments(&self, failure: &Failure) -> Option<&String> {
        let texts: Vec<&str> = failure
            .args()
            .iter()
            .filter_map(|a| if let ArgValue::Text(t) = &a.value { Some(t.as_str()) } else { None })
            .collect();
        self.known
            .iter()
            .find(|(_, k)| k.paths.iter().any(|p| texts.iter().any(|t| t.contains(p))))
            .map(|(id, _)| id)
    }

    fn touch(&mut self, id: String) {
        self.order.retain(|o| *o != id);
        self.order.push_back(id);
        if self.order.len() > MOST_CONTAINERS
            && let Some(oldest) = self.order.pop_front()
            && let Some(gone) = self.known.remove(&oldest)
        {
            for cgroup in gone.cgroups {
                self.by_cgroup.remove(&cgroup);
            }
        }
    }
}

fn merge(into: &mut Container, from: &Container) {
    if !from.engine.is_empty() {
        into.engine.clone_from(&from.engine);
    }
    for (to, new) in [
        (&mut into.name, &from.name),
        (&mut into.image, &from.image),
        (&mut into.cgroup, &from.cgroup),
        (&mut into.state, &from.state),
    ] {
        if new.is_some() {
            to.clone_from(new);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Abi, Arg, Errno, FailureKind};

    fn event(id: &str, name: &str) -> ContainerEvent {
        ContainerEvent {
            time: Stamp::default(),
            container: Container {
                engine: "diag".into(),
                id: id.into(),
                name: Some(name.into()),
                ..Default::default()
            },
            cgroups: vec![],
            engine_pid: None,
            init_pid: None,
            paths: vec![],
            what: "created".into(),
        }
    }

    fn failure(pid: u32, cgroup: u64, target: &str) -> Failure {
        Failure {
            time: Stamp { mono_ns: 10, unix_ns: 10 },
            task: Task {
                pid,
                tid: pid,
                cgroups: vec![CgroupId { hierarchy: "pids".into(), id: cgroup }],
                ..Task::default()
            },
            kind: FailureKind::Syscall {
                name: "mount".into(),
                nr: 165,
                abi: Abi::Native,
                errno: Errno::ENOSPC,
                args: vec![Arg { name: "target".into(), value: ArgValue::Text(target.into()) }],
            },
            readings: vec![],
        }
    }

    #[test]
    fn cgroup_beats_everything_and_the_dead_keep_their_name() {
        let mut index = Index::default();
        let mut web = event("aaaa", "web-1");
        web.cgroups = vec![CgroupId { hierarchy: "pids".into(), id: 77 }];
        index.learn(&web);
        index.learn(&ContainerEvent { what: "removed".into(), ..event("aaaa", "web-1") });
        let owned = index.owner(&failure(5, 77, "/x")).unwrap();
        assert_eq!((owned.container.label(), owned.by), ("web-1", "cgroup"));
        assert!(index.owner(&failure(5, 78, "/x")).is_none());
    }

    #[test]
    fn overlay_paths_name_the_container_in_the_making() {
        let mut index = Index::default();
        let mut web = event("aaaa", "web-1");
        web.paths = vec!["/containers/aaaa/".into()];
        index.learn(&web);
        let owned = index.owner(&failure(5, 1, "/var/lib/diag/containers/aaaa/rootfs")).unwrap();
        assert_eq!((owned.container.label(), owned.by), ("web-1", "arguments"));
    }

    #[test]
    fn a_cgroup_path_seen_once_names_the_container_for_good() {
        let mut index = Index::default();
        let id = "ab".repeat(32);
        index.learn_paths(&failure(5, 77, "/").task, &["/".into(), format!("/docker/{id}")]);
        let owned = index.owner(&failure(6, 77, "/x")).unwrap();
        assert_eq!((owned.container.engine.as_str(), owned.container.id), ("docker", id));
    }

    #[test]
    fn an_engine_process_at_work_for_two_names_neither() {
        let mut index = Index::default();
        for (id, name) in [("aaaa", "one"), ("bbbb", "two")] {
            index.learn(&ContainerEvent { engine_pid: Some(9), ..event(id, name) });
        }
        assert!(index.owner(&failure(9, 1, "/x")).is_none());
        index.learn(&ContainerEvent { init_pid: Some(70), ..event("aaaa", "one") });
        assert_eq!(index.owner(&failure(9, 1, "/x")).unwrap().container.label(), "two");
    }

    #[test]
    fn a_step_finds_its_system_call() {
        let mut index = Index::default();
        index.learn(&event("aaaa", "web-1"));
        index.step(
            EngineStep {
                time: Stamp { mono_ns: 20, unix_ns: 20 },
                container_id: "aaaa".into(),
                step: "mount proc".into(),
                syscall: "mount".into(),
                object: "/proc".into(),
                errno: Errno::ENOSPC,
                pid: 5,
            },
            true,
        );
        assert_eq!(index.step_of(&failure(5, 1, "/proc")).unwrap().step, "mount proc");
        assert!(index.step_of(&failure(6, 1, "/proc")).is_none());
        assert_eq!(index.owner(&failure(5, 1, "/proc")).unwrap().container.label(), "web-1");
    }
}
