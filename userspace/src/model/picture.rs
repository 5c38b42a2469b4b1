//! A call graph as people look at it: what each call returned in words, and which of them matter.

use super::Errno;
use serde::{Serialize, Serializer};

/// What a call is to the question "why did it fail".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Plain,
    /// On the way on which the error came up.
    Failing,
    /// It first gave the error.
    Decider,
    /// It runs because of the machine's state, not of the call: locks, RCU, allocators, interrupts.
    Noise,
}

/// One call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drawn {
    pub function: String,
    /// `CLOCK_MONOTONIC` at its entry; microseconds where it was read from text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
    /// `ENOSPC`, `0`, `true`, `NULL`, `pointer`; nothing where it returns nothing or was not seen to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
    pub role: Role,
    /// Something is missing below.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub hole: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Drawn>,
}

/// One call of what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Picture {
    pub comm: String,
    pub tid: u32,
    pub cpu: u32,
    /// The error it returned.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "by_name")]
    pub errno: Option<Errno>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decider: Option<String>,
    /// `return-value` or `difference`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decider_method: Option<String>,
    /// Of the answer, or why there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Events known to be lost while it was recorded.
    pub lost: u64,
    pub root: Drawn,
}

/// As in an explanation: `"ENOSPC"`.
fn by_name<S: Serializer>(errno: &Option<Errno>, to: S) -> Result<S::Ok, S::Error> {
    errno.map(Errno::name).serialize(to)
}

/// Of one kind of recorded calls.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Seen {
    pub function: String,
    pub calls: u64,
    /// Those that returned an error, where that was recorded.
    pub failed: u64,
    /// Calls inside them.
    pub inside: u64,
    pub total_ns: u64,
    pub longest_ns: u64,
}

/// One call in two recordings, side by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Compared {
    pub function: String,
    /// Absent where the first recording does not make this call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Side>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Side>,
    /// Both make the same calls below, which return the same.
    pub alike: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Compared>,
}

/// What one recording has of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Side {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned: Option<String>,
    pub role: Role,
}
