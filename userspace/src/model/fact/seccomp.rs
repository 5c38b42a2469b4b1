//! Filters that may have answered for the kernel.

use serde::{Deserialize, Serialize};

/// What a task's seccomp filters say to the failed call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seccomp {
    /// Whose filters were read: the task's own, or those of a living relative.
    pub from: SeccompSource,
    pub pid: u32,
    /// Filters in all, as `Seccomp_filters` in status says (5.9 and later).
    pub filters: Option<u64>,
    /// How it is known that they were there before the call; `None` when it is not.
    pub before: Option<String>,
    /// What each filter that was read answers, the newest first.
    pub answers: Vec<SeccompAnswer>,
    /// Why filters could not be read or run, when they could not.
    pub unread: Option<String>,
    pub after_ns: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompSource {
    /// The thread that failed.
    Task,
    /// Its parent process, which had the very same filters at that instant.
    Inherited,
    /// Another thread or relative, whose filters may differ.
    Relative,
}

/// One filter's verdict on the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeccompAnswer {
    /// 0 is the filter installed last.
    pub filter: u32,
    /// Instructions in it.
    pub length: u32,
    /// `SECCOMP_RET_*` as the program returned it.
    pub value: u32,
    /// Whether it looked at something that is not known exactly: the instruction pointer, a pointer's value.
    pub guessed: bool,
}
