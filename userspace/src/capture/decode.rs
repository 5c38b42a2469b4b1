//! Bytes from the ring to observations. Nothing here panics and nothing is guessed: what cannot be
//! understood is counted.

mod credentials;
mod engines;
mod limits;
mod netlink;
mod objects;
mod rlimits;
mod silent;
mod sockets;

use super::cgroups::Made;
use super::engines::Process;
use super::interest;
use super::kills::MemoryAbove;
use super::syscall_args::{self, Text};
use super::values;
use crate::model::{
    Abi, Arg, CallSite, CgroupId, Errno, Failure, FailureKind, Reading, Stamp, Taken, Task, UserStack,
};
use diag_abi::bounds::SLOTS;
use diag_abi::{
    ABI_COMPAT, CONTROLLERS, CgroupMade, EngineEnded, EngineStarted, Header, IgnoredSetUid, IoUring,
    KernelKill, LongString, NetlinkAnswer, OomVictim, PRESENT_CALL_FLAGS, PRESENT_MOUNT_MAX, PRESENT_MOUNTS,
    PRESENT_PENDING, Record, STRING_NULL, STRING_READ, STRING_UNREAD, ShortString, Signal, SyscallFailure,
    SyscallFailureLong, VERSION, kind,
};

/// The id of the limit that the probe reads the usage of.
const MOUNT_MAX: &str = "fs.mount-max";

/// One record, understood.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "lives on the stack between the ring and its reader")]
pub enum Decoded {
    Failure(Failure),
    /// SIGKILL by the kernel, not yet known what for.
    KernelKill {
        failure: Failure,
        memory: MemoryAbove,
    },
    /// The kernel's word that this thread is the OOM killer's victim.
    OomVictim {
        tid: u32,
    },
    CgroupMade {
        made: Made,
        by: u32,
        at_ns: u64,
    },
    EngineStarted {
        process: Process,
        at_ns: u64,
    },
    EngineEnded {
        pid: u32,
        at_ns: u64,
    },
    /// diag's own task as the probes see it.
    SelfCheck(SyscallFailure),
}

/// Which readings of the probes agree with what `/proc` says, and how to word them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// `mnt_namespace.nr_mounts`, or `None` when the count is not to be used.
    pub mounts: Option<String>,
    pub parent: bool,
    pub start: bool,
    pub mnt_ns: bool,
    pub pid_ns: bool,
    pub user_ns: bool,
    pub credentials: bool,
    pub no_new_privs: bool,
    /// The owners of namespaces.
    pub owners: bool,
}

/// Turns records into observations.
#[derive(Debug)]
pub struct Decoder {
    /// Wall clock minus monotonic clock.
    offset_ns: i64,
    pub trust: Trust,
    /// Records of a kind or version that this program does not know.
    pub unknown: u64,
    /// Records shorter than they say.
    pub malformed: u64,
}

impl Decoder {
    pub fn new(offset_ns: i64, trust: Trust) -> Self {
        Self { offset_ns, trust, unknown: 0, malformed: 0 }
    }

    /// One record; `None` when it was counted instead.
    pub fn decode(&mut self, bytes: &[u8]) -> Option<Decoded> {
        let Some(header) = Header::from_bytes(bytes) else {
            self.malformed += 1;
            return None;
        };
        if header.version != VERSION {
            self.unknown += 1;
            return None;
        }
        let decoded = match header.kind {
            kind::SYSCALL => SyscallFailure::from_bytes(bytes).map(|record| {
                let strings = [short(&record.strings[0]), short(&record.strings[1]), None, None];
                Decoded::Failure(self.failure(&record, &strings))
            }),
            kind::SYSCALL_LONG => SyscallFailureLong::from_bytes(bytes).map(|record| {
                let [first, second] = record.plain.strings.each_ref().map(short);
                let strings = [first, second, short(&record.third), long(&record.long)];
                Decoded::Failure(self.failure(&record.plain, &strings))
            }),
            kind::SIGNAL => Signal::from_bytes(bytes).map(|record| Decoded::Failure(self.signal(&record))),
            kind::KERNEL_KILL => KernelKill::from_bytes(bytes).map(|record| self.kernel_kill(&record)),
            kind::IO_URING => IoUring::from_bytes(bytes).map(|record| Decoded::Failure(self.uring(&record))),
            kind::IGNORED_SET_UID => {
                IgnoredSetUid::from_bytes(bytes).map(|record| Decoded::Failure(self.ignored_set_uid(&record)))
            }
            kind::NETLINK => {
                NetlinkAnswer::from_bytes(bytes).map(|record| Decoded::Failure(self.netlink(&record)))
            }
            kind::OOM_VICTIM => {
                OomVictim::from_bytes(bytes).map(|record| Decoded::OomVictim { tid: record.tid })
            }
            kind::CGROUP_MADE => CgroupMade::from_bytes(bytes).map(|record| {
                let path = record.path.get(..record.len as usize).unwrap_or_default();
                let made = Made { hierarchy: record.hierarchy, id: record.id, path: text(path) };
                Decoded::CgroupMade { made, by: record.pid, at_ns: record.header.time_ns }
            }),
            kind::ENGINE_STARTED => EngineStarted::from_bytes(bytes).map(|record| engines::started(&record)),
            kind::ENGINE_ENDED => EngineEnded::from_bytes(bytes)
                .map(|record| Decoded::EngineEnded { pid: record.pid, at_ns: record.header.time_ns }),
            kind::SELF_CHECK => SyscallFailure::from_bytes(bytes).map(Decoded::SelfCheck),
            _ => {
                self.unknown += 1;
                return None;
            }
        };
        if decoded.is_none() {
            self.malformed += 1;
        }
        decoded
    }

    /// How many records could not be understood.
    pub fn lost(&self) -> u64 {
        self.unknown + self.malformed
    }

    fn failure(&self, record: &SyscallFailure, strings: &[Option<Text>; SLOTS]) -> Failure {
        let abi = if record.abi == ABI_COMPAT { Abi::Compat } else { Abi::Native };
        let name = interest::name(record.nr, abi);
        let mut args = syscall_args::describe(&name, abi, &record.args, strings);
        if name == "clone3" && record.present & PRESENT_CALL_FLAGS != 0 {
            args.push(Arg { name: "flags".into(), value: syscall_args::clone3_flags(record.call_flags) });
        }
        objects::describe(record, &name, &mut args);
        // The recipes first: where both know a limit, they have what the call adds.
        let mut readings = values::readings(record, &name, &args);
        readings.extend(self.mounts(record));
        readings.extend(limits::readings(record, &name, &self.trust));
        sockets::describe(record, &mut args);
        let time = Stamp {
            mono_ns: record.header.time_ns,
            unix_ns: self.offset_ns.saturating_add_unsigned(record.header.time_ns),
        };
        Failure {
            time,
            task: self.task(record),
            kind: FailureKind::Syscall { name, nr: record.nr, abi, errno: Errno(record.errno as i32), args },
            readings,
        }
    }

    fn task(&self, record: &SyscallFailure) -> Task {
        let known = |trusted: bool, inode: u32| (trusted && inode != 0).then_some(inode);
        Task {
            pid: record.pid,
            tid: record.tid,
            ppid: if self.trust.parent { record.ppid } else { 0 },
            uid: record.uid,
            comm: text(&record.comm),
            start_ns: if self.trust.start { record.start_ns } else { 0 },
            cgroups: cgroups(record.cgroup_v2, record.cgroup_v1),
            filters: objects::filters(record),
            net: sockets::place(record),
            credentials: credentials::credentials(record, &self.trust),
            mnt_ns: known(self.trust.mnt_ns, record.mnt_ns),
            pid_ns: known(self.trust.pid_ns, record.pid_ns),
            user_ns: known(self.trust.user_ns, record.user_ns),
            stack: call_site(record)
                .map(|site| Box::new(UserStack { site: Some(Box::new(site)), ..UserStack::default() })),
        }
    }

    /// What `count_mounts()` (fs/namespace.c) compares with `fs.mount-max`. Where the probe could not read
    /// the ceiling too, it is the sampler's.
    fn mounts(&self, record: &SyscallFailure) -> Option<Reading> {
        let field = self.trust.mounts.as_ref().filter(|_| record.present & PRESENT_MOUNTS != 0)?;
        let pending = if record.present & PRESENT_PENDING != 0 { record.pending } else { 0 };
        Some(Reading {
            limit: MOUNT_MAX.into(),
            scope: format!("mount namespace {}", record.mnt_ns),
            ceiling: (record.present & PRESENT_MOUNT_MAX != 0).then_some(u64::from(record.mount_max)),
            usage: Some(u64::from(record.mounts) + u64::from(pending)),
            adds: None,
            hits: None,
            unit: "mounts".into(),
            taken: Taken::AtInstant,
            source: field.clone(),
        })
    }
}

/// `None` where the probe saw nothing: a task without memory of its own.
fn call_site(record: &SyscallFailure) -> Option<CallSite> {
    let words = |words: &[u64], len: u32| words.get(..len as usize).unwrap_or(words).to_vec();
    let stack = &record.stack;
    let site = CallSite {
        ip: stack.ip,
        sp: stack.sp,
        bp: stack.bp,
        chain: words(&stack.frames, stack.frames_len),
        top: words(&stack.top, stack.top_len),
        compat: record.abi == ABI_COMPAT,
    };
    (site.ip != 0).then_some(site)
}

/// The cgroups of a task, the v2 one first.
fn cgroups(v2: u64, v1: [u64; CONTROLLERS.len()]) -> Vec<CgroupId> {
    let v2 = (v2 != 0).then(|| CgroupId { hierarchy: "v2".into(), id: v2 });
    let v1 = CONTROLLERS
        .iter()
        .zip(v1)
        .filter(|(_, id)| *id != 0)
        .map(|(controller, id)| CgroupId { hierarchy: (*controller).to_owned(), id });
    v2.into_iter().chain(v1).collect()
}

fn short(string: &ShortString) -> Option<Text> {
    string_of(string.state, string.len, &string.bytes)
}

fn long(string: &LongString) -> Option<Text> {
    string_of(string.state, string.len, &string.bytes)
}

/// A slot's text. A string that filled its slot was cut, and says so.
fn string_of(state: u32, len: u32, bytes: &[u8]) -> Option<Text> {
    match state {
        STRING_NULL => Some(Text::Null),
        STRING_READ => {
            let read = bytes.get(..len as usize).unwrap_or(bytes);
            let mut text = text(read);
            if read.len() == bytes.len() {
                text.push('…');
            }
            Some(Text::Read(text))
        }
        STRING_UNREAD => Some(Text::Unread),
        _ => None,
    }
}

/// Bytes up to the first NUL; what is not UTF-8 is replaced.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(&bytes[..end]).into_owned()
}

#[cfg(test)]
mod tests;
