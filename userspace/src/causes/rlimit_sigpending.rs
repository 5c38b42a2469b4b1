//! A user may not queue another signal.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::SIGPENDING;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &SIGPENDING,
    deciders: &[
        "__sigqueue_alloc",
        "sig_get_ucounts",
        "sigqueue_alloc",
        "__send_signal",
        "__send_signal_locked",
    ],
    callers: &[
        "send_signal",
        "send_signal_locked",
        "do_send_sig_info",
        "kill_pid_info",
        "kill_pid_info_type",
        "do_rt_sigqueueinfo",
        "do_rt_tgsigqueueinfo",
        "do_send_specific",
        "do_timer_create",
        "alloc_posix_timer",
        "__do_sys_timer_create",
        "inc_rlimit_get_ucounts",
    ],
};

/// kill(2) is not among them: its signals carry no more than their number, and are dropped in silence.
const CALLS: &[&str] =
    &["rt_sigqueueinfo", "rt_tgsigqueueinfo", "tgkill", "tkill", "pidfd_send_signal", "timer_create"];

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-sigpending",
    title: "a user may not queue another signal (RLIMIT_SIGPENDING)",
    about: "\
sigqueue(3) or timer_create(2) fails with EAGAIN, \"Resource temporarily unavailable\": __sigqueue_alloc() in kernel/signal.c counts the
queued signals and the timers of a user against RLIMIT_SIGPENDING, over all its processes (and, before 5.14, all its
containers). tgkill(2), which is pthread_kill(3), says it for real-time signals alone; of others, and of kill(2), the signal
arrives without its information. Signals that a program blocks and never takes, or timers that it never deletes, use it up.",
    shows_as: &[("rt_sigqueueinfo", "EAGAIN"), ("rt_tgsigqueueinfo", "EAGAIN"), ("tgkill", "EAGAIN"), ("pidfd_send_signal", "EAGAIN"), ("timer_create", "EAGAIN")],
    deciders: &["__sigqueue_alloc", "sig_get_ucounts", "sigqueue_alloc", "__send_signal", "__send_signal_locked"],
    reads: &[&SIGPENDING],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers its own RLIMIT_SIGPENDING and queues signals that it blocks",
        risk: "none: the limit is that of a process which ends at once",
        variants: &[],
    },
    see: &[
        "getrlimit(2), RLIMIT_SIGPENDING",
        "kernel/signal.c: __sigqueue_alloc()",
        "sigqueue(3), timer_create(2)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EAGAIN)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence =
        format!("The user has {used} signals and timers queued, and RLIMIT_SIGPENDING allows {most}.");
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let double = proof.limit.unwrap_or(1024).saturating_mul(2).to_string();
    let mut all = remedies::rlimit("SIGPENDING", "-i", &double, "for the container's processes");
    all.push(remedies::look(
        "grep -H SigQ /proc/[0-9]*/status | sort -t: -k3 -n | tail",
        "whose signals are never taken",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[], &[], vec![reading])).map(|f| f.confidence)
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&SIGPENDING, 9, 9, 1);
        assert_eq!(judged("rt_sigqueueinfo", Errno::EAGAIN, full), Some(Confidence::Proven));
        assert_eq!(judged("rt_sigqueueinfo", Errno::EAGAIN, over(&SIGPENDING, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("rt_sigqueueinfo", Errno::EAGAIN, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("rt_sigqueueinfo", Errno::ENOENT), ("getpid", Errno::EAGAIN)] {
            assert_eq!(judged(call, errno, over(&SIGPENDING, 9, 9, 1)), None, "{call}");
        }
    }
}
