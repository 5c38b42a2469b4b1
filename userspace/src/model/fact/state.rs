//! A state that is one word: a switch, a mode, an option.

use serde::{Deserialize, Serialize};

/// What a switch of the kernel, or one property of an object, was when it was read again.
///
/// For everything that is no number against a ceiling and has no sides to it: `kernel.dmesg_restrict` is `1`,
/// `mount flags` are `ro,nosuid`. Where several words belong together, a fact of its own is clearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The kernel's own name where there is one: `kernel.dmesg_restrict`, `NoNewPrivs`; else a few plain words.
    pub name: String,
    /// Whose state it is, as an argument or a path: `target /proc/sys`; empty for the machine's.
    pub of: String,
    pub value: String,
    /// The file it was read from.
    pub source: String,
    pub after_ns: u64,
}

impl State {
    /// Of a program that was not found: what the same process ran next, because it looked elsewhere too (execvp(3)).
    pub const RAN_INSTEAD: &str = "ran instead";

    /// Of a system call that something answered before the kernel's own function for it was entered.
    pub const NOT_ENTERED: &str = "function of the call";

    /// Those that this machine can have, fixed at its start, whatever a cgroup has of them.
    pub const PROCESSORS: &str = "processors";
    pub const MEMORY_NODES: &str = "memory nodes";

    pub fn not_entered(syscall: &str) -> Self {
        Self {
            name: Self::NOT_ENTERED.into(),
            of: syscall.into(),
            value: "not entered".into(),
            source: "function_graph".into(),
            after_ns: 0,
        }
    }

    /// `of` is the path that was not there.
    pub fn ran_instead(of: &str, program: &str) -> Self {
        Self {
            name: Self::RAN_INSTEAD.into(),
            of: of.into(),
            value: program.into(),
            source: "PERF_RECORD_COMM".into(),
            after_ns: 0,
        }
    }
}
