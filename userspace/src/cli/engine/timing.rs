//! `--verbose`: each step of the engine, and of the container's first process, with the time it took.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use container_core::steps::{Side, Step};
use container_core::{ContainerRef, Observer};
use nix::time::{ClockId, clock_gettime};

/// Notes when each step began.
pub(super) struct StepClock {
    begun_ns: u64,
    marks: Mutex<Vec<(u64, Step)>>,
}

impl StepClock {
    pub(super) fn start() -> Self {
        Self { begun_ns: now_ns(), marks: Mutex::default() }
    }

    fn mark(&self, at_ns: u64, step: Step) {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push((at_ns, step));
    }

    /// The table, up to now; empty when there was no step.
    pub(super) fn table(&self) -> String {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner).clone();
        table(self.begun_ns, marks, now_ns())
    }
}

impl Observer for StepClock {
    fn step(&self, _: &ContainerRef, step: Step) {
        self.mark(now_ns(), step);
    }

    fn passed(&self, _: &ContainerRef, step: Step, monotonic_ns: u64) {
        self.mark(monotonic_ns, step);
    }
}

fn now_ns() -> u64 {
    // Cannot fail for this clock on Linux.
    clock_gettime(ClockId::CLOCK_MONOTONIC)
        .map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}

/// A step lasts until the next one of the same process. Those of the container's first process, indented, happen while
/// the engine clones it and waits for its report.
fn table(begun_ns: u64, mut marks: Vec<(u64, Step)>, end_ns: u64) -> String {
    if marks.is_empty() {
        return String::new();
    }
    marks.sort_by_key(|(at, _)| *at);
    let waits = marks.iter().position(|(_, step)| *step == Step::WaitWorkload);
    let mut text =
        String::from("diag: the steps, in milliseconds; indented those of the container's first process\n");
    let mut row = |from: u64, to: u64, name: &str| {
        let _ = writeln!(text, "{:10.3}  {name}", to.saturating_sub(from) as f64 / 1e6);
    };
    row(begun_ns, marks[0].0, "before the first step");
    for (index, (at, step)) in marks.iter().enumerate() {
        let info = step.info();
        let next = marks[index + 1..].iter().find(|(_, next)| next.info().side == info.side);
        match (info.side, next) {
            (Side::Engine, next) => row(*at, next.map_or(end_ns, |(at, _)| *at), info.name),
            (Side::Child, Some((next, _))) => row(*at, *next, &format!("  {}", info.name)),
            // The last one is execve(2), and then it is the workload's time.
            (Side::Child, None) => {
                let ends = waits.and_then(|wait| marks.get(wait + 1)).map_or(end_ns, |(at, _)| *at);
                row(*at, ends, &format!("  {}, its run and its end", info.name));
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_both_processes_are_told_apart() {
        let marks = vec![
            (2_000_000, Step::MountOverlay),
            (3_000_000, Step::ReadReport),
            (9_000_000, Step::WaitWorkload),
            (12_000_000, Step::RemoveCgroup),
            (4_000_000, Step::JoinCgroup),
            (6_500_000, Step::ExecuteWorkload),
        ];
        let expected = "     1.000  before the first step\n     1.000  mount overlay rootfs\n     6.000  read launch report\n     \
                        2.500    join cgroup\n     5.500    execute workload, its run and its end\n     3.000  wait for \
                        workload\n     1.000  remove cgroup\n";
        let text = table(1_000_000, marks, 13_000_000);
        assert_eq!(text.split_once('\n').unwrap().1, expected);
        assert_eq!(table(0, Vec::new(), 1), "");
    }
}
