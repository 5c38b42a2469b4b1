//! The shapes of the published document, field by field.

use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    pub schema: String,
    pub host: Host,
    pub container: Option<Container>,
    /// Most significant first.
    pub incidents: Vec<Incident>,
    pub loss: Loss,
    /// What watching took; null when nothing was watched.
    pub cost: Option<Cost>,
    /// Of `diag repro --prove`: the way out, tried where the failure happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trial: Option<Trial>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Trial {
    pub cause: String,
    /// The remedy as it is told.
    pub command: String,
    /// What was done of it, and to whom.
    pub done: String,
    /// What the call said just before; and after, null when it succeeded.
    pub before: String,
    pub after: Option<String>,
    /// Reproduced, and the fix works.
    pub works: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Host {
    /// `uname -r`.
    pub kernel: String,
    pub diag: String,
    pub capture: Capture,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Capture {
    pub errno_watch: bool,
    /// `instance`, `top`, or `unavailable: why`.
    pub function_graph: String,
    /// How functions' return values are seen: `funcgraph-retval`, `breakpoint`, or `unavailable: why`.
    pub return_values: String,
    /// `yes`, or `unavailable: why`.
    pub mount_count: String,
    /// Kills and forced signals: `yes`, or `unavailable: why`.
    pub kills: String,
    /// Failed operations of io_uring: `yes`, or `unavailable: why`.
    pub io_uring: String,
    /// Errnos in acknowledgements of netlink, which no system call returns: `yes`, or `unavailable: why`.
    pub netlink: String,
    /// Daemons of engines that were watched beside one command: their names and pids, or `unavailable: why`.
    pub daemons: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Container {
    pub id: String,
    pub name: Option<String>,
    pub engine: String,
    pub image: Option<String>,
    pub cgroup: Option<String>,
    pub state: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Incident {
    /// RFC 3339, UTC.
    pub time: String,
    pub count: u64,
    pub container: Option<Container>,
    pub failure: Failure,
    pub path: Option<Path>,
    /// The user side of the path; null where it was not looked for.
    pub called_from: Option<CalledFrom>,
    /// Best first; empty when no cause is known.
    pub findings: Vec<Finding>,
    pub ruled_out: Vec<RuledOut>,
    pub owners: Vec<Owner>,
    /// For an unknown cause: what would raise the answer.
    pub next: Vec<String>,
    /// What the user was told of this failure; null when nothing that was said fits.
    pub told: Option<Told>,
}

/// A sentence of an engine or a command, and the way from there to the system call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Told {
    pub by: String,
    pub text: String,
    /// What the user saw first, the system call and the function that decided last.
    pub links: Vec<String>,
    /// False where the engine lost or replaced the kernel's errno.
    pub keeps_errno: bool,
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Failure {
    Syscall {
        /// The x86-64 table's name.
        syscall: String,
        errno: String,
        /// Negative, as the kernel returned it.
        ret: i32,
        args: BTreeMap<String, serde_json::Value>,
        pid: u32,
        tid: u32,
        ppid: u32,
        uid: u32,
        comm: String,
        /// The engine's step, when the engine named one.
        step: Option<String>,
    },
    Killed {
        /// `SIGKILL`, `SIGTERM`.
        signal: String,
        by: Killer,
        pid: u32,
        tid: u32,
        ppid: u32,
        uid: u32,
        comm: String,
    },
    /// Nothing failed, and nothing went on either: a frozen or slowed cgroup.
    Stall {
        what: String,
        pid: u32,
        tid: u32,
        ppid: u32,
        uid: u32,
        comm: String,
    },
    /// A call succeeded, and did less than it was for: a set-user-ID bit without effect.
    Silent {
        what: String,
        pid: u32,
        tid: u32,
        ppid: u32,
        uid: u32,
        comm: String,
    },
    #[serde(rename = "io_uring")]
    IoUring {
        /// `openat`, `write`, …
        op: Option<String>,
        errno: String,
        /// Negative, as the completion has it.
        ret: i32,
        /// The application's own mark, in hexadecimal.
        user_data: String,
        pid: u32,
        tid: u32,
        ppid: u32,
        uid: u32,
        comm: String,
    },
    /// A request by netlink, whose errno came back in its acknowledgement: the call that sent it succeeded.
    Netlink {
        /// `NETLINK_ROUTE`.
        protocol: String,
        /// `RTM_NEWLINK`, …
        request: String,
        errno: String,
        /// Negative, as the acknowledgement has it.
        ret: i32,
        /// The kernel's own sentence, where it gave one.
        message: Option<String>,
        /// The interface the request names.
        interface: Option<String>,
        pid: u32,
        tid: u32,
        ppid: u32,
        uid: u32,
        comm: String,
    },
    Fault {
        /// `SIGBUS`, `SIGSYS`.
        signal: String,
        /// `BUS_ADRERR`, `SYS_SECCOMP`, …
        code: String,
        /// What was touched, in hexadecimal.
        address: Option<String>,
        /// The system call that was not allowed.
        syscall: Option<String>,
        pid: u32,
        tid: u32,
        ppid: u32,
        uid: u32,
        comm: String,
    },
    UserspaceText {
        text: String,
        process: String,
    },
}

#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "who", rename_all = "kebab-case")]
pub enum Killer {
    Process {
        pid: u32,
        comm: String,
        uid: u32,
        /// The container it ran in.
        container: Option<String>,
    },
    /// The kernel's OOM killer.
    Oom {
        /// The memory cgroup it served; null when that is not known, or when it was the whole machine.
        memcg: Option<String>,
        /// Who asked for memory.
        asked: String,
    },
    /// The end of the pid namespace that it was in.
    Init {
        /// Its first process, which ended.
        init: String,
    },
    Kernel,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Path {
    /// `function_graph`, `stack`, `none`.
    pub source: String,
    /// Outermost first, the decider last when it is known.
    pub functions: Vec<String>,
    pub decider: Option<String>,
    /// `return-value`, `difference`, `catalogue`.
    pub decider_method: Option<String>,
    pub note: Option<String>,
    /// What functions on the path and those they called returned, in the order of ending: an errno is negative, a
    /// bool 0 or 1, NULL is 0. Empty where return values cannot be had.
    pub returns: Vec<Returned>,
}

/// Which of the process's own code made the call.
#[derive(Debug, Serialize, JsonSchema)]
pub struct CalledFrom {
    /// Innermost first.
    pub frames: Vec<Frame>,
    /// What is missing, and why.
    pub note: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Frame {
    /// Null where there are no symbols.
    pub function: Option<String>,
    /// Bytes from the function's start.
    pub offset: Option<u64>,
    /// The file that holds the code, as the process calls it.
    pub module: Option<String>,
    /// The place in that file, in hexadecimal, as its symbols count.
    pub at: Option<String>,
    pub build_id: Option<String>,
    /// In the process's memory, in hexadecimal.
    pub address: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Returned {
    pub function: String,
    pub value: i64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Finding {
    pub cause: String,
    pub title: String,
    pub sentence: String,
    /// `proven`, `likely`, `possible`.
    pub confidence: String,
    pub knob: Knob,
    pub limit: Option<u64>,
    pub usage: Option<u64>,
    pub unit: String,
    pub evidence: Vec<String>,
    pub missing: Vec<String>,
    pub remedy: Vec<Remedy>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Knob {
    /// `sysctl`, `cgroup`, `rlimit`, `mount-option`, `capability`, `seccomp`, `lsm`, `file`, `other`.
    pub kind: String,
    pub name: String,
    pub path: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Remedy {
    pub when: String,
    pub command: String,
    pub effect: String,
    pub undo: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct RuledOut {
    pub suspect: String,
    pub reading: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Owner {
    pub limit: String,
    pub name: String,
    pub amount: u64,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Loss {
    pub events_dropped: u64,
    pub graph_overruns: u64,
}

/// The price of diag itself, until this report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cost {
    pub watched_seconds: f64,
    /// Null where the kernel would not measure them.
    pub programs: Option<Programs>,
    /// User and system time of the diag process.
    pub cpu_seconds: f64,
    pub peak_memory_bytes: u64,
}

/// diag's BPF programs together, while the kernel's run statistics were on.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Programs {
    pub measured_seconds: f64,
    pub runs: u64,
    pub nanoseconds: u64,
    /// Of one processor, 1 being all of it.
    pub share: Option<f64>,
}
