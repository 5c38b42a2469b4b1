//! The probes' generic limit readings, as readings of rows in `limits`.

use super::{Trust, rlimits};
use crate::limits::{Limit, namespaces, tasks};
use crate::model::{Reading, Taken};
use diag_abi::{
    LimitReading, READING_NAMESPACES, READING_NPROC, READING_PID_DEPTH, READING_PID_NUMBERS, READING_PIDS,
    READING_POLICY, READING_THREADS, READING_USER_DEPTH, SyscallFailure,
};

/// Not a limit: a deadline task may not fork (kernel/sched/core.c `sched_fork`).
const POLICY: &str = "scheduling policy";

/// Every reading of a record. execve(2) adds no process.
pub(super) fn readings(record: &SyscallFailure, syscall: &str, trust: &Trust) -> Vec<Reading> {
    let adds = u64::from(!syscall.starts_with("execve"));
    let call = rlimits::Call::new(record, syscall, trust);
    record.readings.iter().filter_map(|raw| call.reading(raw).or_else(|| reading(raw, adds))).collect()
}

fn reading(raw: &LimitReading, adds: u64) -> Option<Reading> {
    let (scope, ceiling) = (raw.scope, Some(raw.ceiling));
    let user = || format!("user namespace {scope}");
    Some(match raw.kind {
        READING_PIDS if scope == 0 => {
            of(&tasks::PIDS_MAX, raw, "the root cgroup".into(), ceiling, 1, "task_struct.cgroups")
        }
        READING_PIDS => of(
            &tasks::PIDS_MAX,
            raw,
            format!("cgroup (id {scope})"),
            ceiling,
            1,
            "pids_cgroup.counter and .limit",
        ),
        READING_NPROC => of(&tasks::NPROC, raw, user(), ceiling, adds, "the user's counter, signal->rlim"),
        READING_PID_NUMBERS => {
            let ceiling = ceiling.filter(|c| *c != 0);
            let scope = format!("pid namespace {scope}");
            of(&tasks::PID_MAX, raw, scope, ceiling, 1, "pid_namespace.pid_allocated")
        }
        READING_THREADS => {
            of(&tasks::THREADS_MAX, raw, "the machine".into(), ceiling, 1, "nr_threads and max_threads")
        }
        READING_USER_DEPTH => of(
            &namespaces::USER_DEPTH,
            raw,
            user(),
            Some(namespaces::USER_DEPTH.default),
            1,
            "user_namespace.level",
        ),
        READING_PID_DEPTH => {
            let scope = format!("pid namespace {scope}");
            let ceiling = Some(namespaces::PID_DEPTH.default);
            of(&namespaces::PID_DEPTH, raw, scope, ceiling, 1, "pid_namespace.level")
        }
        READING_POLICY => Reading {
            limit: POLICY.into(),
            ..of(&tasks::PID_MAX, raw, String::new(), None, 0, "task_struct.policy")
        },
        kind => {
            let index = kind.checked_sub(READING_NAMESPACES)?;
            let limit = namespaces::TYPES.get(index as usize)?;
            of(limit, raw, user(), ceiling, 1, "ucounts.ucount and user_namespace.ucount_max")
        }
    })
}

pub(super) fn of(
    limit: &Limit,
    raw: &LimitReading,
    scope: String,
    ceiling: Option<u64>,
    adds: u64,
    source: &str,
) -> Reading {
    Reading {
        limit: limit.id.into(),
        scope,
        ceiling,
        usage: Some(raw.usage),
        adds: Some(adds),
        hits: None,
        unit: limit.unit.into(),
        taken: Taken::AtInstant,
        source: source.into(),
    }
}
