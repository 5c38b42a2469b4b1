//! After the fact, when no watch was running: what engines themselves remember of a container, what the kernel still
//! counts, and how its limits are now.
//!
//! Nothing of this was read at that instant, so nothing of it can prove (`explain` lowers it): a limit that is exceeded
//! now speaks for a cause, and one that is not does not speak against it.

mod counters;

use super::cgroups::Names;
use super::engine::{EngineLog, failure_of};
use super::engines::{Remembered, spoken};
use super::kernel_log::{self, OomKill};
use super::{clock, sampler};
use crate::limits::memory::MEMORY_MAX;
use crate::limits::read::Root;
use crate::model::{
    Abi, Arg, ArgValue, Availability, CaptureState, Container, EngineStep, EngineWord, Evidence, Failure,
    FailureKind, Host, Incident, Killer, Loss, OomWitness, Reading, Said, Stamp, Taken, Task,
};
use std::collections::HashMap;

/// The newest container of that name or id in the bundled engine, with its failed steps as incidents.
pub fn evidence(target: &str, log: &mut EngineLog) -> Option<Evidence> {
    let mut containers: HashMap<String, Container> = HashMap::new();
    let mut newest: Option<String> = None;
    let mut steps: Vec<EngineStep> = Vec::new();
    for word in log.read_new() {
        match word {
            EngineWord::Container(event) => {
                let c =
                    containers.entry(event.container.id.clone()).or_insert_with(|| event.container.clone());
                c.state = event.container.state.or(c.state.take());
                c.cgroup = event.container.cgroup.or(c.cgroup.take());
                let named = c.name.as_deref() == Some(target);
                if named || (target.len() >= 4 && c.id.starts_with(target)) {
                    newest = Some(c.id.clone());
                }
            }
            EngineWord::Step(step) => steps.push(step),
        }
    }
    let container = containers.remove(&newest?)?;
    let host = host();
    let incidents = steps
        .into_iter()
        .rev()
        .filter(|s| s.container_id == container.id)
        .map(|step| Incident { step: Some(step.clone()), ..incident(&host, &container, failure_of(&step)) })
        .collect();
    Some(Evidence { host, container: Some(container), incidents, ..Evidence::default() })
}

/// What another engine remembers, as evidence.
pub fn of_engine(root: &Root, remembered: &Remembered) -> Evidence {
    let host = host();
    let mut container = remembered.container.clone();
    let kills = kernel_log::kills_of(&container.id);
    container.cgroup = kills.last().and_then(|kill| kill.cgroup.clone());
    let mut incidents = Vec::new();
    if let Some(error) = &remembered.error {
        incidents.extend(by_its_words(root, &host, &container, remembered, error));
    }
    if let Some(failure) = out_of_memory(remembered, kills.last()) {
        incidents.push(incident(&host, &container, failure));
    }
    if let Some(pid) = remembered.pid {
        for (count, failure) in counters::look(root, pid) {
            incidents.push(Incident { count, ..incident(&host, &container, failure) });
        }
    }
    let said = said_of(remembered).into_iter().collect();
    Evidence { host, container: Some(container), incidents, said, ..Evidence::default() }
}

/// An engine's last error about a container, as its user may have seen it.
pub fn said_of(remembered: &Remembered) -> Option<Said> {
    let container = &remembered.container;
    let text = remembered.error.clone()?;
    Some(Said { by: container.engine.clone(), text, container: Some(container.id.clone()), engine: true })
}

/// The system call that the engine's error speaks of, with the limits as they are now.
fn by_its_words(
    root: &Root,
    host: &Host,
    container: &Container,
    remembered: &Remembered,
    error: &str,
) -> Option<Incident> {
    let spoken = spoken(error)?;
    let time = stamp(remembered.unix_ns);
    // Only what can be seen of the daemon's own namespaces is still there.
    let daemon = super::engines::daemons(root).into_iter().find(|daemon| match container.engine.as_str() {
        "docker" => daemon.comm == "dockerd",
        engine => daemon.comm == engine,
    });
    let pid = daemon.as_ref().map_or(0, |daemon| daemon.pid);
    let comm = daemon.map_or_else(|| container.engine.clone(), |daemon| daemon.comm);
    let arg = Arg { name: "target".into(), value: ArgValue::Text(spoken.object.clone()) };
    let mut failure = Failure {
        time,
        task: Task { pid, tid: pid, comm, ..Task::default() },
        kind: FailureKind::Syscall {
            name: spoken.syscall.into(),
            nr: 0,
            abi: Abi::Native,
            errno: spoken.errno,
            args: if spoken.object.is_empty() { vec![] } else { vec![arg] },
        },
        readings: vec![],
    };
    let sampled = sampler::sample(root, &Names::default(), &mut failure);
    let exceeded = |reading: &Reading| reading.exceeded() == Some(true);
    failure.readings.clear();
    let step = EngineStep {
        time,
        container_id: container.id.clone(),
        step: spoken.step,
        syscall: spoken.syscall.into(),
        object: spoken.object,
        errno: spoken.errno,
        pid,
    };
    let readings = sampled.readings.into_iter().filter(exceeded).collect();
    Some(Incident { step: Some(step), readings, ..incident(host, container, failure) })
}

/// The OOM killer, by the engine's flag or by the kernel's log. That it ended the container's first process is what
/// both are about.
fn out_of_memory(remembered: &Remembered, kill: Option<&OomKill>) -> Option<Failure> {
    if !remembered.oom_killed && kill.is_none() {
        return None;
    }
    let scope = kill.and_then(|kill| kill.served.clone()).unwrap_or_else(|| {
        match remembered.container.engine.as_str() {
            "docker" => format!("/docker/{}", remembered.container.id),
            _ => remembered.container.id.clone(),
        }
    });
    let ceiling = remembered.memory_max;
    let reading = Reading {
        limit: MEMORY_MAX.id.into(),
        scope: scope.clone(),
        ceiling,
        usage: None,
        adds: None,
        hits: None,
        unit: MEMORY_MAX.unit.into(),
        taken: Taken::After { ns: 0 },
        source: format!("{}'s configuration of the container", remembered.container.engine),
    };
    let witness = kill.map(|_| OomWitness::Log);
    let pid = kill.map_or(0, |kill| kill.pid);
    let comm = kill.map_or_else(|| "its first process".to_owned(), |kill| kill.comm.clone());
    Some(Failure {
        time: kill.map_or_else(|| stamp(remembered.unix_ns), |kill| at(kill.mono_ns)),
        task: Task { pid, tid: pid, comm, ..Task::default() },
        kind: FailureKind::Killed {
            signal: "SIGKILL".into(),
            by: Killer::Oom { cgroup: Some(scope), witness, asked: "nobody now knows who".into() },
        },
        readings: vec![reading],
    })
}

/// The instant of a time of day, on the kernel's clock as well.
fn stamp(unix_ns: i64) -> Stamp {
    let now = clock::now();
    let ago = u64::try_from(now.unix_ns.saturating_sub(unix_ns)).unwrap_or(0);
    Stamp { mono_ns: now.mono_ns.saturating_sub(ago), unix_ns }
}

fn at(mono_ns: u64) -> Stamp {
    let now = clock::now();
    let ago = i64::try_from(now.mono_ns.saturating_sub(mono_ns)).unwrap_or(0);
    Stamp { mono_ns, unix_ns: now.unix_ns.saturating_sub(ago) }
}

fn host() -> Host {
    let not_running = || Availability::no("no watch was running when it failed");
    Host {
        kernel: nix::sys::utsname::uname()
            .map(|u| u.release().to_string_lossy().into_owned())
            .unwrap_or_default(),
        diag_version: env!("CARGO_PKG_VERSION").into(),
        capture: CaptureState {
            errno_watch: not_running(),
            function_graph: not_running(),
            returns: not_running(),
            mount_count: not_running(),
            kills: not_running(),
            io_uring: not_running(),
            netlink: not_running(),
            daemons: not_running(),
        },
    }
}

fn incident(host: &Host, container: &Container, failure: Failure) -> Incident {
    let last = failure.time;
    Incident {
        host: host.clone(),
        container: Some(container.clone()),
        failure,
        count: 1,
        last,
        step: None,
        graph: None,
        no_graph: Some("no watch was running when it failed".into()),
        readings: vec![],
        suspects: vec![],
        owners: vec![],
        facts: vec![],
        loss: Loss::default(),
        cost: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remembered(error: &str) -> Remembered {
        Remembered {
            container: Container { engine: "docker".into(), id: "ab".repeat(32), ..Container::default() },
            error: (!error.is_empty()).then(|| error.to_owned()),
            unix_ns: clock::now().unix_ns - 5_000_000_000,
            ..Remembered::default()
        }
    }

    #[test]
    fn an_error_becomes_the_call_it_speaks_of() {
        let dir = tempfile::tempdir().unwrap();
        let text = "error mounting \"proc\" to rootfs at \"/proc\": mount proc:/proc: no space left on device: unknown";
        let evidence = of_engine(&Root::at(dir.path()), &remembered(text));
        let failure = &evidence.incidents[0].failure;
        assert_eq!(
            failure.syscall().map(|(call, errno)| (call, errno.name())),
            Some(("mount", "ENOSPC".into()))
        );
        assert_eq!(failure.text_arg("target"), Some("/proc"));
        assert_eq!(
            evidence.incidents[0].step.as_ref().unwrap().step,
            "error mounting \"proc\" to rootfs at \"/proc\""
        );
        assert_eq!(evidence.said[0].text, text);
        assert!(!evidence.host.capture.errno_watch.is_yes());
    }

    #[test]
    fn docker_remembers_who_ran_out_of_memory() {
        let dir = tempfile::tempdir().unwrap();
        let mut one = remembered("");
        (one.oom_killed, one.memory_max) = (true, Some(16 << 20));
        let evidence = of_engine(&Root::at(dir.path()), &one);
        let failure = &evidence.incidents[0].failure;
        assert!(matches!(&failure.kind, FailureKind::Killed { by: Killer::Oom { .. }, .. }));
        assert_eq!(failure.readings[0].ceiling, Some(16 << 20));
        assert!(of_engine(&Root::at(dir.path()), &remembered("")).incidents.is_empty());
    }
}
