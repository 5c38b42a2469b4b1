//! The machine an incident happened on, and what could be seen there.

use serde::{Deserialize, Serialize};

/// Whether a way of looking worked, with the reason of a "no".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Availability {
    Yes { detail: String },
    No { why: String },
}

impl Default for Availability {
    fn default() -> Self {
        Self::No { why: "not tried".into() }
    }
}

impl Availability {
    pub fn yes(detail: impl Into<String>) -> Self {
        Self::Yes { detail: detail.into() }
    }

    pub fn no(why: impl Into<String>) -> Self {
        Self::No { why: why.into() }
    }

    pub fn is_yes(&self) -> bool {
        matches!(self, Self::Yes { .. })
    }
}

/// What was switched on while the incident was captured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CaptureState {
    pub errno_watch: Availability,
    pub function_graph: Availability,
    /// By which rung of the ladder functions' return values are seen.
    #[serde(default)]
    pub returns: Availability,
    /// Readings the probe could take at the instant; `No` names the field that was not resolved.
    pub mount_count: Availability,
    /// Kills and forced signals.
    #[serde(default)]
    pub kills: Availability,
    #[serde(default)]
    pub io_uring: Availability,
    /// Errnos in acknowledgements of netlink, where the system call itself succeeds.
    #[serde(default)]
    pub netlink: Availability,
    /// Daemons of engines that were watched beside one command, by name and pid.
    #[serde(default)]
    pub daemons: Availability,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// `uname -r`.
    pub kernel: String,
    pub diag_version: String,
    pub capture: CaptureState,
}
