//! io_uring_setup(2) refused by a switch of the machine.

use super::case::{
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const SWITCH: Switch = Switch {
    name: "kernel.io_uring_disabled",
    exempt: 0,
    exempts: "",
    deciders: CAUSE_DECIDERS,
    callers: &["__ia32_sys_io_uring_setup"],
};
const CAUSE_DECIDERS: &[&str] =
    &["io_uring_allowed", "io_uring_setup", "__x64_sys_io_uring_setup", "__do_sys_io_uring_setup"];

const SYS_ADMIN: u64 = 1 << 21;

/// Mode 1: who is in the group or has CAP_SYS_ADMIN may.
fn for_some(case: &Case<'_>) -> Option<Proof> {
    if case.capable(SYS_ADMIN) == Some(true) {
        return None;
    }
    let sentence =
        "kernel.io_uring_disabled is 1: only members of kernel.io_uring_group may make an io_uring.";
    let mut proof = SWITCH.judge(case, |v| v == 1, sentence.into())?;
    proof.confidence = proof.confidence.min(crate::model::Confidence::Likely);
    proof.missing.push("whether the task is a member of kernel.io_uring_group".into());
    Some(proof)
}

pub(super) static CAUSE: Cause = Cause {
    slug: "io-uring-disabled",
    title: "io_uring is switched off (kernel.io_uring_disabled)",
    about: "\
io_uring_setup(2) fails with EPERM, \"Operation not permitted\". The program may run as root in its container, and
no seccomp profile names the call: the kernel itself has io_uring switched off. io_uring_allowed() in
io_uring/io_uring.c looks at kernel.io_uring_disabled: 2 forbids new rings to everybody, also to root; 1 to all but
members of kernel.io_uring_group and those with CAP_SYS_ADMIN in the first user namespace.

It surprises because hardened hosts and managed Kubernetes nodes set it without a word, and because the engines'
seccomp profiles refuse the same call with the same errno: here no filter did.",
    shows_as: &[("io_uring_setup", "EPERM")],
    deciders: &["io_uring_allowed", "io_uring_setup", "__x64_sys_io_uring_setup", "__do_sys_io_uring_setup"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#io-uring-disabled",
        "io_uring/io_uring.c: io_uring_allowed()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["io_uring_setup"], Errno::EPERM)?;
    // 1 exempts by group and capability; the group list of a task is not read.
    if case.value(SWITCH.name) == Some(1) {
        return for_some(case);
    }
    SWITCH.judge(
        case,
        |v| v == 2,
        "kernel.io_uring_disabled is 2: nobody on this machine may make a new io_uring, not even root."
            .into(),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = remedies::sysctl(
        SWITCH.name,
        "0",
        Some("2"),
        "every process of the machine may use io_uring, which has a history of holes in the kernel",
    );
    all.push(remedies::step(
        "for good",
        "use epoll or threads instead of io_uring",
        "most libraries fall back",
        "none",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn judged(value: u64, capabilities: u64) -> Option<Confidence> {
        let values = [(SWITCH.name, value), ("CapEff", capabilities)];
        judge_with(&CAUSE, &valued("io_uring_setup", Errno::EPERM, &[], &values, vec![]))
            .map(|f| f.confidence)
    }

    #[test]
    fn switched_off_for_all_is_proven_even_against_root() {
        assert_eq!(judged(2, u64::MAX), Some(Confidence::Proven));
    }

    #[test]
    fn switched_off_for_most_is_likely_and_never_for_an_administrator() {
        assert_eq!(judged(1, 0), Some(Confidence::Likely));
        assert_eq!(judged(1, SYS_ADMIN), None);
        assert_eq!(judged(0, 0), None);
    }

    #[test]
    fn a_filter_of_the_task_is_a_rival() {
        let mut i = valued("io_uring_setup", Errno::EPERM, &[], &[(SWITCH.name, 2)], vec![]);
        i.failure.task.filters = None;
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Likely));
    }
}
