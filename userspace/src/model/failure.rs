//! One thing that went wrong, as the kernel showed it.

use super::{
    Abi, Address, CgroupId, Credentials, Errno, FileKind, NetPlace, Netlink, Reading, Socket, UserStack,
    netlink_label,
};
use serde::{Deserialize, Serialize};

/// An instant on both clocks: the kernel's, to join with other kernel events, and the wall's, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Stamp {
    /// `CLOCK_MONOTONIC`, which is `bpf_ktime_get_ns()` and ftrace's `trace_clock=mono`.
    pub mono_ns: u64,
    /// Nanoseconds since 1970, derived from the offset of the two clocks measured at start.
    pub unix_ns: i64,
}

/// Who did it, frozen at the instant of the failure.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Task {
    pub pid: u32,
    pub tid: u32,
    /// 0 when the kernel's offsets could not be resolved.
    pub ppid: u32,
    pub uid: u32,
    pub comm: String,
    /// Boot-time nanoseconds at which the thread group started; with `pid` it names a process for good.
    pub start_ns: u64,
    /// The cgroup in the v2 hierarchy and in each v1 controller that could be read.
    pub cgroups: Vec<CgroupId>,
    /// Inode numbers as shown by `/proc/PID/ns/*`; `None` when not readable on this kernel.
    pub mnt_ns: Option<u32>,
    pub pid_ns: Option<u32>,
    pub user_ns: Option<u32>,
    /// Its seccomp filters; `None` when not readable on this kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Filters>,
    /// Its network namespace; `None` unless the call was one on a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub net: Option<NetPlace>,
    /// What it may do; `None` when not readable on this kernel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Credentials>,
    /// Which of its code made the call; `None` where it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<Box<UserStack>>,
}

/// How a task's calls were filtered (seccomp(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filters {
    /// 0: not at all, 2: by filters.
    pub mode: u32,
    pub count: u32,
    /// They were the very ones that its parent process had.
    pub inherited: bool,
}

/// The file behind a descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenFile {
    pub kind: FileKind,
    /// The last part of its path.
    pub name: String,
    /// Of the file system: `0:45`, as in proc_pid_mountinfo(5).
    pub device: String,
    /// `f_type` of statfs(2).
    pub magic: u64,
    pub inode: u64,
    /// The inode of the folder that holds it; on cgroupfs the cgroup's id.
    pub folder: u64,
}

/// One argument of a system call, named as in its man page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arg {
    pub name: String,
    pub value: ArgValue,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArgValue {
    Number(u64),
    /// A descriptor with what was behind it at that instant.
    Descriptor {
        raw: u64,
        file: OpenFile,
    },
    /// A descriptor of a socket.
    Socket {
        raw: u64,
        socket: Box<Socket>,
    },
    /// An address of a socket.
    Address(Address),
    /// What an argument points to, where it has no words of its own.
    Bytes(Vec<u8>),
    /// Symbolic flags, already in words: `MS_BIND|MS_REC`.
    Flags {
        raw: u64,
        words: String,
    },
    Text(String),
    /// The pointer was NULL.
    Null,
    /// The string could not be read at that instant (not resident): never shown as an empty string.
    Unread,
    /// Held back because it may carry secrets.
    Redacted,
    /// The same, with the address where the caller has it.
    Withheld {
        at: u64,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum FailureKind {
    /// A system call returned an error.
    Syscall { name: String, nr: u32, abi: Abi, errno: Errno, args: Vec<Arg> },
    /// A signal ended the process: there is no errno, and nobody but the kernel knows who did it.
    Killed { signal: String, by: Killer },
    /// The kernel forced a signal on the task for what it did.
    Fault {
        signal: String,
        /// `BUS_ADRERR`, `SYS_SECCOMP`, …: why, as siginfo has it.
        code: String,
        /// The address it touched (SIGBUS).
        address: Option<u64>,
        /// The system call it made (SIGSYS).
        syscall: Option<String>,
    },
    /// An operation of an io_uring completed with an error; no system call returned it.
    IoUring {
        /// `openat`, `write`, …; `None` where the kernel's tracepoint does not tell.
        op: Option<String>,
        errno: Errno,
        user_data: u64,
    },
    /// Nothing failed, and nothing went on either.
    Stall { what: String },
    /// A program was started, and the user that its set-user-ID bit promises was not given.
    IgnoredSetId(IgnoredSetId),
    /// A netlink request was refused in its acknowledgement; the system call that sent it succeeded.
    Netlink(Netlink),
    /// An engine said so in words, and no failing system call was seen for it.
    UserspaceText { text: String, process: String },
}

/// Why a set-user-ID or set-group-ID bit had no effect, as it was at that instant. Users and groups are those of the
/// first user namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IgnoredSetId {
    /// As execve(2) was given it.
    pub program: String,
    pub mode: u32,
    /// The user, or the group, that the bit promises, and the one it runs as.
    pub owner: u32,
    pub euid: u32,
    pub no_new_privs: bool,
    pub nosuid: bool,
    /// It is about the set-group-ID bit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_group: bool,
}

impl IgnoredSetId {
    /// `user` or `group`.
    pub fn whose(&self) -> &'static str {
        if self.of_group { "group" } else { "user" }
    }
}

/// Who sent a signal that ended a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "who", rename_all = "kebab-case")]
pub enum Killer {
    Process {
        pid: u32,
        comm: String,
        uid: u32,
        cgroups: Vec<CgroupId>,
        /// The container it ran in, as people call it.
        container: Option<String>,
        /// Not by kill(2): it wrote to `cgroup.kill`, or it ended and the target had asked for a signal then.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        without_call: bool,
    },
    /// The first process of the target's pid namespace ended, and all others with it.
    Init {
        /// Its name and pid.
        init: String,
    },
    /// The OOM killer.
    Oom {
        /// The memory cgroup it served.
        cgroup: Option<String>,
        /// How that is known. With a witness, no cgroup means that the whole machine was out of memory.
        witness: Option<OomWitness>,
        /// Who asked for the memory that was not there.
        asked: String,
    },
    /// The kernel for another reason, as RLIMIT_CPU.
    Kernel,
}

/// What shows whose memory was used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OomWitness {
    /// The lock that the kernel holds on the cgroup meanwhile.
    Lock,
    /// The kernel's own log line about this kill.
    Log,
}

/// How an operation of an io_uring is called where a system call would have its name.
pub fn uring_label(op: Option<&str>) -> String {
    format!("io_uring {}", op.unwrap_or("operation"))
}

/// A failure with what only that instant could tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub time: Stamp,
    pub task: Task,
    #[serde(flatten)]
    pub kind: FailureKind,
    /// Readings the probe took before the system call returned to user space.
    pub readings: Vec<Reading>,
}

impl Failure {
    /// `(name, errno)` when this is a failed system call.
    pub fn syscall(&self) -> Option<(&str, Errno)> {
        match &self.kind {
            FailureKind::Syscall { name, errno, .. } => Some((name, *errno)),
            _ => None,
        }
    }

    /// What makes it the same failure when it happens again: a word, and the errno where there is one.
    pub fn label(&self) -> (String, Errno) {
        match &self.kind {
            FailureKind::Syscall { name, errno, .. } => (name.clone(), *errno),
            FailureKind::Killed { signal, by } => {
                let by = match by {
                    Killer::Process { comm, .. } => comm.as_str(),
                    Killer::Oom { .. } => "oom",
                    Killer::Init { .. } => "end of the pid namespace",
                    Killer::Kernel => "kernel",
                };
                (format!("{signal} from {by}"), Errno(0))
            }
            FailureKind::Fault { signal, .. } => (signal.clone(), Errno(0)),
            FailureKind::IoUring { op, errno, .. } => (uring_label(op.as_deref()), *errno),
            FailureKind::Stall { what } => (format!("stall: {what}"), Errno(0)),
            FailureKind::IgnoredSetId(ignored) => {
                (format!("set-{}-ID of {}", ignored.whose(), ignored.program), Errno(0))
            }
            FailureKind::Netlink(refused) => (netlink_label(&refused.request), refused.errno),
            FailureKind::UserspaceText { text, .. } => (text.clone(), Errno(0)),
        }
    }

    /// The refused netlink request, when this is one.
    pub fn netlink(&self) -> Option<&Netlink> {
        match &self.kind {
            FailureKind::Netlink(refused) => Some(refused),
            _ => None,
        }
    }

    /// The arguments of the failed system call; empty for other kinds.
    pub fn args(&self) -> &[Arg] {
        match &self.kind {
            FailureKind::Syscall { args, .. } => args,
            _ => &[],
        }
    }

    /// The text of the argument called `name`, when it was read.
    pub fn text_arg(&self, name: &str) -> Option<&str> {
        self.args().iter().find(|a| a.name == name).and_then(|a| match &a.value {
            ArgValue::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The file behind the call's descriptor, where the probe read it.
    pub fn file(&self) -> Option<&OpenFile> {
        self.args().iter().find_map(|a| match &a.value {
            ArgValue::Descriptor { file, .. } => Some(file),
            _ => None,
        })
    }

    /// The numeric value of the argument called `name`.
    pub fn number_arg(&self, name: &str) -> Option<u64> {
        self.args().iter().find(|a| a.name == name).and_then(|a| match &a.value {
            ArgValue::Number(n)
            | ArgValue::Descriptor { raw: n, .. }
            | ArgValue::Socket { raw: n, .. }
            | ArgValue::Flags { raw: n, .. } => Some(*n),
            _ => None,
        })
    }
}
