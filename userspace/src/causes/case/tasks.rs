//! What causes about new tasks share: the four limits that refuse one with EAGAIN, each other's rivals.
//!
//! `copy_process()` (kernel/fork.c) asks for RLIMIT_NPROC, kernel.threads-max, a deadline policy, a process
//! number and the pids cgroups, in this order, and says EAGAIN to all.

use super::Case;
use crate::limits::{Limit, tasks};
use crate::model::{Errno, Taken, spaced};

/// Every way to a new process or thread.
pub(in crate::causes) const SYSCALLS: &[&str] = &["clone", "clone3", "fork", "vfork"];

/// `SCHED_DEADLINE` (include/uapi/linux/sched.h).
const DEADLINE: u64 = 6;
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// Whether a new task was refused with EAGAIN.
pub(in crate::causes) fn refused(case: &Case<'_>) -> bool {
    case.denied(SYSCALLS, Errno::EAGAIN).is_some()
}

/// The cgroup of the child is not that of its parent, whose readings then say nothing about it.
pub(in crate::causes) fn into_other_cgroup(case: &Case<'_>) -> Option<String> {
    let clone3 = case.denied(&["clone3"], Errno::EAGAIN).is_some();
    match case.failure().number_arg("flags") {
        _ if !clone3 => None,
        Some(flags) if flags & CLONE_INTO_CGROUP == 0 => None,
        Some(_) => Some("the child was to start in another cgroup (CLONE_INTO_CGROUP)".into()),
        None => Some("the flags of clone3 could not be read: the child may start in another cgroup".into()),
    }
}

pub(in crate::causes) fn pids_stands(case: &Case<'_>) -> Option<String> {
    into_other_cgroup(case).or_else(|| stands(case, &tasks::PIDS_MAX))
}

pub(in crate::causes) fn nproc_stands(case: &Case<'_>) -> Option<String> {
    stands(case, &tasks::NPROC)
}

/// Tasks come and go between the failure and the sampler, so a tenth must be free.
pub(in crate::causes) fn threads_stand(case: &Case<'_>) -> Option<String> {
    let Some(r) = case.reading(&tasks::THREADS_MAX) else { return Some(unread(&tasks::THREADS_MAX)) };
    let (Some(used), Some(most)) = (r.usage, r.ceiling) else { return Some(unread(&tasks::THREADS_MAX)) };
    let room = if r.taken == Taken::AtInstant { 0 } else { most / 10 };
    (used.saturating_add(room) >= most).then(|| words(&tasks::THREADS_MAX, used, most))
}

/// The lowest numbers are given out once only, so the last of them may be missing before the ceiling is met.
pub(in crate::causes) fn numbers_stand(case: &Case<'_>) -> Option<String> {
    let Some(r) = case.reading(&tasks::PID_MAX) else { return Some(unread(&tasks::PID_MAX)) };
    let (Some(used), Some(most)) = (r.usage, r.ceiling) else { return Some(unread(&tasks::PID_MAX)) };
    (used + RESERVED_PIDS + 1 >= most).then(|| words(&tasks::PID_MAX, used, most))
}

/// `RESERVED_PIDS` (kernel/pid.c).
pub(in crate::causes) const RESERVED_PIDS: u64 = 300;

pub(in crate::causes) fn deadline_stands(case: &Case<'_>) -> Option<String> {
    match case.incident.readings_of(POLICY).find_map(|r| r.usage) {
        None => Some("the scheduling policy could not be read".into()),
        Some(DEADLINE) => Some("a SCHED_DEADLINE task may not fork".into()),
        Some(_) => None,
    }
}

/// The pseudo-limit under which the probe reports the scheduling policy.
pub(in crate::causes) const POLICY: &str = "scheduling policy";

fn stands(case: &Case<'_>, limit: &'static Limit) -> Option<String> {
    let Some(r) = case.at_instant(limit) else { return Some(unread(limit)) };
    match (r.exceeded(), r.usage, r.ceiling) {
        (Some(false), ..) => None,
        (Some(true), Some(used), Some(most)) => Some(words(limit, used, most)),
        _ => Some(unread(limit)),
    }
}

fn unread(limit: &Limit) -> String {
    format!("{} could not be read", limit.id)
}

fn words(limit: &Limit, used: u64, most: u64) -> String {
    format!("{} is used up as well: {} of {}", limit.id, spaced(used), spaced(most))
}
