//! The bundled engine's own event log as a source: identities that outlive their containers, and the
//! steps that failed.

use crate::model::{
    Abi, Arg, ArgValue, CgroupId, Container, ContainerEvent, EngineStep, EngineWord, Errno, Failure,
    FailureKind, Stamp, Task,
};
use container_core::events::{Event, EventKind, Follow};
use std::path::Path;

/// The engine's name in reports.
pub const ENGINE: &str = "diag";

/// Follows the event log of one store.
#[derive(Debug)]
pub struct EngineLog {
    follow: Follow,
}

impl EngineLog {
    /// From the first event that is kept: containers that run already keep their names.
    pub fn open(root: &Path) -> Self {
        Self { follow: Follow::from_start(root) }
    }

    /// What the engine wrote since the last call. A log that cannot be read tells nothing.
    pub fn read_new(&mut self) -> Vec<EngineWord> {
        match self.follow.read_new() {
            Ok(log) => log.events.iter().filter_map(word_of).collect(),
            Err(e) => {
                tracing::warn!("the engine's event log cannot be read: {e}");
                Vec::new()
            }
        }
    }
}

/// The failure that a step tells of, where no probe saw its system call: who, what and the object, without the
/// call's arguments.
pub fn failure_of(step: &EngineStep) -> Failure {
    let object = Arg { name: "object".into(), value: ArgValue::Text(step.object.clone()) };
    Failure {
        time: step.time,
        task: Task { pid: step.pid, tid: step.pid, comm: ENGINE.into(), ..Task::default() },
        kind: FailureKind::Syscall {
            name: step.syscall.clone(),
            nr: 0,
            abi: Abi::Native,
            errno: step.errno,
            args: vec![object],
        },
        readings: vec![],
    }
}

fn word_of(event: &Event) -> Option<EngineWord> {
    let time =
        Stamp { mono_ns: event.monotonic_ns, unix_ns: i64::try_from(event.time_unix_ns).unwrap_or(i64::MAX) };
    if let EventKind::StepFailed { error, .. } = &event.kind {
        return Some(EngineWord::Step(EngineStep {
            time,
            container_id: event.container.id.clone(),
            step: error.step.to_string(),
            syscall: error.syscall.clone(),
            object: error.object.clone(),
            errno: Errno(error.errno),
            pid: u32::try_from(error.pid).unwrap_or(0),
        }));
    }
    let mut out = ContainerEvent {
        time,
        container: Container {
            engine: ENGINE.into(),
            id: event.container.id.clone(),
            name: Some(event.container.name.clone()),
            image: Some(event.container.image.clone()),
            cgroup: None,
            state: None,
        },
        cgroups: vec![],
        engine_pid: u32::try_from(event.engine_pid).ok(),
        init_pid: None,
        paths: vec![format!("/containers/{}/", event.container.id)],
        what: String::new(),
    };
    out.what = match &event.kind {
        EventKind::Created { .. } => "created".into(),
        EventKind::Cgroup { cgroups } => {
            out.cgroups =
                cgroups.iter().map(|c| CgroupId { hierarchy: c.hierarchy.clone(), id: c.id }).collect();
            out.container.cgroup = Some(format!("/diag/{}", event.container.id));
            "starting".into()
        }
        EventKind::Started { pid, .. } => {
            out.init_pid = u32::try_from(*pid).ok();
            "running".into()
        }
        EventKind::Exited { exit, oom_killed } => {
            let oom = if *oom_killed { ", out of memory" } else { "" };
            match (exit.code, exit.signal) {
                (Some(code), _) => format!("exited ({code}{oom})"),
                (None, Some(signal)) => format!("killed (signal {signal}{oom})"),
                (None, None) => "exited (nobody saw how)".into(),
            }
        }
        EventKind::Restarting { restarts, .. } => format!("restarting (time {restarts})"),
        EventKind::Removed => "removed".into(),
        EventKind::StepFailed { .. } | EventKind::Unknown => return None,
    };
    out.container.state = Some(out.what.clone());
    Some(EngineWord::Container(out))
}
