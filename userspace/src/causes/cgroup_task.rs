//! The task that was to be moved cannot be moved: it is not there, is the kernel's own, or no task was named.

use super::case::cgroups::{self, CALLERS, Write};
use super::case::claim::{cite_state, knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const ESRCH: Errno = Errno(libc::ESRCH);
const DECIDERS: &[&str] = &["cgroup_procs_write_start", "__cgroup1_procs_write", "attach_task_by_pid"];
/// They ask every task that moves.
const CAN_ATTACH: &[&str] =
    &["cpuset_can_attach", "task_can_attach", "cpu_cgroup_can_attach", "sched_rt_can_attach"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-task",
    title: "the task that was to be moved to the cgroup is not there or cannot be moved",
    about: "\
Writing to cgroup.procs, cgroup.threads or tasks fails with ESRCH when no task has that number *in the writer's own pid
namespace*, and with EINVAL when the text is no number, or the task is a kernel thread: those belong to the root, and
cgroup_procs_write_start() in kernel/cgroup/cgroup.c refuses them, as it refuses all with fixed processors.

It surprises when a pid is taken from one pid namespace and written in another (a container that manages cgroups for
processes of the host, an engine in a container), when the process ended in between, and in scripts that move all of
`ps` out of the root, where kernel threads like kthreadd (2) are among them.",
    shows_as: &[("write", "ESRCH"), ("write", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "moves a kernel thread, or a task that is not there",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["kernel-thread", "no-such-pid"],
    },
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#processes", "kernel/cgroup/cgroup.c: cgroup_procs_write_start()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let write =
        cgroups::write(case, &[ESRCH, Errno::EINVAL]).filter(|w| cgroups::ATTACH.contains(&w.file))?;
    let (_, errno) = case.failure().syscall()?;
    let text = write.text.map(str::trim);
    let number = text.map(str::parse::<i32>);
    let task = case.state("task to move").map(|s| s.value.as_str());
    let (state, name, why) = match (errno, &number, task) {
        // Nothing else of such a file says so.
        (ESRCH, _, _) => (Some(true), "pid", gone(case, text, task)),
        (_, Some(Err(_)), _) => {
            (Some(true), "pid", format!("{:?} is no process number", text.unwrap_or_default()))
        }
        (_, Some(Ok(n)), _) if *n < 0 => (Some(true), "pid", format!("{n} is no process number")),
        (_, _, Some("kernel thread")) => (
            Some(true),
            "task",
            format!("{} is a kernel thread, which stays in the root", text.unwrap_or("it")),
        ),
        (_, _, Some(_)) => return bound(case, &write),
        _ => (None, "task", "it is a kernel thread, bound to its processors, or no number".into()),
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let sentence = format!("The task cannot be moved to {}: {why}.", write.place());
    let written = text.map(|t| format!("{t:?} was written to {} at that instant", write.file));
    let lines = written.into_iter().chain(cite_state(case, "task to move"));
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, name, write.path(write.file)))
            .because(lines),
    )
}

fn gone(case: &Case<'_>, text: Option<&str>, task: Option<&str>) -> String {
    let pid = text.unwrap_or("that number");
    match task {
        Some("not there") | None => {
            format!("no task has number {pid} in the pid namespace of {}", case.failure().task.comm)
        }
        Some(other) => format!("task {pid} was not to be found then ({other} now)"),
    }
}

/// A task that lives, whose controllers do not let it go.
fn bound(case: &Case<'_>, write: &Write<'_>) -> Option<Proof> {
    let verdict = case.verdict(CAN_ATTACH)?;
    let rt = verdict.function.contains("rt") || verdict.function.contains("cpu_cgroup");
    let (why, name) = match rt {
        true => ("it is a real-time task, and the cgroup has no real-time budget", "cpu.rt_runtime_us"),
        false => ("its processors are fixed (PF_NO_SETAFFINITY)", "task"),
    };
    let weighed = weigh(case, CAN_ATTACH, CALLERS, Some(true))?;
    let sentence = format!("The task cannot be moved to {}: {why}.", write.place());
    Some(weighed.proof(case, CAN_ATTACH, sentence, knob(KnobKind::Cgroup, name, write.path(name))))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().text_arg("written").unwrap_or("PID").trim().to_string();
    match proof.knob.name.as_str() {
        "task" => vec![step(
            "now",
            "leave it out: for p in $(cat cgroup.procs); do [ -e /proc/$p/exe ] && …; done",
            "kernel threads have no executable",
            "nothing to undo",
        )],
        "cpu.rt_runtime_us" => vec![step(
            "now",
            "echo MICROSECONDS > cpu.rt_runtime_us",
            "gives the cgroup time for real-time tasks, out of what the cgroup above has",
            "echo 0 > cpu.rt_runtime_us",
        )],
        _ => vec![look(
            format!("grep NSpid /proc/{pid}/status"),
            "the numbers of a process in each pid namespace, the outermost first: the last must be the writer's level",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::wrote;
    use crate::causes::case::ids::testing::state;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn who_is_not_there_or_the_kernels_own_is_not_moved() {
        let i = wrote("cgroup.procs", "999999", libc::ESRCH, &[("cgroup.procs", "")]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
        let mut i = wrote("cgroup.procs", "2", libc::EINVAL, &[("cgroup.procs", "")]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        state(&mut i, "task to move", "kernel thread");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
        let i = wrote("cgroup.procs", "abc", libc::EINVAL, &[("cgroup.procs", "")]);
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("no process number"));
    }

    #[test]
    fn a_living_task_and_another_file_are_no_case() {
        let mut i = wrote("cgroup.procs", "7", libc::EINVAL, &[("cgroup.procs", "")]);
        state(&mut i, "task to move", "lives");
        assert!(judge_with(&CAUSE, &i).is_none());
        assert!(judge_with(&CAUSE, &wrote("memory.max", "x", libc::EINVAL, &[])).is_none());
    }
}
