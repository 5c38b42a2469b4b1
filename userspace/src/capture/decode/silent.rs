//! Records of kills: signals, and what stood above the victim.

use super::{Decoded, Decoder, cgroups, text};
use crate::capture::interest;
use crate::capture::kills::{Level, MemoryAbove};
use crate::capture::uring;
use crate::model::{Abi, Errno, Failure, FailureKind, IgnoredSetId, Killer, Stamp, Task};
use diag_abi::{
    IgnoredSetUid, IoUring, KernelKill, LEVEL_CGROUP, LEVEL_LOCK, LEVEL_OOMS, LEVEL_USAGE, MemoryLevel,
    ORIGIN_FORCED, ORIGIN_KERNEL, Party, Signal, WITHOUT_CALL,
};

/// The probes count pages of this size (x86-64).
const PAGE: u64 = 4096;
/// `PAGE_COUNTER_MAX` (include/linux/page_counter.h): no limit.
const NO_LIMIT: u64 = i64::MAX as u64 / PAGE;

impl Decoder {
    pub(super) fn signal(&self, record: &Signal) -> Failure {
        let signal = name(record.signal);
        let kind = match record.origin {
            ORIGIN_FORCED => fault(signal, record),
            ORIGIN_KERNEL => FailureKind::Killed { signal, by: Killer::Kernel },
            _ => FailureKind::Killed { signal, by: process(&record.sender, record.code == WITHOUT_CALL) },
        };
        Failure {
            time: self.stamp(record.header.time_ns),
            task: self.party(&record.target),
            kind,
            readings: vec![],
        }
    }

    pub(super) fn kernel_kill(&self, record: &KernelKill) -> Decoded {
        let failure = self.signal(&record.signal);
        let own = record.signal.sender.pid == record.signal.target.pid;
        let asked = format!("{} (pid {})", text(&record.signal.sender.comm), record.signal.sender.pid);
        Decoded::KernelKill { failure, memory: MemoryAbove { levels: levels(&record.levels), asked, own } }
    }

    pub(super) fn uring(&self, record: &IoUring) -> Failure {
        let op = uring::operation(record.opcode);
        Failure {
            time: self.stamp(record.header.time_ns),
            task: self.party(&record.who),
            kind: FailureKind::IoUring { op, errno: Errno(record.errno as i32), user_data: record.user_data },
            readings: vec![],
        }
    }

    pub(super) fn ignored_set_uid(&self, record: &IgnoredSetUid) -> Failure {
        let program = IgnoredSetId {
            program: text(&record.name),
            mode: record.mode & 0o7777,
            owner: record.owner,
            euid: record.euid,
            no_new_privs: record.no_new_privs == 1,
            nosuid: record.nosuid == 1,
            of_group: record.of_group == 1,
        };
        Failure {
            time: self.stamp(record.header.time_ns),
            task: self.party(&record.who),
            kind: FailureKind::IgnoredSetId(program),
            readings: vec![],
        }
    }

    pub(super) fn stamp(&self, mono_ns: u64) -> Stamp {
        Stamp { mono_ns, unix_ns: self.offset_ns.saturating_add_unsigned(mono_ns) }
    }

    pub(super) fn party(&self, of: &Party) -> Task {
        Task {
            pid: of.pid,
            tid: of.tid,
            ppid: if self.trust.parent { of.ppid } else { 0 },
            uid: of.uid,
            comm: text(&of.comm),
            start_ns: if self.trust.start { of.start_ns } else { 0 },
            cgroups: cgroups(of.cgroup_v2, of.cgroup_v1),
            mnt_ns: None,
            pid_ns: None,
            user_ns: None,
            filters: None,
            net: None,
            credentials: None,
            stack: None,
        }
    }
}

fn process(of: &Party, without_call: bool) -> Killer {
    Killer::Process {
        pid: of.pid,
        comm: text(&of.comm),
        uid: of.uid,
        cgroups: cgroups(of.cgroup_v2, of.cgroup_v1),
        container: None,
        without_call,
    }
}

fn fault(signal: String, record: &Signal) -> FailureKind {
    let is = |number: i32| record.signal == number as u32;
    let (bus, sys) = (is(libc::SIGBUS), is(libc::SIGSYS));
    FailureKind::Fault {
        code: if bus || sys { code(bus, record.code as i32) } else { "by the kernel".into() },
        address: bus.then_some(record.address),
        syscall: sys.then(|| interest::name(record.syscall, Abi::Native)),
        signal,
    }
}

fn name(signal: u32) -> String {
    let known = i32::try_from(signal).ok().and_then(|n| nix::sys::signal::Signal::try_from(n).ok());
    known.map_or_else(|| format!("signal {signal}"), |s| s.as_str().to_owned())
}

/// `si_code` by its name in include/uapi/asm-generic/siginfo.h.
fn code(bus: bool, code: i32) -> String {
    let name = match (bus, code) {
        (true, 1) => "BUS_ADRALN",
        (true, 2) => "BUS_ADRERR",
        (true, 3) => "BUS_OBJERR",
        (true, 4) => "BUS_MCEERR_AR",
        (true, 5) => "BUS_MCEERR_AO",
        (false, 1) => "SYS_SECCOMP",
        (false, 2) => "SYS_USER_DISPATCH",
        _ => return format!("code {code}"),
    };
    name.to_owned()
}

/// The levels with their paths: names joined from the root down, whose own name is empty.
fn levels(records: &[MemoryLevel]) -> Vec<Level> {
    let there: Vec<&MemoryLevel> = records.iter().take_while(|l| l.present & LEVEL_CGROUP != 0).collect();
    let names: Vec<String> = there
        .iter()
        .map(|l| text(l.name.get(..l.name_len as usize).unwrap_or(&l.name)))
        .map(|name| if name == "/" { String::new() } else { name })
        .collect();
    let path = |from: usize| {
        let below_root: Vec<&str> = names[from..].iter().rev().map(String::as_str).collect();
        let joined = below_root.join("/");
        if joined.starts_with('/') { joined } else { format!("/{joined}") }
    };
    there
        .iter()
        .enumerate()
        .map(|(at, l)| {
            let has = |what: u32| l.present & what != 0;
            Level {
                path: path(at),
                usage: has(LEVEL_USAGE).then(|| l.usage.saturating_mul(PAGE)),
                ceiling: (has(LEVEL_USAGE) && l.max < NO_LIMIT).then(|| l.max.saturating_mul(PAGE)),
                ooms: has(LEVEL_OOMS).then_some(l.ooms),
                locked: has(LEVEL_LOCK).then_some(l.lock != 0),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use diag_abi::Record;

    fn level(name: &str, usage: u64, max: u64, lock: u32) -> MemoryLevel {
        let mut level = MemoryLevel::from_bytes(&[0; size_of::<MemoryLevel>()]).unwrap();
        level.present = LEVEL_CGROUP | LEVEL_USAGE | LEVEL_OOMS | LEVEL_LOCK;
        level.name[..name.len()].copy_from_slice(name.as_bytes());
        (level.name_len, level.usage, level.max, level.lock) = (name.len() as u32 + 1, usage, max, lock);
        level
    }

    #[test]
    fn levels_have_paths_from_the_root_down() {
        let nothing = MemoryLevel::from_bytes(&[0; size_of::<MemoryLevel>()]).unwrap();
        let all = [level("ab", 2, 2, 1), level("diag", 9, NO_LIMIT, 0), level("", 9, NO_LIMIT, 0), nothing];
        let seen = levels(&all);
        let paths: Vec<&str> = seen.iter().map(|l| l.path.as_str()).collect();
        assert_eq!(paths, ["/diag/ab", "/diag", "/"]);
        assert_eq!((seen[0].usage, seen[0].ceiling, seen[0].locked), (Some(8192), Some(8192), Some(true)));
        assert_eq!(seen[1].ceiling, None);
    }

    #[test]
    fn codes_have_the_names_of_the_manual() {
        assert_eq!(code(true, 2), "BUS_ADRERR");
        assert_eq!(code(false, 1), "SYS_SECCOMP");
        assert_eq!(code(true, 77), "code 77");
        assert_eq!(name(9), "SIGKILL");
    }
}
