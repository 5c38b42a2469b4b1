//! `diag explain --graph FILE`: the failed system calls of a trace that somebody recorded, and who decided them.

use crate::{
    capture::saved,
    cli::outcome,
    explain::picture::{self, Asked},
    model::{
        Abi, Availability, CaptureState, Evidence, Failure, FailureKind, Graph, GraphEvidence, GraphSource,
        Host, Incident, Loss, Stamp, Task, entry_of,
    },
};
use anyhow::bail;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;

/// Failures told; what repeats one of them is counted.
const MOST: usize = 200;
/// Successes kept of each call, to hold failures against; as many travel with an incident when diag watches.
const SIBLINGS: usize = 4;
/// Calls of one graph that is kept as a success.
const LARGEST_SIBLING: usize = 20_000;

#[derive(Default)]
struct Found {
    incidents: Vec<Incident>,
    /// By the root's name.
    succeeded: HashMap<String, VecDeque<Graph>>,
    /// Roots that are entries of system calls, and those of them whose result is in the trace.
    calls: u64,
    told: u64,
    left_out: u64,
}

pub(super) fn evidence(file: &Path) -> anyhow::Result<Evidence> {
    let mut found = Found::default();
    let seen = saved::read(file, &mut |graph| found.add(graph))?;
    let file = file.display();
    if found.calls == 0 {
        bail!("{file} holds no whole system call; `diag graph {file}` lists what it holds");
    }
    if found.told == 0 {
        bail!(
            "{file} does not tell what its {} system calls returned: the kernel it is of records no return values \
             (CONFIG_FUNCTION_GRAPH_RETVAL, option funcgraph-retval). `diag graph CALL --from {file}` shows what they \
             did",
            found.calls
        );
    }
    if found.left_out > 0 {
        outcome::say(&format!("{} further failures are left out", found.left_out));
    }
    let loss = Loss { events_dropped: 0, graph_overruns: seen.lost };
    let incidents = found.incidents.into_iter().map(|incident| Incident { loss, ..incident }).collect();
    Ok(Evidence { host: host(), incidents, loss, ..Evidence::default() })
}

fn host() -> Host {
    let only_graph = || Availability::no("a recorded trace is all there is");
    let capture = CaptureState {
        errno_watch: only_graph(),
        function_graph: Availability::yes("recorded"),
        returns: Availability::yes("recorded"),
        ..CaptureState::default()
    };
    Host { diag_version: env!("CARGO_PKG_VERSION").into(), capture, ..Host::default() }
}

impl Found {
    fn add(&mut self, graph: Graph) {
        let Some(call) = entry_of(&graph.root.name).map(str::to_owned) else { return };
        self.calls += 1;
        self.told += u64::from(graph.root.ret.is_some());
        // A system call returns a long: no type is needed.
        let nothing = BTreeMap::new();
        let asked = Asked { what: &call, types: &nothing };
        let Some(errno) = picture::errno(&graph.root, &asked) else {
            let whole = graph.root.ret.is_some() && !graph.root.hole && graph.root.size() <= LARGEST_SIBLING;
            if whole {
                let kept = self.succeeded.entry(graph.root.name.clone()).or_default();
                kept.push_front(graph);
                kept.truncate(SIBLINGS);
            }
            return;
        };
        let time = Stamp { mono_ns: graph.end_ns.unwrap_or(graph.start_ns), unix_ns: 0 };
        let again = |incident: &&mut Incident| {
            incident.failure.syscall() == Some((&call, errno)) && incident.failure.task.comm == graph.comm
        };
        if let Some(incident) = self.incidents.iter_mut().find(again) {
            incident.count += 1;
            incident.last = time;
        } else if self.incidents.len() < MOST {
            let task = Task { pid: graph.tid, tid: graph.tid, comm: graph.comm.clone(), ..Task::default() };
            let kind = FailureKind::Syscall { name: call, nr: 0, abi: Abi::Native, errno, args: Vec::new() };
            let succeeded = self.succeeded.get(&graph.root.name).into_iter().flatten().cloned().collect();
            let evidence = GraphEvidence {
                source: GraphSource::File,
                failed: graph,
                succeeded,
                types: BTreeMap::new(),
                probes: None,
            };
            self.incidents.push(incident(Failure { time, task, kind, readings: Vec::new() }, evidence));
        } else {
            self.left_out += 1;
        }
    }
}

fn incident(failure: Failure, graph: GraphEvidence) -> Incident {
    Incident {
        host: host(),
        container: None,
        last: failure.time,
        failure,
        count: 1,
        step: None,
        graph: Some(graph),
        no_graph: None,
        readings: Vec::new(),
        suspects: Vec::new(),
        owners: Vec::new(),
        facts: Vec::new(),
        loss: Loss::default(),
        cost: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explain;

    fn of(text: &str) -> anyhow::Result<Evidence> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        evidence(file.path())
    }

    fn mount(ret: i64, count: i64) -> String {
        format!(
            " 0)   mount-7    |               |  __x64_sys_mount() {{\n 0)   mount-7    |               |    graft() {{\n \
             0)   mount-7    |   0.100 us    |      count_mounts(); /* = {count} */\n \
             0)   mount-7    |   1.000 us    |    }} /* graft = {count} */\n \
             0)   mount-7    |   9.000 us    |  }} /* __x64_sys_mount = {ret} */\n"
        )
    }

    #[test]
    fn failures_are_found_folded_and_decided() {
        let evidence = of(&(mount(0, 0) + &mount(-28, -28) + &mount(-28, -28))).unwrap();
        assert_eq!(evidence.incidents.len(), 1);
        let incident = &evidence.incidents[0];
        assert_eq!((incident.count, incident.failure.syscall().unwrap().0), (2, "mount"));
        assert_eq!(incident.graph.as_ref().unwrap().succeeded.len(), 1);
        let explanation = explain::explain(evidence, explain::Options::default());
        let path = explanation.incidents[0].path.as_ref().unwrap();
        assert_eq!(path.decider.as_deref(), Some("count_mounts"));
        assert_eq!(path.decider_method.as_deref(), Some("return-value"));
    }

    #[test]
    fn what_a_trace_does_not_tell_is_said() {
        let said = |text: &str| of(text).unwrap_err().to_string();
        assert!(said(" 0)   1.000 us    |  path_mount();\n").contains("no whole system call"));
        assert!(said(" 0)   1.000 us    |  __x64_sys_mount();\n").contains("FUNCTION_GRAPH_RETVAL"));
        assert!(of(&mount(0, 0)).unwrap().incidents.is_empty());
    }
}
