//! Limits on tasks.

use super::{Ceiling, Limit, Usage};
use crate::model::KnobKind;

/// Processes and threads in a cgroup and all below it. `pids_try_charge()` (kernel/cgroup/pids.c) asks every
/// level but the root, from the leaf up.
pub static PIDS_MAX: Limit = Limit {
    id: "pids.max",
    title: "processes and threads in a cgroup and below it",
    kind: KnobKind::Cgroup,
    ceiling: Ceiling::Cgroup("pids.max"),
    unit: "tasks",
    counted_per: "cgroup",
    usage: Usage::Hidden,
    // PIDS_MAX: PID_MAX_LIMIT + 1, shown as "max".
    default: PIDS_UNLIMITED,
    since: "4.3",
    see: "Documentation/admin-guide/cgroup-v2.rst, PID; kernel/cgroup/pids.c, pids_can_fork()",
};

/// What `max` is in the kernel's own numbers (`PIDS_MAX`, kernel/cgroup/pids.c).
pub const PIDS_UNLIMITED: u64 = 4_194_305;

/// Processes and threads of one user, per user namespace since 5.14.
pub static NPROC: Limit = Limit {
    id: "RLIMIT_NPROC",
    title: "processes and threads of one user",
    kind: KnobKind::Rlimit,
    ceiling: Ceiling::Rlimit("Max processes"),
    unit: "tasks",
    counted_per: "real user, and user namespace since 5.14",
    usage: Usage::Hidden,
    // init's: half of threads-max (kernel/fork.c fork_init); what users have comes from PAM or systemd.
    default: u64::MAX,
    since: "2.0",
    see: "getrlimit(2); kernel/fork.c, copy_process(); kernel/ucount.c, is_rlimit_overlimit()",
};

/// Tasks of the whole machine.
pub static THREADS_MAX: Limit = Limit {
    id: "kernel.threads-max",
    title: "processes and threads on the machine",
    kind: KnobKind::Sysctl,
    ceiling: Ceiling::Sysctl("kernel/threads-max"),
    unit: "tasks",
    counted_per: "machine",
    usage: Usage::Hidden,
    // An eighth of memory in stacks (kernel/fork.c set_max_threads).
    default: 0,
    since: "2.4",
    see: "Documentation/admin-guide/sysctl/kernel.rst, threads-max; kernel/fork.c, copy_process()",
};

/// Process numbers.
pub static PID_MAX: Limit = Limit {
    id: "kernel.pid_max",
    title: "process numbers",
    kind: KnobKind::Sysctl,
    ceiling: Ceiling::Sysctl("kernel/pid_max"),
    unit: "numbers",
    counted_per: "pid namespace (one ceiling for all before 6.14)",
    usage: Usage::Hidden,
    default: 32_768,
    since: "2.5",
    see: "Documentation/admin-guide/sysctl/kernel.rst, pid_max; kernel/pid.c, alloc_pid()",
};
