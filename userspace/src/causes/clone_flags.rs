//! Flags of clone, clone3 and unshare that contradict each other.

use super::case::claim::{knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["copy_process", "clone3_args_valid", "check_unshare_flags", "copy_namespaces"];
const CALLERS: &[&str] = &["kernel_clone", "_do_fork", "ksys_unshare"];

const VM: u64 = 0x100;
const FS: u64 = 0x200;
const SIGHAND: u64 = 0x800;
const PIDFD: u64 = 0x1000;
const PARENT: u64 = 0x8000;
const THREAD: u64 = 0x1_0000;
const NEWNS: u64 = 0x2_0000;
const SYSVSEM: u64 = 0x4_0000;
const DETACHED: u64 = 0x40_0000;
const NEWIPC: u64 = 0x0800_0000;
const NEWUSER: u64 = 0x1000_0000;
const NEWPID: u64 = 0x2000_0000;
const CLEAR_SIGHAND: u64 = 1 << 32;
/// All that unshare knows on kernels of today (`check_unshare_flags()`).
const UNSHARABLE: u64 = 0x7e02_0080 | FS | SIGHAND | VM | THREAD | SYSVSEM | 0x400;
/// All that clone3 knows today.
const CLONE3: u64 = 0x3_ffff_ff80 | VM;

/// Both flags together, or the first without the second, and why that cannot be.
const TOGETHER: &[(u64, u64, &str)] = &[
    (NEWNS, FS, "CLONE_NEWNS with CLONE_FS: a shared root folder cannot be in two mount namespaces"),
    (NEWUSER, FS, "CLONE_NEWUSER with CLONE_FS: a shared root folder would be a way out of the namespace"),
    (THREAD, NEWUSER, "CLONE_THREAD with CLONE_NEWUSER: threads of one process are in one user namespace"),
    (THREAD, NEWPID, "CLONE_THREAD with CLONE_NEWPID: threads of one process are in one pid namespace"),
    (NEWIPC, SYSVSEM, "CLONE_NEWIPC with CLONE_SYSVSEM: undo lists belong to one ipc namespace"),
    (PIDFD, DETACHED, "CLONE_PIDFD with CLONE_DETACHED"),
    (
        CLEAR_SIGHAND,
        SIGHAND,
        "CLONE_CLEAR_SIGHAND with CLONE_SIGHAND: shared handlers cannot be reset for one",
    ),
];
const WITHOUT: &[(u64, u64, &str)] = &[
    (THREAD, SIGHAND, "CLONE_THREAD without CLONE_SIGHAND: threads share their signal handlers"),
    (SIGHAND, VM, "CLONE_SIGHAND without CLONE_VM: handlers are addresses in shared memory"),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "clone-flags",
    title: "flags of clone, clone3 or unshare contradict each other",
    about: "\
clone(2), clone3(2) or unshare(2) fails with EINVAL whatever the machine's state: copy_process() in kernel/fork.c
begins with a list of pairs that cannot be (a new mount or user namespace with CLONE_FS, threads across namespaces,
CLONE_SIGHAND without CLONE_VM), clone3 refuses flags and an exit signal it does not know, and unshare what it cannot
unshare.

It surprises when the flags come from a configuration (an OCI runtime's list of namespaces) or from a newer program
than the kernel: a flag that this kernel does not know is EINVAL too, and only asking without it tells.",
    shows_as: &[("clone", "EINVAL"), ("clone3", "EINVAL"), ("unshare", "EINVAL")],
    deciders: &[],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "clones with CLONE_NEWNS and CLONE_FS",
        risk: "none: only this process is refused something",
        variants: &["mount-and-root"],
    },
    see: &["clone(2), ERRORS: EINVAL", "kernel/fork.c: copy_process(), clone3_args_valid(), check_unshare_flags()"],
};

fn wrong(case: &Case<'_>) -> Option<String> {
    let call = case.denied(&["clone", "clone3", "unshare"], Errno::EINVAL)?;
    let flags = case.failure().number_arg("flags")?;
    if call == "unshare" {
        let unknown = flags & !UNSHARABLE;
        return (unknown != 0).then(|| format!("flag {unknown:#x} is none that unshare knows"));
    }
    let both = TOGETHER.iter().find(|(a, b, _)| flags & a != 0 && flags & b != 0);
    let half = WITHOUT.iter().find(|(a, b, _)| flags & a != 0 && flags & b == 0);
    if let Some((.., why)) = both.or(half) {
        return Some((*why).into());
    }
    if call == "clone3" {
        let unknown = flags & !CLONE3 & !0x8000_0000;
        if unknown != 0 || flags & 0xff != 0 && flags & 0x80 == 0 {
            return Some(format!("flags {flags:#x} hold some that clone3 does not know"));
        }
        let signal = case.failure().number_arg("exit_signal").unwrap_or(0);
        if signal > 64 {
            return Some(format!("exit signal {signal} is none"));
        }
        if flags & (THREAD | PARENT) != 0 && signal != 0 {
            return Some("CLONE_THREAD or CLONE_PARENT with an exit signal".into());
        }
    }
    None
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let why = wrong(case)?;
    let (call, _) = case.failure().syscall()?;
    let weighed = weigh(case, DECIDERS, CALLERS, Some(true))?;
    let who = &case.failure().task.comm;
    let sentence = format!("{who} gave {call} flags that cannot be together: {why}.");
    let flags = case.failure().number_arg("flags").unwrap_or(0);
    let evidence = [format!("flags {flags:#x} at that instant")];
    Some(
        weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, "flags", "clone(2)")).because(evidence),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "leave one of the two out, or make the namespace in a step of its own (unshare, then clone)",
            "the order is free: a child inherits what its parent has unshared",
            "nothing to undo",
        ),
        look("man 2 clone", "ERRORS lists the pairs that cannot be"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::called;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn contradictions_are_told_by_the_flags_alone() {
        for flags in
            [NEWNS | FS | 17, NEWUSER | FS | 17, THREAD | VM, SIGHAND, THREAD | SIGHAND | VM | NEWPID]
        {
            let f = judge_with(&CAUSE, &called("clone", libc::EINVAL, flags)).unwrap();
            assert_eq!(f.confidence, Confidence::Proven, "{flags:#x}");
        }
        assert!(judge_with(&CAUSE, &called("unshare", libc::EINVAL, 1)).is_some());
        assert!(judge_with(&CAUSE, &called("clone3", libc::EINVAL, 1 << 40)).is_some());
    }

    #[test]
    fn flags_that_fit_are_no_case() {
        for flags in [17, NEWPID | NEWNS | 17, VM | FS | SIGHAND | THREAD] {
            assert!(judge_with(&CAUSE, &called("clone", libc::EINVAL, flags)).is_none(), "{flags:#x}");
        }
        assert!(judge_with(&CAUSE, &called("unshare", libc::EINVAL, NEWPID)).is_none());
        assert!(judge_with(&CAUSE, &called("clone3", libc::EINVAL, NEWPID | PIDFD)).is_none());
        assert!(judge_with(&CAUSE, &called("clone", libc::EPERM, NEWNS | FS)).is_none());
    }
}
