//! Some namespaces change only for a task that shares nothing: no threads, no common root and working folder.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["check_unshare_flags", "userns_install", "mntns_install", "timens_install"];
const CALLERS: &[&str] = &["ksys_unshare", "validate_ns", "validate_nsset"];

const CLONE_VM: u64 = 0x100;
const CLONE_SIGHAND: u64 = 0x800;
const CLONE_THREAD: u64 = 0x1_0000;
const CLONE_NEWUSER: u64 = 0x1000_0000;

pub(super) static CAUSE: Cause = Cause {
    slug: "task-not-alone",
    title: "a process with threads may not change this namespace",
    about: "\
unshare(2) or setns(2) fails with EINVAL (a time namespace: EUSERS) in a program that has started threads. A user
namespace gives a process new credentials, and threads must not differ in them: ksys_unshare() adds CLONE_THREAD for
CLONE_NEWUSER and check_unshare_flags() refuses; userns_install() and timens_install() ask thread_group_empty().
Entering a mount namespace changes root and working folder, which threads share (fs->users in mntns_install()).

It surprises in Go, Java, Node and Python with native libraries, whose runtime starts threads before main(): the same
lines work in C. That is why runc re-executes itself with C code that runs first, and why a thread must call
unshare(CLONE_FS) before it enters a mount namespace alone.",
    shows_as: &[("unshare", "EINVAL"), ("setns", "EINVAL"), ("setns", "EUSERS")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a user namespace with two threads",
        risk: "none: only this process is refused something",
        variants: &["threads"],
    },
    see: &["unshare(2), setns(2), ERRORS: EINVAL", "kernel/fork.c: check_unshare_flags()", "kernel/time/namespace.c: timens_install()"],
};

/// What asked to be alone.
fn wants_to_be_alone(case: &Case<'_>) -> Option<&'static str> {
    let flags = case.failure().number_arg("flags");
    if case.denied(&["unshare"], Errno::EINVAL).is_some() {
        let alone = CLONE_NEWUSER | CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;
        return (flags? & alone != 0).then_some("a user namespace or a part of the thread group");
    }
    let target = case.state("target").map(|s| s.value.as_str());
    let kind = |name: &str, function: &str| {
        target.map_or_else(|| case.passed_through(&[function]), |t| t.starts_with(&format!("{name}:[")))
    };
    if case.denied(&["setns"], Errno(libc::EUSERS)).is_some() {
        return Some("a time namespace");
    }
    case.denied(&["setns"], Errno::EINVAL)?;
    match () {
        () if kind("user", "userns_install") => Some("a user namespace"),
        () if kind("mnt", "mntns_install") => Some("a mount namespace"),
        () => None,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let what = wants_to_be_alone(case)?;
    let (call, errno) = case.failure().syscall()?;
    // To enter the own user namespace again gives the same errno, and is asked first (`userns_install()`).
    if same_user_namespace(case) && what == "a user namespace" {
        return None;
    }
    let threads = case.state("Threads").and_then(|s| s.value.parse::<u64>().ok());
    let state = match threads {
        // Other processes may share the root and working folder (CLONE_FS): rare, and not to be seen.
        Some(1) if what == "a mount namespace" => None,
        Some(n) => Some(n > 1),
        // Nothing else of setns says so.
        None if errno == Errno(libc::EUSERS) => Some(true),
        None => None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let number = threads.map_or_else(|| "several".into(), |n| n.to_string());
    let sentence =
        format!("{who} has {number} threads, and {call} changes {what} only for a process that has one.");
    let knob = knob(KnobKind::Other, "threads", format!("/proc/{}/status", case.failure().task.pid));
    let lines = ["Threads", "target"].into_iter().filter_map(|name| cite_state(case, name));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn same_user_namespace(case: &Case<'_>) -> bool {
    let own = case.failure().task.user_ns.map(|inode| format!("user:[{inode}]"));
    own.is_some() && case.state("target").map(|s| s.value.clone()) == own
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "nsenter or unshare (util-linux) in front of the program",
            "a single-threaded helper changes the namespace and then executes the program, which inherits it",
            "nothing to undo",
        ),
        step(
            "for good",
            "change namespaces before the first thread, or fork and let the child do it",
            "in Go: a constructor in cgo or re-execution, as runc and reexec do; for a mount namespace \
             runtime.LockOSThread() and unshare(CLONE_FS)",
            "nothing to undo",
        ),
        look(
            format!(
                "ls /proc/{}/task; grep Threads /proc/{}/status",
                case.failure().task.pid,
                case.failure().task.pid
            ),
            "which threads there are",
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
    fn threads_keep_a_process_where_it_is() {
        let mut i = called("setns", libc::EUSERS, 0);
        assert_eq!(
            judge_with(&CAUSE, &i).unwrap().confidence,
            Confidence::Proven,
            "EUSERS says nothing else"
        );
        state(&mut i, "Threads", "2");
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("2 threads"));
        let mut i = called("unshare", libc::EINVAL, CLONE_NEWUSER);
        state(&mut i, "Threads", "7");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn a_lone_process_or_another_type_is_no_case() {
        let mut i = called("unshare", libc::EINVAL, CLONE_NEWUSER);
        state(&mut i, "Threads", "1");
        assert!(judge_with(&CAUSE, &i).is_none());
        let mut i = called("setns", libc::EINVAL, 0);
        state(&mut i, "Threads", "2");
        state(&mut i, "target", "net:[5]");
        assert!(judge_with(&CAUSE, &i).is_none());
        let mut i = called("setns", libc::EINVAL, 0);
        i.failure.task.user_ns = Some(5);
        state(&mut i, "Threads", "2");
        state(&mut i, "target", "user:[5]");
        assert!(judge_with(&CAUSE, &i).is_none(), "the own one: another cause");
    }
}
