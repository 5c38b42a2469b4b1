//! The states of a container and what may happen in each.
//!
//! ```text
//! created ──▶ starting ──▶ running ──▶ exited ──▶ (starting)
//!    │            ├──▶ failed ──────▶ (starting)
//!    │            ├──▶ interrupted ─▶ (starting)      the engine was killed while starting it
//!    │            └──▶ restarting ──▶ starting        running ended, and the restart policy wants it again
//!    └── rm, from every state that is not running or starting; with force from those too
//! ```

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{LaunchError, StepError};
use crate::network::Connection;
use crate::process::ProcessId;

/// Where a container stands. In JSON tagged by `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "kebab-case")]
pub enum State {
    /// Made, never started.
    Created,
    /// Some process is going through the steps of a start.
    Starting {
        /// That process.
        owner: ProcessId,
    },
    /// The workload was executed.
    Running {
        /// The container's first process.
        init: ProcessId,
        /// The process that keeps its log and reaps it; the container ends with it.
        supervisor: ProcessId,
        /// Inode number of its mount namespace, namespaces(7); 0 where /proc did not tell.
        mount_ns: u64,
        /// Where it stands in the bridge network, if it does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        network: Option<Connection>,
        /// When, in nanoseconds since the epoch.
        started_unix_ns: u64,
    },
    /// The workload ended; after a pause it is started again.
    Restarting {
        /// How it ended.
        #[serde(flatten)]
        exit: Exit,
        /// The process that waits.
        supervisor: ProcessId,
        /// Restarts in a row, this one included.
        restarts: u32,
        /// When, in nanoseconds since the epoch.
        next_unix_ns: u64,
    },
    /// The workload ended.
    Exited {
        /// How.
        #[serde(flatten)]
        exit: Exit,
        /// The kernel killed a process of its cgroup because of the memory limit.
        oom_killed: bool,
        /// When it was started, 0 when unknown, in nanoseconds since the epoch.
        started_unix_ns: u64,
        /// When its end was noticed, in nanoseconds since the epoch.
        finished_unix_ns: u64,
        /// Steps of the clean-up that failed; `rm` tries them again.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        cleanup: Vec<StepError>,
    },
    /// A start failed; nothing of it is left but this.
    Failed {
        /// The step, and what could not be undone.
        error: LaunchError,
        /// When, in nanoseconds since the epoch.
        failed_unix_ns: u64,
    },
    /// The engine was killed while starting it; what it left was cleaned up.
    Interrupted {
        /// When that was noticed, in nanoseconds since the epoch.
        noticed_unix_ns: u64,
    },
}

/// How a process ended: an exit code, or a signal, or neither when nobody was left to see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code, 0 to 255.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<i32>,
    /// The signal that ended it, signal(7).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
}

impl Exit {
    /// Ended by exit(2).
    #[must_use]
    pub fn with_code(code: i32) -> Exit {
        Exit { code: Some(code), signal: None }
    }

    /// Ended by a signal.
    #[must_use]
    pub fn by_signal(signal: i32) -> Exit {
        Exit { code: None, signal: Some(signal) }
    }

    /// Nobody saw how: the supervisor was killed.
    #[must_use]
    pub fn unseen() -> Exit {
        Exit::default()
    }

    /// As a shell reports it: the code, 128 + signal, or 255 when unseen.
    #[must_use]
    pub fn shell_code(&self) -> i32 {
        match (self.code, self.signal) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 255,
        }
    }
}

impl State {
    /// One word for lists and errors.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            State::Created => "created",
            State::Starting { .. } => "starting",
            State::Running { .. } => "running",
            State::Restarting { .. } => "restarting",
            State::Exited { .. } => "exited",
            State::Failed { .. } => "failed",
            State::Interrupted { .. } => "interrupted",
        }
    }

    /// Ended, by a run that was cleaned up before.
    pub(crate) fn ended(exit: Exit) -> State {
        let finished_unix_ns = clock::unix_ns();
        State::Exited { exit, oom_killed: false, started_unix_ns: 0, finished_unix_ns, cleanup: Vec::new() }
    }

    /// Whether processes, mounts and cgroups of it may exist, or will.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, State::Starting { .. } | State::Running { .. } | State::Restarting { .. })
    }

    /// Whether the process that answers for a live state is gone, so that nobody will ever end that state.
    pub(crate) fn is_abandoned(&self) -> bool {
        match self {
            State::Starting { owner } => !owner.is_alive(),
            State::Running { supervisor, .. } | State::Restarting { supervisor, .. } => {
                !supervisor.is_alive()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_survive_json() {
        let exited = State::Exited {
            exit: Exit::by_signal(9),
            oom_killed: true,
            started_unix_ns: 1,
            finished_unix_ns: 2,
            cleanup: Vec::new(),
        };
        let json = serde_json::to_string(&exited).unwrap();
        assert_eq!(
            json,
            r#"{"status":"exited","signal":9,"oom_killed":true,"started_unix_ns":1,"finished_unix_ns":2}"#
        );
        assert_eq!(serde_json::from_str::<State>(&json).unwrap(), exited);
        let created = serde_json::to_string(&State::Created).unwrap();
        assert_eq!(created, r#"{"status":"created"}"#);
    }

    #[test]
    fn exits_read_like_a_shell() {
        assert_eq!(Exit::with_code(3).shell_code(), 3);
        assert_eq!(Exit::by_signal(15).shell_code(), 143);
        assert_eq!(Exit::unseen().shell_code(), 255);
    }
}
