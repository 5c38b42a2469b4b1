//! bpf(2) refused to a task without CAP_BPF.

use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "kernel.unprivileged_bpf_disabled",
    exempt: 1 << 39 | 1 << 21,
    exempts: "CAP_BPF",
    deciders: CAUSE_DECIDERS,
    callers: &["__x64_sys_bpf", "__do_sys_bpf", "security_bpf"],
};
const CAUSE_DECIDERS: &[&str] = &["map_create", "__sys_bpf", "bpf_prog_load", "bpf_map_create"];

pub(super) static CAUSE: Cause = Cause {
    slug: "bpf-unprivileged",
    title: "bpf(2) is for the privileged (kernel.unprivileged_bpf_disabled)",
    about: "\
bpf(2) fails with EPERM, \"Operation not permitted\". __sys_bpf(), map_create() or bpf_prog_load() in kernel/bpf/syscall.c
ask for CAP_BPF (or CAP_SYS_ADMIN) in the first user namespace whenever kernel.unprivileged_bpf_disabled is not 0; 1 cannot
be taken back before the next boot, 2 can. Capabilities inside a user namespace of a container do not count.

It surprises in a container that was given CAP_BPF but runs with user namespaces, and after an update: distributions
switched it on in 2021.",
    shows_as: &[("bpf", "EPERM")],
    deciders: &["map_create", "__sys_bpf", "bpf_prog_load", "bpf_map_create"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#unprivileged-bpf-disabled",
        "kernel/bpf/syscall.c: __sys_bpf(), map_create()",
        "bpf(2), EPERM",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["bpf"], Errno::EPERM)?;
    // BPF_MAP_CREATE and BPF_PROG_LOAD on all kernels, every command before 6.4: others may be refused for the object.
    let command = case.failure().number_arg("cmd");
    if command.is_some_and(|command| !matches!(command, 0 | 5)) && case.verdict(SWITCH.deciders).is_none() {
        return None;
    }
    SWITCH.judge(
        case,
        |v| v != 0,
        "kernel.unprivileged_bpf_disabled is on, and the task has no CAP_BPF on the host.".into(),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = remedies::capability(
        "CAP_BPF",
        "the container may load BPF programs; most also need CAP_PERFMON or CAP_NET_ADMIN",
    );
    all.extend(remedies::sysctl(
        SWITCH.name,
        "0",
        Some("2"),
        "every user may load simple programs; refused when it is 1, which lasts until the next boot",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn judged(value: u64, capabilities: u64) -> Option<Confidence> {
        let values = [("kernel.unprivileged_bpf_disabled", value), ("CapEff", capabilities)];
        judge_with(&CAUSE, &valued("bpf", Errno::EPERM, &[("cmd", 0)], &values, vec![])).map(|f| f.confidence)
    }

    #[test]
    fn the_switch_and_a_task_without_the_capability_prove_it() {
        assert_eq!(judged(2, 0), Some(Confidence::Proven));
        assert_eq!(judged(0, 0), None);
        assert_eq!(judged(2, 1 << 39), None);
    }

    #[test]
    fn a_filter_of_the_task_is_a_rival() {
        let mut i = valued(
            "bpf",
            Errno::EPERM,
            &[("cmd", 0)],
            &[("kernel.unprivileged_bpf_disabled", 2), ("CapEff", 0)],
            vec![],
        );
        i.failure.task.filters = None;
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
    }

    #[test]
    fn another_errno_is_not_claimed() {
        let i = valued(
            "bpf",
            Errno::ENOENT,
            &[("cmd", 0)],
            &[("kernel.unprivileged_bpf_disabled", 2), ("CapEff", 0)],
            vec![],
        );
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
