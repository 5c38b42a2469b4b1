//! A process number that the caller has chosen, as checkpoint and restore do.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids::{self, CAP_SYS_ADMIN};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["alloc_pid", "pid_ns_ctl_handler"];
const CALLERS: &[&str] = &[
    "copy_process",
    "kernel_clone",
    "checkpoint_restore_ns_capable",
    "ns_capable",
    "ns_capable_common",
    "proc_sys_call_handler",
    "proc_sys_write",
    "vfs_write",
];

const CAP_CHECKPOINT_RESTORE: u32 = 40;

pub(super) static CAUSE: Cause = Cause {
    slug: "pid-chosen",
    title: "the process number that was asked for cannot be given",
    about: "\
clone3(2) with set_tid fails: EEXIST when a process with that number lives (or a zombie, a thread, a session or process
group of that number is left), EPERM without CAP_CHECKPOINT_RESTORE (CAP_SYS_ADMIN before 5.9) in the user namespace that
owns the pid namespace, EINVAL for more numbers than levels or a number that is not 1 in a namespace that has no
process yet. Writing kernel.ns_last_pid, the older way, wants the same capability. alloc_pid() in kernel/pid.c decides.

It is how CRIU restores a container (podman container restore, docker start --checkpoint): the numbers in the image
must be free, which they are in a new pid namespace only.",
    shows_as: &[("clone3", "EEXIST"), ("clone3", "EPERM"), ("clone3", "EINVAL"), ("write", "EPERM")],
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
        about: "asks clone3 for its own process number",
        risk: "none: only this process is refused something",
        variants: &["in-use"],
    },
    see: &["clone(2), set_tid", "kernel/pid.c: alloc_pid()", "https://criu.org/"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let who = &case.failure().task.comm;
    if call == "write" {
        let file = case.failure().file().filter(|f| f.name == "ns_last_pid")?;
        if errno != Errno::EPERM {
            return None;
        }
        let lacks = may_choose(case).map(|may| !may);
        let weighed = weigh(case, DECIDERS, CALLERS, lacks)?;
        let sentence = format!(
            "{who} may not choose the next process number ({}): it lacks CAP_CHECKPOINT_RESTORE.",
            file.name
        );
        let knob = knob(KnobKind::Capability, "CAP_CHECKPOINT_RESTORE", "/proc/sys/kernel/ns_last_pid");
        return Some(weighed.proof(case, DECIDERS, sentence, knob).because(cite_state(case, "CapEff")));
    }
    if call != "clone3" {
        return None;
    }
    let levels = case.failure().number_arg("set_tid_size");
    if levels == Some(0) {
        return None;
    }
    let (state, why, knob) = match errno {
        // Nothing else of clone3 says so.
        Errno::EEXIST => (
            Some(true),
            "a process, thread, group or session with that number is there",
            knob(KnobKind::Other, "pid", "/proc"),
        ),
        Errno::EPERM if levels.is_some() => (
            may_choose(case).map(|may| !may),
            "it lacks CAP_CHECKPOINT_RESTORE in the user namespace that owns the pid namespace",
            knob(KnobKind::Capability, "CAP_CHECKPOINT_RESTORE", "/proc/PID/status"),
        ),
        Errno::EINVAL if levels.is_some() => (
            too_many(case, levels?),
            "there are fewer levels of pid namespaces, or the number is none",
            knob(KnobKind::Other, "pid", "set_tid"),
        ),
        _ => return None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let sentence = format!("{who} cannot have the process number it asked clone3 for: {why}.");
    let lines = levels
        .map(|n| format!("set_tid_size was {n} at that instant"))
        .into_iter()
        .chain(cite_state(case, "NSpid"));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn may_choose(case: &Case<'_>) -> Option<bool> {
    Some(ids::has(case, CAP_CHECKPOINT_RESTORE)? || ids::has(case, CAP_SYS_ADMIN)?)
}

/// More numbers than the task has levels; its own children's may have one more.
fn too_many(case: &Case<'_>, levels: u64) -> Option<bool> {
    let own = case.state("NSpid")?.value.split_whitespace().count() as u64;
    (levels > own + 1).then_some(true)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::Capability {
        return vec![step(
            "now",
            "setcap cap_checkpoint_restore+eip /usr/sbin/criu",
            "lets criu choose numbers in pid namespaces of its user",
            "setcap -r /usr/sbin/criu",
        )];
    }
    vec![
        step(
            "now",
            "restore in a new pid namespace (unshare --fork --pid, or a container)",
            "there every number is free",
            "nothing to undo",
        ),
        look(
            "ls -d /proc/PID; ps -eLo pid,tid,pgid,sid | grep -w PID",
            "who has the number: also as thread, group or session",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{arg, called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn a_number_in_use_is_told_from_a_missing_capability() {
        let f = judge_with(&CAUSE, &called("clone3", libc::EEXIST, 0)).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "pid"));
        let mut i = called("clone3", libc::EPERM, 0);
        assert!(judge_with(&CAUSE, &i).is_none(), "no number was asked for");
        arg(&mut i, "set_tid_size", 1);
        state(&mut i, "CapEff", "0000000000000000");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "CAP_CHECKPOINT_RESTORE");
    }

    #[test]
    fn who_may_choose_is_refused_for_something_else() {
        let mut i = called("clone3", libc::EPERM, 0x4000_0000);
        arg(&mut i, "set_tid_size", 1);
        state(&mut i, "CapEff", "0000010000000000");
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
