//! A pid namespace whose first process has ended takes no new process.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::tasks::SYSCALLS;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["alloc_pid"];
const CALLERS: &[&str] = &["copy_process", "kernel_clone", "_do_fork"];

const CLONE_NEWPID: u64 = 0x2000_0000;

pub(super) static CAUSE: Cause = Cause {
    slug: "pidns-dead",
    title: "pid 1 of the pid namespace has ended",
    about: "\
fork(2) or clone(2) fails with ENOMEM, \"Cannot allocate memory\", and there is plenty of it. Children of this process go
to a pid namespace whose first process has ended; when that happens zap_pid_ns_processes() kills all that are in it and
closes it for good, and alloc_pid() in kernel/pid.c answers ENOMEM from then on.

It surprises most after unshare(CLONE_NEWPID) without a fork (a shell after `unshare --pid` without --fork): the first
command becomes pid 1 of the new namespace, and when it ends, every following one fails. The same meets nsenter or
docker exec that enter the pid namespace of a container at the moment it stops.",
    shows_as: &[("clone", "ENOMEM"), ("fork", "ENOMEM"), ("vfork", "ENOMEM"), ("clone3", "ENOMEM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "memory: the machine's or the cgroup's",
        ruled_out_by: "alloc_pid() gives this answer for nothing else, and a namespace without its pid 1 can have no other",
        stands: |_| None,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lets the first process of a pid namespace end, and forks again",
        risk: "none: only this process is refused something",
        variants: &["first-ended"],
    },
    see: &["pid_namespaces(7), The namespace init process", "kernel/pid.c: alloc_pid()", "kernel/pid_namespace.c: zap_pid_ns_processes()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(SYSCALLS, Errno::ENOMEM)?;
    // The child would be the first of a namespace of its own.
    if case.failure().number_arg("flags").is_some_and(|flags| flags & CLONE_NEWPID != 0) {
        return None;
    }
    let state = match case.state("pid 1 of pid_for_children").map(|s| s.value.as_str()) {
        Some("gone") => Some(true),
        Some(_) => Some(false),
        // Children stay where their parent is: while it lives, so does its pid 1.
        None if case.state("ns/pid_for_children").is_some() => Some(false),
        None => None,
    };
    if state.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let sentence = format!(
        "Children of {who} go to a pid namespace whose pid 1 has ended; it takes no process any more."
    );
    let lines = ["pid 1 of pid_for_children", "ns/pid"].into_iter().filter_map(|n| cite_state(case, n));
    let knob = knob(
        KnobKind::Other,
        "life of pid 1",
        format!("/proc/{}/ns/pid_for_children", case.failure().task.pid),
    );
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "unshare --fork --pid --mount-proc …",
            "a new pid namespace, whose pid 1 is the program itself and stays",
            "nothing to undo",
        ),
        step(
            "for good",
            "docker run --init …, or tini in the image",
            "an init that outlives the other processes and waits for them",
            "start it without the option",
        ),
        look(
            format!("ls -l /proc/{}/ns/pid*", case.failure().task.pid),
            "pid_for_children is not the process's own",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn a_namespace_without_its_first_process_takes_none() {
        let mut i = called("clone", libc::ENOMEM, 17);
        assert!(judge_with(&CAUSE, &i).is_none(), "it may be memory");
        state(&mut i, "pid 1 of pid_for_children", "gone");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn where_it_lives_memory_is_short() {
        let mut i = called("fork", libc::ENOMEM, 0);
        state(&mut i, "ns/pid_for_children", "4026531836");
        assert!(judge_with(&CAUSE, &i).is_none());
        let mut i = called("clone", libc::ENOMEM, CLONE_NEWPID);
        state(&mut i, "pid 1 of pid_for_children", "gone");
        assert!(judge_with(&CAUSE, &i).is_none(), "the child would have its own");
    }
}
