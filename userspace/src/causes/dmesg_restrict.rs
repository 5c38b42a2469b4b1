//! Reading the kernel's log refused by a switch.

use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "kernel.dmesg_restrict",
    exempt: 1 << 34 | 1 << 21,
    exempts: "CAP_SYSLOG",
    deciders: CAUSE_DECIDERS,
    callers: &["__x64_sys_syslog", "__do_sys_syslog", "security_syslog"],
};
const CAUSE_DECIDERS: &[&str] = &["check_syslog_permissions", "do_syslog"];

pub(super) static CAUSE: Cause = Cause {
    slug: "dmesg-restrict",
    title: "the kernel log is closed to ordinary users (kernel.dmesg_restrict)",
    about: "\
dmesg, syslog(2) and reading /dev/kmsg fail with EPERM, \"Operation not permitted\". With kernel.dmesg_restrict = 1,
check_syslog_permissions() in kernel/printk/printk.c asks for CAP_SYSLOG in the first user namespace, which no container
has by default and a container in a user namespace of its own can never have: its root is not the host's.",
    shows_as: &[("syslog", "EPERM")],
    deciders: &["check_syslog_permissions", "do_syslog"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#dmesg-restrict",
        "kernel/printk/printk.c: check_syslog_permissions()",
        "syslog(2), EPERM",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["syslog"], Errno::EPERM)?;
    SWITCH.judge(
        case,
        |v| v != 0,
        "kernel.dmesg_restrict is on, and the task has no CAP_SYSLOG on the host.".into(),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = remedies::capability("CAP_SYSLOG", "the container reads the log of the whole machine");
    all.extend(remedies::sysctl(
        SWITCH.name,
        "0",
        Some("1"),
        "every user of the machine reads the kernel's log",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn judged(value: u64, capabilities: u64) -> Option<Confidence> {
        let values = [("kernel.dmesg_restrict", value), ("CapEff", capabilities)];
        judge_with(&CAUSE, &valued("syslog", Errno::EPERM, &[], &values, vec![])).map(|f| f.confidence)
    }

    #[test]
    fn the_switch_and_a_task_without_the_capability_prove_it() {
        assert_eq!(judged(1, 0), Some(Confidence::Proven));
        assert_eq!(judged(0, 0), None);
        assert_eq!(judged(1, 1 << 34), None);
    }

    #[test]
    fn a_filter_of_the_task_is_a_rival() {
        let mut i =
            valued("syslog", Errno::EPERM, &[], &[("kernel.dmesg_restrict", 1), ("CapEff", 0)], vec![]);
        i.failure.task.filters = None;
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
    }

    #[test]
    fn another_errno_is_not_claimed() {
        let i = valued("syslog", Errno::ENOENT, &[], &[("kernel.dmesg_restrict", 1), ("CapEff", 0)], vec![]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
