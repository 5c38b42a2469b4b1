//! Kills by the kernel: what the signal showed is held until the kernel has said what it was for.
//!
//! `__oom_kill_process` (mm/oom_kill.c) sends SIGKILL and then marks its victim, in one go, so the second
//! record follows the first at once. A SIGKILL of the kernel's own that nothing follows is RLIMIT_CPU when
//! the process hit itself; otherwise it is the end of a pid namespace, whose processes go with their init.

use super::kernel_log::Said;
use crate::limits::memory::MEMORY_MAX;
use crate::model::{Failure, FailureKind, Killer, OomWitness, Reading, Taken};

/// How long a kill waits for the kernel's word.
const WAIT_NS: u64 = 100_000_000;
/// Kills that wait at most; a pid namespace with more processes than this tells nothing new.
const MOST: usize = 256;
/// The least a failed charge asked for (mm/memcontrol.c `try_charge_memcg`): one page.
const PAGE: u64 = 4096;
/// Processor time of a process.
const CPU_TIME: &str = "RLIMIT_CPU";

/// What stood above a victim when it was killed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemoryAbove {
    /// Nearest first.
    pub levels: Vec<Level>,
    /// The task that asked for memory.
    pub asked: String,
    /// The victim was that task.
    pub own: bool,
}

/// One memory cgroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Level {
    pub path: String,
    /// Bytes.
    pub usage: Option<u64>,
    /// Bytes; `None` without a limit.
    pub ceiling: Option<u64>,
    /// How often it was found out of memory.
    pub ooms: Option<u64>,
    pub locked: Option<bool>,
}

/// Kernel kills that wait for their reason.
#[derive(Debug, Default)]
pub struct Kills {
    waiting: Vec<(Failure, MemoryAbove)>,
    /// Who asked for the memory of the last OOM kill: what shares the victim's memory is killed without a word more
    /// (mm/oom_kill.c `__oom_kill_process`).
    last_oom: Option<String>,
}

impl Kills {
    pub fn kernel(&mut self, failure: Failure, memory: MemoryAbove) {
        if self.waiting.len() == MOST {
            self.waiting.remove(0);
        }
        let mut failure = failure;
        if memory.own {
            // Its end is under way, and /proc shows it still: a zombie keeps its limits until it is waited for.
            failure.readings.extend(processor_time(failure.task.pid));
        }
        self.waiting.push((failure, memory));
    }

    /// The kernel named its victim, and its log may have said why.
    pub(super) fn victim(&mut self, tid: u32, said: Option<Said>) -> Option<Failure> {
        let at = self.waiting.iter().rposition(|(failure, _)| failure.task.tid == tid)?;
        let (mut failure, memory) = self.waiting.remove(at);
        failure.readings = readings(&memory.levels);
        let signal = "SIGKILL".to_owned();
        self.last_oom = Some(memory.asked.clone());
        // The lock is taken on the cgroup that is out of memory and on all below it (mm/memcontrol.c
        // `mem_cgroup_oom_trylock`): the outermost locked one is the one that is served.
        let locked = memory.levels.iter().rev().find(|l| l.locked == Some(true)).map(|l| l.path.clone());
        let locks_read = memory.levels.iter().any(|l| l.locked.is_some());
        let (cgroup, witness) = match said {
            Some(said) => (said.cgroup, Some(OomWitness::Log)),
            None => (locked, locks_read.then_some(OomWitness::Lock)),
        };
        failure.kind =
            FailureKind::Killed { signal, by: Killer::Oom { cgroup, witness, asked: memory.asked } };
        Some(failure)
    }

    /// Whether any kill waits for its reason.
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Those that waited long enough and are somebody's failure.
    pub fn due(&mut self, now_ns: u64) -> Vec<Failure> {
        let waited = |failure: &Failure| now_ns.saturating_sub(failure.time.mono_ns) > WAIT_NS;
        let mut out = Vec::new();
        let last_oom = self.last_oom.clone();
        self.waiting.retain(|(failure, memory)| {
            let due = waited(failure);
            if due && memory.own {
                out.push(failure.clone());
            } else if due && last_oom.as_ref() != Some(&memory.asked) {
                // Sent by another task in the kernel's name: its pid 1, which ends (kernel/pid_namespace.c
                // `zap_pid_ns_processes`).
                let mut failure = failure.clone();
                if let FailureKind::Killed { by, .. } = &mut failure.kind {
                    *by = Killer::Init { init: memory.asked.clone() };
                }
                out.push(failure);
            }
            !due
        });
        out
    }
}

/// The seconds that a process has used, and its hard limit (RLIMIT_CPU).
fn processor_time(pid: u32) -> Option<Reading> {
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let hard = limits
        .lines()
        .find_map(|l| l.strip_prefix("Max cpu time")?.split_whitespace().nth(1))?
        .parse()
        .ok()?;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // utime and stime, the 12th and 13th field behind the name, in hundredths (proc_pid_stat(5)).
    let mut fields =
        stat.rsplit_once(')')?.1.split_whitespace().skip(11).filter_map(|n| n.parse::<u64>().ok());
    let ticks = fields.next()? + fields.next()?;
    Some(Reading {
        limit: CPU_TIME.into(),
        scope: format!("pid {pid}"),
        ceiling: Some(hard),
        usage: Some(ticks / 100),
        adds: None,
        hits: None,
        unit: "seconds".into(),
        taken: Taken::AtInstant,
        source: format!("/proc/{pid}/limits, /proc/{pid}/stat"),
    })
}

/// Usage and ceiling of each level that has a limit, nearest first.
fn readings(levels: &[Level]) -> Vec<Reading> {
    levels
        .iter()
        .filter(|l| l.ceiling.is_some())
        .map(|l| Reading {
            limit: MEMORY_MAX.id.into(),
            scope: l.path.clone(),
            ceiling: l.ceiling,
            usage: l.usage,
            adds: Some(PAGE),
            hits: l.ooms,
            unit: "bytes".into(),
            taken: Taken::AtInstant,
            source: "mem_cgroup.memory".into(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Stamp, Task};

    fn failure(tid: u32, at: u64) -> Failure {
        Failure {
            time: Stamp { mono_ns: at, unix_ns: 0 },
            task: Task { pid: tid, tid, ..Task::default() },
            kind: FailureKind::Killed { signal: "SIGKILL".into(), by: Killer::Kernel },
            readings: vec![],
        }
    }

    fn above(own: bool) -> MemoryAbove {
        let level = |path: &str, ceiling, locked| Level {
            path: path.into(),
            usage: Some(8 << 20),
            ceiling,
            ooms: Some(1),
            locked: Some(locked),
        };
        MemoryAbove {
            levels: vec![level("/diag/ab", Some(8 << 20), true), level("/diag", None, false)],
            asked: "python (pid 5)".into(),
            own,
        }
    }

    #[test]
    fn the_kernels_word_makes_it_an_oom_kill_of_the_locked_cgroup() {
        let mut kills = Kills::default();
        kills.kernel(failure(5, 10), above(true));
        assert!(kills.victim(6, None).is_none());
        let oom = kills.victim(5, None).unwrap();
        let FailureKind::Killed { by: Killer::Oom { cgroup, witness, .. }, .. } = &oom.kind else {
            panic!("{oom:?}")
        };
        assert_eq!((cgroup.as_deref(), *witness), (Some("/diag/ab"), Some(OomWitness::Lock)));
        assert_eq!(oom.readings.len(), 1, "a level without a limit cannot be the one");
        assert_eq!(oom.readings[0].exceeded(), Some(true));
        assert!(kills.due(u64::MAX).is_empty());
    }

    #[test]
    fn without_that_word_it_was_the_process_itself_or_its_pid_1() {
        let mut kills = Kills::default();
        kills.kernel(failure(5, 10), above(true));
        kills.kernel(failure(6, 10), above(false));
        assert!(kills.due(20).is_empty(), "the word may still come");
        let due = kills.due(10 + WAIT_NS + 1);
        assert_eq!(due.iter().map(|f| f.task.tid).collect::<Vec<_>>(), [5, 6]);
        assert!(
            matches!(&due[1].kind, FailureKind::Killed { by: Killer::Init { init }, .. } if init.contains("python"))
        );
    }
}
