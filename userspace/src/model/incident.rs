//! The observations that tell one story.

use super::{
    Container, Cost, Errno, Fact, Failure, Graph, GraphSource, Host, Owner, Prototype, Reading, Stamp, State,
    Suspect,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A named step of an engine that failed, as the engine itself reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineStep {
    pub time: Stamp,
    pub container_id: String,
    /// In words: `mount overlay rootfs`.
    pub step: String,
    pub syscall: String,
    pub object: String,
    pub errno: Errno,
    pub pid: u32,
}

/// The kernel path of the failure, and a successful relative to hold it against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphEvidence {
    pub source: GraphSource,
    pub failed: Graph,
    /// Successful calls of the same syscall, nearest first.
    pub succeeded: Vec<Graph>,
    /// Of the functions in `failed` whose returns were recorded, by the name in the graph.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub types: BTreeMap<String, Prototype>,
    /// By which return probes it is known what functions returned, and then only of those that were probed: `failed` is
    /// the call that was refused again, after the first had shown its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probes: Option<String>,
}

/// What was lost while watching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Loss {
    pub events_dropped: u64,
    pub graph_overruns: u64,
}

/// One story about one container, or about one engine process on its behalf.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    pub host: Host,
    pub container: Option<Container>,
    pub failure: Failure,
    /// How often the same failure happened, this one included.
    pub count: u64,
    /// The last repetition seen.
    pub last: Stamp,
    pub step: Option<EngineStep>,
    pub graph: Option<GraphEvidence>,
    /// Why there is no graph, when there is none.
    pub no_graph: Option<String>,
    /// Readings by the sampler; those of the instant are in `failure.readings`.
    pub readings: Vec<Reading>,
    pub suspects: Vec<Suspect>,
    pub owners: Vec<Owner>,
    /// States of the objects involved, read again after the failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    pub loss: Loss,
    /// Of the diag that saw it, up to then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

impl Incident {
    /// All readings of a limit, those of the instant first.
    pub fn readings_of<'a>(&'a self, limit: &'a str) -> impl Iterator<Item = &'a Reading> {
        self.failure.readings.iter().chain(&self.readings).filter(move |r| r.limit == limit)
    }

    /// Whether the kernel's own function for this call was seen not to be entered, so that nothing in it refused.
    pub fn never_entered(&self) -> bool {
        let not_entered =
            |fact: &Fact| matches!(fact, Fact::State(state) if state.name == State::NOT_ENTERED);
        self.facts.iter().any(not_entered)
    }

    /// The suspect with this id, if it was read.
    pub fn suspects_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Suspect> {
        self.suspects.iter().filter(move |s| s.id == id)
    }
}
