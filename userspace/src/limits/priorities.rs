//! Resource limits on priorities, and on resource limits themselves.

use super::{
    Ceiling::{Fixed, Rlimit},
    Limit, Usage,
    row::limits,
};
use crate::model::KnobKind;

limits! {
    NICE: Rlimit Rlimit("Max nice priority"), "RLIMIT_NICE", "how far the nice value may be lowered (20 - nice)", "steps",
        "process", Usage::Hidden, 0, "2.6.12", "getrlimit(2); kernel/sched/syscalls.c, can_nice()";
    RTPRIO: Rlimit Rlimit("Max realtime priority"), "RLIMIT_RTPRIO", "real-time priority without CAP_SYS_NICE", "steps",
        "process", Usage::Hidden, 0, "2.6.12", "getrlimit(2), sched(7); kernel/sched/syscalls.c, user_check_sched_setscheduler()";
    HARD_LIMIT: Rlimit Fixed(u64::MAX), "hard resource limit", "the highest value a process may give a resource limit", "as the resource",
        "process", Usage::Hidden, u64::MAX, "2.0", "getrlimit(2), EPERM; kernel/sys.c, do_prlimit()";
    SOFT_LIMIT: Rlimit Fixed(u64::MAX), "soft resource limit", "the highest value of a soft limit, which is its hard one", "as the resource",
        "process", Usage::Hidden, u64::MAX, "2.0", "getrlimit(2), EINVAL; kernel/sys.c, do_prlimit()";
}
