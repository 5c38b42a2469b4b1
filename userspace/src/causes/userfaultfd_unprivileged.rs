//! userfaultfd(2) refused by a switch.

use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "vm.unprivileged_userfaultfd",
    exempt: 1 << 19,
    exempts: "CAP_SYS_PTRACE",
    deciders: CAUSE_DECIDERS,
    callers: &["new_userfaultfd"],
};
const CAUSE_DECIDERS: &[&str] =
    &["userfaultfd_syscall_allowed", "__x64_sys_userfaultfd", "__do_sys_userfaultfd"];

pub(super) static CAUSE: Cause = Cause {
    slug: "userfaultfd-unprivileged",
    title: "userfaultfd is for the privileged (vm.unprivileged_userfaultfd)",
    about: "\
userfaultfd(2) fails with EPERM, \"Operation not permitted\": live migration, checkpointing (CRIU), some garbage collectors
and emulators need it. userfaultfd_syscall_allowed() in fs/userfaultfd.c lets through a call with UFFD_USER_MODE_ONLY, a
task with CAP_SYS_PTRACE in the first user namespace, or everybody when vm.unprivileged_userfaultfd is 1. It is 0 by
default since 5.11, so that a program which worked on an older kernel stops working on a newer one.",
    shows_as: &[("userfaultfd", "EPERM")],
    deciders: &["userfaultfd_syscall_allowed", "__x64_sys_userfaultfd", "__do_sys_userfaultfd"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/mm/userfaultfd.html",
        "fs/userfaultfd.c: userfaultfd_syscall_allowed()",
        "userfaultfd(2), EPERM",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["userfaultfd"], Errno::EPERM)?;
    // UFFD_USER_MODE_ONLY needs no privilege.
    if case.failure().number_arg("flags").is_some_and(|flags| flags & 1 != 0) {
        return None;
    }
    SWITCH.judge(case, |v| v == 0, "vm.unprivileged_userfaultfd is 0, the call did not ask for UFFD_USER_MODE_ONLY, and the task has no CAP_SYS_PTRACE.".into())
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = vec![remedies::step(
        "for good",
        "userfaultfd(UFFD_USER_MODE_ONLY | …) in the program",
        "needs no privilege, and does not see faults inside the kernel",
        "none",
    )];
    all.extend(remedies::sysctl(
        SWITCH.name,
        "1",
        Some("0"),
        "every user may stop the kernel at a page fault of its own",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn judged(value: u64, capabilities: u64) -> Option<Confidence> {
        let values = [("vm.unprivileged_userfaultfd", value), ("CapEff", capabilities)];
        judge_with(&CAUSE, &valued("userfaultfd", Errno::EPERM, &[("flags", 0x80000)], &values, vec![]))
            .map(|f| f.confidence)
    }

    #[test]
    fn the_switch_and_a_task_without_the_capability_prove_it() {
        assert_eq!(judged(0, 0), Some(Confidence::Proven));
        assert_eq!(judged(1, 0), None);
        assert_eq!(judged(0, 1 << 19), None);
    }

    #[test]
    fn a_filter_of_the_task_is_a_rival() {
        let mut i = valued(
            "userfaultfd",
            Errno::EPERM,
            &[("flags", 0x80000)],
            &[("vm.unprivileged_userfaultfd", 0), ("CapEff", 0)],
            vec![],
        );
        i.failure.task.filters = None;
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
    }

    #[test]
    fn another_errno_is_not_claimed() {
        let i = valued(
            "userfaultfd",
            Errno::ENOENT,
            &[],
            &[("vm.unprivileged_userfaultfd", 0), ("CapEff", 0)],
            vec![],
        );
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn a_call_for_user_mode_only_is_not_claimed() {
        let values = [(SWITCH.name, 0), ("CapEff", 0)];
        let mut i = valued("userfaultfd", Errno::EPERM, &[("flags", 0x80000)], &values, vec![]);
        if let crate::model::FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            args[0].value = crate::model::ArgValue::Number(1);
        }
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
