//! After unshare(CLONE_NEWPID or CLONE_NEWTIME) the namespace is for children only, and some calls must wait for one.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] =
    &["copy_pid_ns", "copy_process", "copy_namespaces", "pidns_install", "timens_install"];
const CALLERS: &[&str] =
    &["create_new_namespaces", "unshare_nsproxy_namespaces", "ksys_unshare", "kernel_clone", "_do_fork"];

const CLONE_VM: u64 = 0x100;
const CLONE_VFORK: u64 = 0x4000;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_NEWPID: u64 = 0x2000_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;

pub(super) static CAUSE: Cause = Cause {
    slug: "namespace-pending",
    title: "a pid or time namespace was unshared, and no child has entered it",
    about: "\
unshare(2) with CLONE_NEWPID or CLONE_NEWTIME (and setns(2) into a pid namespace) moves nobody: only children will be
there. Until one is forked, the process lives between two namespaces, and the kernel refuses with EINVAL what would make
that worse: a thread (its number would be in another namespace than its process: copy_process()), and a second
CLONE_NEWPID (copy_pid_ns() wants the task's own to be the one children go to). Up to 6.1 a pending time namespace
forbids CLONE_VM, so that threads and posix_spawn() fail too (kernel/time/namespace.c, copy_process()).

It surprises because the unshare itself succeeded and what fails is pthread_create() somewhere later, with
\"Invalid argument\" or, in a language's runtime, a crash.",
    shows_as: &[("clone", "EINVAL"), ("clone3", "EINVAL"), ("unshare", "EINVAL"), ("vfork", "EINVAL")],
    deciders: &["copy_pid_ns"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "unshares the pid namespace twice",
        risk: "none: only this process is refused something",
        variants: &["second-pid"],
    },
    see: &["pid_namespaces(7), unshare(2)", "time_namespaces(7)", "kernel/pid_namespace.c: copy_pid_ns(); kernel/fork.c: copy_process()"],
};

/// Whether children go to another namespace than the task's own; `None` when not read.
fn pending(case: &Case<'_>, own: &str, children: &str) -> Option<bool> {
    // Before the first child is in it, a pid namespace shows no link at all.
    let own = &case.state(own)?.value;
    Some(case.state(children).is_none_or(|s| s.value != *own))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["clone", "clone3", "unshare", "vfork"], Errno::EINVAL)?;
    let flags = match call {
        "vfork" => CLONE_VM | CLONE_VFORK,
        _ => case.failure().number_arg("flags")?,
    };
    // A thread, or a second pid namespace.
    let by_pid = flags & CLONE_THREAD != 0 || flags & CLONE_NEWPID != 0;
    let by_time = call != "unshare" && flags & CLONE_VM != 0 && flags & CLONE_VFORK == 0;
    let pid = pending(case, "ns/pid", "ns/pid_for_children").filter(|_| by_pid);
    let time = pending(case, "ns/time", "ns/time_for_children").filter(|_| by_time);
    let (state, kind) = match (pid, time) {
        (Some(true), _) => (Some(true), "pid"),
        (_, Some(true)) => (Some(true), "time"),
        (None, None) if flags & CLONE_NEWUSER == 0 && case.passed_through(&["copy_pid_ns"]) => (None, "pid"),
        _ => return None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let what = if flags & CLONE_NEWPID != 0 { "further pid namespace" } else { "thread" };
    let sentence = format!(
        "{who} has unshared its {kind} namespace, its children go to a new one, and until it forks a process there {call} makes no {what}."
    );
    let lines = ["ns/pid", "ns/pid_for_children", "ns/time", "ns/time_for_children"]
        .into_iter()
        .filter(|n| n.contains(kind))
        .filter_map(|n| cite_state(case, n));
    let knob = knob(
        KnobKind::Other,
        "order of operations",
        format!("/proc/{}/ns/{kind}_for_children", case.failure().task.pid),
    );
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "unshare --fork --pid … (fork once, and go on in the child)",
            "the child is in the new namespace whole, and may start threads and unshare again",
            "nothing to undo",
        ),
        look(
            format!("ls -l /proc/{}/ns", case.failure().task.pid),
            "pid and pid_for_children (time and time_for_children) differ until a child exists",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::{Confidence, Incident};

    fn between(call: &str, flags: u64, own: &str, children: Option<&str>) -> Incident {
        let mut i = called(call, libc::EINVAL, flags);
        state(&mut i, "ns/pid", own);
        if let Some(children) = children {
            state(&mut i, "ns/pid_for_children", children);
        }
        i
    }

    #[test]
    fn a_second_one_and_threads_wait_for_a_child() {
        let f = judge_with(&CAUSE, &between("unshare", CLONE_NEWPID, "1", None)).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        let thread = CLONE_THREAD | CLONE_VM | 0x800;
        let f = judge_with(&CAUSE, &between("clone", thread, "1", Some("2"))).unwrap();
        assert!(f.sentence.contains("makes no thread"), "{}", f.sentence);
        let mut i = called("clone", libc::EINVAL, thread);
        state(&mut i, "ns/time", "1");
        state(&mut i, "ns/time_for_children", "2");
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("time namespace"));
    }

    #[test]
    fn nothing_is_pending_where_children_stay() {
        assert!(judge_with(&CAUSE, &between("unshare", CLONE_NEWPID, "1", Some("1"))).is_none());
        assert!(judge_with(&CAUSE, &between("clone", 17, "1", Some("2"))).is_none());
        assert!(judge_with(&CAUSE, &called("clone", libc::EINVAL, CLONE_NEWPID)).is_none());
    }
}
