//! What watching took from the machine.

use serde::{Deserialize, Serialize};

/// The price of diag itself, from its start to the moment this was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// How long was watched, in nanoseconds.
    pub watched_ns: u64,
    /// The programs in the kernel; `None` where the kernel would not measure them.
    pub programs: Option<Programs>,
    /// CPU time of the diag process, user and system, in nanoseconds.
    pub cpu_ns: u64,
    /// The most memory that was resident at once, in bytes.
    pub peak_bytes: u64,
}

/// All programs together, while the kernel's measurement was on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Programs {
    /// For how long it was on: measuring has a price of its own, so a long watch takes samples.
    pub measured_ns: u64,
    pub runs: u64,
    /// CPU time in nanoseconds.
    pub ran_ns: u64,
}

impl Programs {
    /// The share of one processor, in parts of a million.
    pub fn per_million(&self) -> Option<u64> {
        (u128::from(self.ran_ns) * 1_000_000).checked_div(self.measured_ns.into())?.try_into().ok()
    }
}
