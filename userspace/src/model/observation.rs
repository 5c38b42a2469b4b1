//! What capture says beside failures and graphs.

use super::{CgroupId, Container, EngineStep, Errno, Stamp};
use serde::{Deserialize, Serialize};

/// `count` further failures equal to an earlier one: the flood the kernel counted for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repeated {
    pub pid: u32,
    pub syscall: String,
    pub errno: Errno,
    pub count: u64,
}

/// What an engine wrote down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineWord {
    Container(ContainerEvent),
    Step(EngineStep),
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
