//! After the fact, when no watch was running: what the engine itself remembers of a container.

use super::engine::{EngineLog, failure_of};
use crate::model::{Availability, CaptureState, Container, EngineStep, Host, Incident, Loss, Observation};
use std::collections::HashMap;

/// The newest container of that name or id, with its failed steps as incidents. They carry no reading of
/// the instant, so no cause can call itself proven.
pub fn evidence(target: &str, log: &mut EngineLog) -> Option<(Host, Container, Vec<Incident>)> {
    let mut containers: HashMap<String, Container> = HashMap::new();
    let mut newest: Option<String> = None;
    let mut steps: Vec<EngineStep> = Vec::new();
    for observation in log.read_new() {
        match observation {
            Observation::Container(event) => {
                let c =
                    containers.entry(event.container.id.clone()).or_insert_with(|| event.container.clone());
                c.state = event.container.state.or(c.state.take());
                c.cgroup = event.container.cgroup.or(c.cgroup.take());
                let named = c.name.as_deref() == Some(target);
                if named || (target.len() >= 4 && c.id.starts_with(target)) {
                    newest = Some(c.id.clone());
                }
            }
            Observation::Step(step) => steps.push(step),
            _ => {}
        }
    }
    let container = containers.remove(&newest?)?;
    let host = host();
    let incidents = steps
        .into_iter()
        .rev()
        .filter(|s| s.container_id == container.id)
        .map(|step| incident(&host, &container, step))
        .collect();
    Some((host, container, incidents))
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
        },
    }
}

fn incident(host: &Host, container: &Container, step: EngineStep) -> Incident {
    Incident {
        host: host.clone(),
        container: Some(container.clone()),
        failure: failure_of(&step),
        count: 1,
        last: step.time,
        step: Some(step),
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
