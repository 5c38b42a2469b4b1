//! Steps that an engine reported as failed, and the system calls they belong to.
//!
//! The probe's record says more than the engine's word, so a step waits for it. Where none comes, the step is all
//! there is: the probe was skipped on that processor (since Linux 7 a tracepoint's program can be preempted, and
//! the kernel skips it for whoever runs there meanwhile), or nobody watches that call and errno for its own sake.

use crate::model::{EngineStep, Errno, Failure};
use std::collections::VecDeque;

/// Steps that are remembered.
const MOST_STEPS: usize = 256;
/// Failures that are remembered for steps that are told later.
const MOST_SEEN: usize = 1024;
/// A step's report and its system call are this close together.
const WINDOW_NS: u64 = 2_000_000_000;
/// So long a step waits for its system call.
const OVERDUE_NS: u64 = 1_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Steps {
    /// With whether it still waits for its system call.
    told: VecDeque<(EngineStep, bool)>,
    seen: VecDeque<Seen>,
}

/// A failed system call, as far as a step can know it again.
#[derive(Debug)]
struct Seen {
    pids: [u32; 2],
    syscall: String,
    errno: Errno,
    mono_ns: u64,
}

impl Steps {
    /// Remembers a failed step. One that waits (`live`) comes back from [`Steps::overdue`] unless its system call
    /// is seen.
    pub(super) fn told(&mut self, step: EngineStep, live: bool) {
        if self.told.len() == MOST_STEPS {
            self.told.pop_front();
        }
        self.told.push_back((step, live));
    }

    /// Remembers a failure that the probe saw.
    pub(super) fn seen(&mut self, failure: &Failure) {
        let Some((syscall, errno)) = failure.syscall() else { return };
        if self.seen.len() == MOST_SEEN {
            self.seen.pop_front();
        }
        let pids = [failure.task.pid, failure.task.tid];
        let mono_ns = failure.time.mono_ns;
        self.seen.push_back(Seen { pids, syscall: syscall.to_owned(), errno, mono_ns });
    }

    /// Whether a system call of this process failed in the last moments before that time.
    pub(super) fn failed_lately(&self, pid: u32, mono_ns: u64) -> bool {
        let lately =
            |seen: &Seen| mono_ns.saturating_sub(seen.mono_ns) < WINDOW_NS && seen.mono_ns <= mono_ns;
        self.seen.iter().any(|seen| seen.pids.contains(&pid) && lately(seen))
    }

    /// The step an engine reported for this failure, if it did.
    pub(super) fn of(&self, failure: &Failure) -> Option<&EngineStep> {
        let (name, errno) = failure.syscall()?;
        let pids = [failure.task.pid, failure.task.tid];
        let at = failure.time.mono_ns;
        self.told.iter().rev().map(|(step, _)| step).find(|step| fits(step, pids, name, errno, at))
    }

    /// Steps whose system call should have been seen by now and was not; each once.
    pub(super) fn overdue(&mut self, now_ns: u64) -> Vec<EngineStep> {
        let mut out = Vec::new();
        for (step, waits) in &mut self.told {
            if !*waits || now_ns.saturating_sub(step.time.mono_ns) < OVERDUE_NS {
                continue;
            }
            *waits = false;
            if !self.seen.iter().any(|s| fits(step, s.pids, &s.syscall, s.errno, s.mono_ns)) {
                out.push(step.clone());
            }
        }
        out
    }
}

fn fits(step: &EngineStep, pids: [u32; 2], syscall: &str, errno: Errno, mono_ns: u64) -> bool {
    let near = step.time.mono_ns.abs_diff(mono_ns) < WINDOW_NS;
    near && step.errno == errno && step.syscall == syscall && pids.contains(&step.pid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Abi, FailureKind, Stamp, Task};

    const SECOND: u64 = 1_000_000_000;

    fn step(pid: u32, at: u64) -> EngineStep {
        EngineStep {
            time: Stamp { mono_ns: at, unix_ns: 0 },
            container_id: "aaaa".into(),
            step: "mount proc".into(),
            syscall: "mount".into(),
            object: "/proc".into(),
            errno: Errno::ENOSPC,
            pid,
        }
    }

    fn failure(pid: u32, at: u64) -> Failure {
        let kind = FailureKind::Syscall {
            name: "mount".into(),
            nr: 165,
            abi: Abi::Native,
            errno: Errno::ENOSPC,
            args: vec![],
        };
        let task = Task { pid, tid: pid, ..Task::default() };
        Failure { time: Stamp { mono_ns: at, unix_ns: 0 }, task, kind, readings: vec![] }
    }

    #[test]
    fn a_step_whose_call_was_seen_before_or_after_it_is_not_overdue() {
        let mut steps = Steps::default();
        steps.seen(&failure(5, 9 * SECOND));
        steps.told(step(5, 9 * SECOND + 1), true);
        steps.told(step(6, 9 * SECOND + 1), true);
        steps.seen(&failure(6, 9 * SECOND + 2));
        assert!(steps.of(&failure(6, 9 * SECOND)).is_some());
        assert_eq!(steps.overdue(20 * SECOND), []);
        assert!(steps.failed_lately(5, 10 * SECOND));
        assert!(!steps.failed_lately(5, 12 * SECOND) && !steps.failed_lately(7, 10 * SECOND));
    }

    #[test]
    fn a_step_that_nobody_saw_is_told_once_and_in_time() {
        let mut steps = Steps::default();
        steps.told(step(5, 9 * SECOND), true);
        steps.told(step(7, 9 * SECOND), false);
        steps.seen(&failure(5, SECOND));
        assert_eq!(steps.overdue(9 * SECOND + 5), [], "the record may still come");
        assert_eq!(steps.overdue(11 * SECOND), [step(5, 9 * SECOND)]);
        assert_eq!(steps.overdue(12 * SECOND), []);
    }
}
