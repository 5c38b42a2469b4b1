//! Where nothing comparable was seen to succeed, successes are made on purpose while the tracer still runs.

use super::Pipeline;
use crate::capture::clock;
use crate::capture::successes::{Helper, Success};
use crate::model::{Graph, Incident};
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the helper may take: deeds have alarms of their own, which add up only where everything hangs.
const MOST: Duration = Duration::from_secs(60);
/// Between two looks for graphs: the queue between the tracer's reader and here is bounded.
const LOOK: Duration = Duration::from_millis(5);
/// Successes kept with an incident.
const MOST_OF_ONE: usize = 24;

impl Pipeline {
    /// Gives incidents successes to be held against. Without any they stay as they are: then the difference says that
    /// nothing comparable succeeded.
    pub async fn compare(&mut self, incidents: &mut [Incident]) {
        let calls: BTreeSet<String> = incidents
            .iter()
            .filter_map(|incident| called(&incident.graph.as_ref()?.failed.root.name))
            .collect();
        match self.made(&calls).await {
            Ok(made) => incidents.iter_mut().for_each(|incident| give(incident, &made)),
            Err(why) => tracing::debug!("no successes to compare with: {why}"),
        }
    }

    /// Graphs of calls that the helper has made.
    async fn made(&mut self, calls: &BTreeSet<String>) -> Result<Vec<Graph>, String> {
        let Some(tracing) = &mut self.graphs else { return Ok(Vec::new()) };
        let Some(helper) = Helper::start(calls).map_err(|e| e.to_string())? else { return Ok(Vec::new()) };
        tracing.capture.follow(helper.pid()).map_err(|e| e.to_string())?;
        let working = helper.release().map_err(|e| e.to_string())?;
        let begin = clock::mono_ns();
        let late = |since: u64| clock::mono_ns().saturating_sub(since) > MOST.as_nanos() as u64;
        let mut graphs = Vec::new();
        while !working.is_done() && !late(begin) {
            tokio::time::sleep(LOOK).await;
            while let Ok(graph) = tracing.finished.try_recv() {
                graphs.push(graph);
            }
        }
        let (successes, over) = working.end();
        while tracing.capture.read_up_to() <= over && !late(over) {
            tokio::time::sleep(LOOK).await;
        }
        while let Ok(graph) = tracing.finished.try_recv() {
            graphs.push(graph);
        }
        let succeeded = |graph: &Graph| successes.iter().any(|success: &Success| success.is_of(graph));
        graphs.retain(|graph| graph.is_whole() && succeeded(graph));
        tracing::debug!("{} calls made, {} seen whole", successes.len(), graphs.len());
        Ok(graphs)
    }
}

fn give(incident: &mut Incident, made: &[Graph]) {
    let Some(graph) = &mut incident.graph else { return };
    let same = made.iter().filter(|other| other.root.name == graph.failed.root.name);
    graph.succeeded.extend(same.take(MOST_OF_ONE).cloned());
}

/// `__x64_sys_newfstatat` is the entry of newfstatat.
fn called(root: &str) -> Option<String> {
    let (_, name) = root.split_once("_sys_")?;
    Some(name.to_owned())
}
