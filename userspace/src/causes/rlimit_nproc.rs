//! The user may not have another process or thread.

use super::case::{
    ceiling::{Ceiling, cite},
    tasks,
};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::tasks::{NPROC, PID_MAX, PIDS_MAX, THREADS_MAX};
use crate::model::{Errno, Reading, Remedy, spaced};

/// The check is in `copy_process()` and `do_execveat_common()` themselves where this is inlined.
const DECIDERS: &[&str] = &["is_rlimit_overlimit", "is_ucounts_overlimit"];

const CEILING: Ceiling = Ceiling {
    limit: &NPROC,
    deciders: DECIDERS,
    callers: &[
        "copy_process",
        "copy_creds",
        "do_execveat_common",
        "ns_capable",
        "ns_capable_common",
        "capable",
    ],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-nproc",
    title: "the user may not have another process (RLIMIT_NPROC, ulimit -u)",
    about: "\
fork(2), clone(2) and clone3(2) fail with EAGAIN, \"Resource temporarily unavailable\", or execve(2) does right
after setuid(2). copy_process() in kernel/fork.c counts all processes and threads of the real user and compares
them with the caller's own RLIMIT_NPROC. execve is refused when a program has changed to a user who is over the
limit: setuid itself always succeeds, so that no program stays privileged by mistake.

It surprises because the count goes by user id and not by container: without user namespaces uid 1000 in ten
containers, and on the host, is one user, and a limit that is plenty for one container stops all. Since 5.14 the
count is kept for each user namespace and every one around it. The first user (root of the host) and processes
with CAP_SYS_RESOURCE or CAP_SYS_ADMIN there are exempt.",
    shows_as: &[
        ("clone", "EAGAIN"),
        ("clone3", "EAGAIN"),
        ("fork", "EAGAIN"),
        ("vfork", "EAGAIN"),
        ("execve", "EAGAIN"),
    ],
    deciders: DECIDERS,
    reads: &[&NPROC, &PIDS_MAX, &THREADS_MAX, &PID_MAX],
    rivals: &[
        Rival {
            name: "pids.max",
            ruled_out_by: "room in the cgroup and all around it at that instant",
            stands: but_exec::pids,
        },
        Rival {
            name: "kernel.threads-max",
            ruled_out_by: "a tenth or more of the machine's tasks still free",
            stands: but_exec::threads,
        },
        Rival {
            name: "kernel.pid_max",
            ruled_out_by: "free numbers in the pid namespace and all around it",
            stands: but_exec::numbers,
        },
        Rival {
            name: "a deadline task",
            ruled_out_by: "the task's scheduling policy at that instant",
            stands: but_exec::deadline,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "becomes a user that nobody is, with RLIMIT_NPROC of 3, and forks until that is refused",
        risk: "none: at most three short-lived processes of an unused user id",
        variants: &["fork"],
    },
    see: &[
        "getrlimit(2), RLIMIT_NPROC; execve(2), EAGAIN",
        "kernel/fork.c: copy_process(); fs/exec.c: do_execveat_common()",
        "kernel/ucount.c: is_rlimit_overlimit()",
    ],
};

/// The rivals refuse new tasks only: execve(2) has no other source of EAGAIN in the kernel proper.
mod but_exec {
    use super::{Case, tasks};

    pub(super) fn pids(case: &Case<'_>) -> Option<String> {
        tasks::refused(case).then(|| tasks::pids_stands(case)).flatten()
    }

    pub(super) fn threads(case: &Case<'_>) -> Option<String> {
        tasks::refused(case).then(|| tasks::threads_stand(case)).flatten()
    }

    pub(super) fn numbers(case: &Case<'_>) -> Option<String> {
        tasks::refused(case).then(|| tasks::numbers_stand(case)).flatten()
    }

    pub(super) fn deadline(case: &Case<'_>) -> Option<String> {
        tasks::refused(case).then(|| tasks::deadline_stands(case)).flatten()
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if !tasks::refused(case) && case.denied(&["execve", "execveat"], Errno::EAGAIN).is_none() {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let sentence = sentence(case, judged.reached);
    let mut proof = judged.proof(case, &CEILING, sentence);
    proof.knob.path = format!("/proc/{}/limits", case.failure().task.pid);
    let others = [&PIDS_MAX, &THREADS_MAX, &PID_MAX];
    proof.evidence.extend(others.into_iter().filter_map(|l| case.reading(l)).map(cite));
    Some(proof)
}

fn sentence(case: &Case<'_>, reading: Option<&Reading>) -> String {
    let task = &case.failure().task;
    match reading.and_then(|r| Some((r, r.usage?, r.ceiling?))) {
        Some((r, used, most)) => format!(
            "User {} has {} processes and threads in {}, and the RLIMIT_NPROC of {} allows {}.",
            task.uid,
            spaced(used),
            r.scope,
            task.comm,
            spaced(most)
        ),
        None => format!(
            "User {} may have no more processes than the RLIMIT_NPROC of {} allows.",
            task.uid, task.comm
        ),
    }
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let task = &case.failure().task;
    let Some(limit) = proof.limit else {
        return vec![Remedy {
            when: "find it".into(),
            command: format!(
                "grep 'Max processes' /proc/{}/limits; ps -eLo ruid= | sort -n | uniq -c",
                task.pid
            ),
            effect: "compare the user's threads with the limit".into(),
            undo: "reads only".into(),
        }];
    };
    let double = limit.saturating_mul(2).max(64);
    vec![
        Remedy {
            when: "now".into(),
            command: format!("prlimit --pid {} --nproc={double}", task.ppid.max(1)),
            effect: "for the parent and what it starts from now on; other processes of the user keep their own limit".into(),
            undo: format!("prlimit --pid {} --nproc={limit}", task.ppid.max(1)),
        },
        Remedy {
            when: "for good".into(),
            command: format!("docker run --ulimit nproc={double} …"),
            effect: "or LimitNPROC= of a systemd unit, nproc in /etc/security/limits.conf; pids.max is the better guard, for it counts one container".into(),
            undo: "leave the option out".into(),
        },
        Remedy {
            when: "find the leak".into(),
            command: format!("ps -eLo ruid,pid,nlwp,comm | awk '$1 == {}' | sort | uniq -c | sort -n | tail", task.uid),
            effect: "all containers that run as this user id count together".into(),
            undo: "reads only".into(),
        },
    ]
}

#[cfg(test)]
#[path = "rlimit_nproc_tests.rs"]
mod tests;
