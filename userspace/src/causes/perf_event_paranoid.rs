//! perf_event_open(2) refused by a switch.

use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "kernel.perf_event_paranoid",
    exempt: 1 << 38 | 1 << 21,
    exempts: "CAP_PERFMON",
    deciders: CAUSE_DECIDERS,
    callers: &[
        "perf_event_alloc",
        "perf_init_event",
        "perf_try_init_event",
        "security_perf_event_open",
        "sys_perf_event_open",
    ],
};
/// What the event asks for decides from which value on it is forbidden. Unread arguments count as the worst.
fn forbids(case: &Case<'_>, errno: Errno, paranoid: i32) -> bool {
    const EXCLUDE_KERNEL: u64 = 1 << 5;
    const TRACEPOINT: u64 = 2;
    let bits = case.value("perf event bits").unwrap_or(0);
    if errno == Errno::EPERM {
        return paranoid > -1 && case.value("perf event type").is_none_or(|kind| kind == TRACEPOINT);
    }
    let whole_processor = case.failure().number_arg("pid").is_some_and(|pid| pid as u32 as i32 == -1);
    // 3 and more are distributions' own: nothing at all.
    paranoid > 2 || paranoid > 1 && bits & EXCLUDE_KERNEL == 0 || paranoid > 0 && whole_processor
}

const CAUSE_DECIDERS: &[&str] = &[
    "perf_allow_kernel",
    "perf_allow_cpu",
    "perf_allow_tracepoint",
    "__x64_sys_perf_event_open",
    "__do_sys_perf_event_open",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "perf-event-paranoid",
    title: "perf events are for the privileged (kernel.perf_event_paranoid)",
    about: "\
perf, profilers and JIT tooling fail: perf_event_open(2) says EACCES, \"Permission denied\", or EPERM. The kernel compares
kernel.perf_event_paranoid with what is asked: above 1 nobody without CAP_PERFMON (in the first user namespace) may watch
the kernel (perf_allow_kernel()), above 0 nobody may watch a whole processor (perf_allow_cpu()), above -1 nobody may have
raw tracepoints (perf_allow_tracepoint()). Debian and Ubuntu add 3 and 4, which forbid everything.

It surprises because an event that excludes the kernel is allowed at 2, and most tools do not ask for that.",
    shows_as: &[("perf_event_open", "EACCES"), ("perf_event_open", "EPERM")],
    deciders: &["perf_allow_kernel", "perf_allow_cpu", "perf_allow_tracepoint", "__x64_sys_perf_event_open", "__do_sys_perf_event_open"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/perf-security.html",
        "include/linux/perf_event.h: perf_allow_kernel(), perf_allow_cpu()",
        "perf_event_open(2), EACCES",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = case.failure().syscall().filter(|(name, _)| *name == "perf_event_open")?;
    if ![Errno::EACCES, Errno::EPERM].contains(&errno) {
        return None;
    }
    let forbids = |value: u64| forbids(case, errno, value as u32 as i32);
    SWITCH.judge(
        case,
        forbids,
        "kernel.perf_event_paranoid forbids this event to a task without CAP_PERFMON on the host.".into(),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = vec![remedies::step(
        "now",
        "perf record -e cycles:u …",
        "an event without the kernel (exclude_kernel) is allowed up to 2",
        "none",
    )];
    all.extend(remedies::capability("CAP_PERFMON", "the container may watch the whole machine"));
    all.extend(remedies::sysctl(SWITCH.name, "1", None, "every user may profile the kernel"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn judged(value: u64, capabilities: u64) -> Option<Confidence> {
        let values = [("kernel.perf_event_paranoid", value), ("CapEff", capabilities)];
        judge_with(&CAUSE, &valued("perf_event_open", Errno::EACCES, &[], &values, vec![]))
            .map(|f| f.confidence)
    }

    #[test]
    fn the_switch_and_a_task_without_the_capability_prove_it() {
        assert_eq!(judged(2, 0), Some(Confidence::Proven));
        assert_eq!(judged(1, 0), None);
        assert_eq!(judged(2, 1 << 38), None);
    }

    #[test]
    fn a_filter_of_the_task_is_a_rival() {
        let mut i = valued(
            "perf_event_open",
            Errno::EACCES,
            &[],
            &[("kernel.perf_event_paranoid", 2), ("CapEff", 0)],
            vec![],
        );
        i.failure.task.filters = None;
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
    }

    #[test]
    fn an_event_without_the_kernel_is_allowed_at_2() {
        let values = [(SWITCH.name, 2), ("CapEff", 0), ("perf event bits", 1 << 5)];
        let i = valued("perf_event_open", Errno::EACCES, &[("pid", 0)], &values, vec![]);
        assert!(judge_with(&CAUSE, &i).is_none());
        let whole =
            valued("perf_event_open", Errno::EACCES, &[("pid", u64::from(u32::MAX))], &values, vec![]);
        assert_eq!(judge_with(&CAUSE, &whole).map(|f| f.confidence), Some(Confidence::Proven));
    }

    #[test]
    fn another_errno_is_not_claimed() {
        let i = valued(
            "perf_event_open",
            Errno::ENOENT,
            &[],
            &[("kernel.perf_event_paranoid", 2), ("CapEff", 0)],
            vec![],
        );
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
