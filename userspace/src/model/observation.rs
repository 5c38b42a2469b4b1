//! Everything that capture can say, in one list.

use super::{CgroupId, Container, EngineStep, Failure, Graph, Stamp};
use serde::{Deserialize, Serialize};

/// One thing seen, in the order it was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Observation {
    Failure(Failure),
    /// `count` further failures equal to an earlier one: the flood the kernel counted for us.
    Repeated {
        pid: u32,
        cgroup: u64,
        syscall: String,
        errno: super::Errno,
        count: u64,
    },
    Graph(Graph),
    Container(ContainerEvent),
    Step(EngineStep),
    /// Records that the kernel had no room for.
    Lost {
        events: u64,
    },
}

impl Observation {
    /// The failure, if it is one.
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Failure(failure) => Some(failure),
            _ => None,
        }
    }
}

/// Something an engine or the cgroup tree told about a container's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerEvent {
    pub time: Stamp,
    pub container: Container,
    pub cgroups: Vec<CgroupId>,
    /// The engine process that works for it, if one is known.
    pub engine_pid: Option<u32>,
    /// The container's first process, if it has one yet.
    pub init_pid: Option<u32>,
    /// Folders whose appearance in a system call's arguments means this container.
    pub paths: Vec<String>,
    /// What happened, in one word: `created`, `started`, `exited`, `failed`, `removed`, `found`.
    pub what: String,
}
