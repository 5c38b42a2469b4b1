//! The processors and memory of a cgroup.

use serde::{Deserialize, Serialize};

/// The cpuset a task would have entered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpuset {
    /// The cgroup's folder.
    pub path: String,
    /// The file that was written to.
    pub file: String,
    /// Version 1 or 2 of the hierarchy.
    pub version: u8,
    /// The files' texts; `None` when the file is not there or could not be read.
    pub cpus: Option<String>,
    pub mems: Option<String>,
    pub effective_cpus: Option<String>,
    pub effective_mems: Option<String>,
    pub partition: Option<String>,
    /// Whether tasks are in it.
    pub populated: Option<bool>,
    pub after_ns: u64,
}
