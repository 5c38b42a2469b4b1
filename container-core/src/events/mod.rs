//! The event log: what the engine did to which container, for programs that ask later, even after `rm`.
//!
//! `<root>/events.jsonl` holds one JSON object per line, appended by a single write and rotated at
//! [`MAX_BYTES`] (one old generation is kept as `events.jsonl.1`). The format is stable: fields and kinds
//! are added, never renamed; a reader ignores what it does not know.
//!
//! ```json
//! {"time_unix_ns":1,"monotonic_ns":1,"container":{"id":"…","name":"web","image":"busybox:latest"},"engine_pid":9,
//!  "kind":"cgroup","cgroups":[{"hierarchy":"v2","path":"/sys/fs/cgroup/diag/…","id":4711}]}
//! ```
//!
//! The `cgroup` event is written before the first mount and before the workload's first instruction, so
//! whoever watches the kernel can tell whose every later event is.

mod read;

pub use read::{EventLog, Follow, read};

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::container::{CgroupRef, ContainerRef};
use crate::error::StepError;
use crate::lifecycle::Exit;
use crate::lines::LineFile;

/// Size at which the log is rotated, in bytes: some twenty thousand events.
pub const MAX_BYTES: u64 = 8 * 1024 * 1024;

/// One line of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// CLOCK_REALTIME, nanoseconds since the epoch.
    pub time_unix_ns: u64,
    /// CLOCK_MONOTONIC, nanoseconds: the clock of kernel tracing. Comparable within one boot.
    #[serde(default)]
    pub monotonic_ns: u64,
    /// Whose.
    pub container: ContainerRef,
    /// The process that wrote the line: the caller, or the supervisor of a detached container.
    pub engine_pid: i32,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What happened; the tag is `kind`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventKind {
    /// The container exists on disk.
    Created {
        /// Its folder.
        bundle: PathBuf,
    },
    /// Its cgroups exist; the next steps are the first mount and the first process.
    Cgroup {
        /// One per hierarchy.
        cgroups: Vec<CgroupRef>,
    },
    /// Its workload was executed.
    Started {
        /// Its first process, in the engine's pid namespace.
        pid: i32,
        /// Inode number of its mount namespace; 0 when unknown.
        mount_ns: u64,
        /// Start time of that process in clock ticks since boot; 0 when unknown.
        start_ticks: u64,
    },
    /// A step failed: of a start, of an exec, or of a clean-up.
    StepFailed {
        /// The step, whole.
        error: StepError,
        /// What failed while cleaning up after it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cleanup: Vec<StepError>,
    },
    /// Its workload ended. Neither code nor signal: nobody saw it end.
    Exited {
        /// How.
        #[serde(flatten)]
        exit: Exit,
        /// The cgroup's own counter says that the kernel killed for memory.
        oom_killed: bool,
    },
    /// Its workload ended and will be started again.
    Restarting {
        /// Restarts in a row, this one included.
        restarts: u32,
        /// The pause before it, in milliseconds.
        after_ms: u64,
    },
    /// It is gone from disk.
    Removed,
    /// A kind that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Where the log of a store lies.
#[must_use]
pub fn path(root: &Path) -> PathBuf {
    root.join("events.jsonl")
}

/// A new event of this process, now.
pub(crate) fn now(container: &ContainerRef, kind: EventKind) -> Event {
    Event {
        time_unix_ns: clock::unix_ns(),
        monotonic_ns: clock::monotonic_ns(),
        container: container.clone(),
        engine_pid: std::process::id() as i32,
        kind,
    }
}

/// Append one event.
pub(crate) fn append(root: &Path, event: &Event) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    LineFile::new(path(root), MAX_BYTES).append(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_format_is_this_one() {
        let container =
            ContainerRef { id: "a".repeat(64), name: "web".into(), image: "busybox:latest".into() };
        let mut event = now(&container, EventKind::Exited { exit: Exit::by_signal(9), oom_killed: true });
        event.time_unix_ns = 5;
        event.monotonic_ns = 6;
        event.engine_pid = 7;
        let json = serde_json::to_string(&event).unwrap();
        let id = "a".repeat(64);
        let expected = format!(
            r#"{{"time_unix_ns":5,"monotonic_ns":6,"container":{{"id":"{id}","name":"web","image":"busybox:latest"}},"engine_pid":7,"kind":"exited","signal":9,"oom_killed":true}}"#
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
    }

    #[test]
    fn kinds_of_a_later_version_are_read_as_unknown() {
        let json = r#"{"time_unix_ns":1,"container":{"id":"x","name":"n","image":"i"},"engine_pid":1,"kind":"paused","why":3}"#;
        assert_eq!(serde_json::from_str::<Event>(json).unwrap().kind, EventKind::Unknown);
    }
}
