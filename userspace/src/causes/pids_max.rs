//! The container's cgroup, or one around it, may not hold another task.

use super::case::{ceiling::cite, tasks};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::tasks::{NPROC, PID_MAX, PIDS_MAX, THREADS_MAX};
use crate::model::{Confidence, Knob, KnobKind, Reading, Remedy, Taken, spaced};

const DECIDERS: &[&str] = &["pids_can_fork", "pids_try_charge"];

pub(super) static CAUSE: Cause = Cause {
    slug: "pids-max",
    title: "the cgroup may not hold another task (pids.max)",
    about: "\
fork(2), clone(2) and clone3(2) fail with EAGAIN, \"Resource temporarily unavailable\"; shells say \"fork: retry\"
or \"Cannot fork\", Go programs \"failed to create new OS thread\", Java \"unable to create native thread\". The
pids controller counts processes and threads of a cgroup and of everything below it, and pids_try_charge() in
kernel/cgroup/pids.c refuses when one more would exceed pids.max.

It surprises because threads count, because zombies count until they are waited for, because memory and the
user's own limit (ulimit -u) are fine, and because every level counts: the container may have plenty of room
while its pod, slice or user session (systemd's TasksMax) has none. Engines set it by --pids-limit, kubelet by
podPidsLimit.",
    shows_as: &[("clone", "EAGAIN"), ("clone3", "EAGAIN"), ("fork", "EAGAIN"), ("vfork", "EAGAIN")],
    deciders: DECIDERS,
    reads: &[&PIDS_MAX, &NPROC, &THREADS_MAX, &PID_MAX],
    rivals: &[
        Rival {
            name: "RLIMIT_NPROC",
            ruled_out_by: "the user's count and limit at that instant, or a user who is exempt",
            stands: tasks::nproc_stands,
        },
        Rival {
            name: "kernel.threads-max",
            ruled_out_by: "a tenth or more of the machine's tasks still free",
            stands: tasks::threads_stand,
        },
        Rival {
            name: "kernel.pid_max",
            ruled_out_by: "free numbers in the pid namespace and all around it",
            stands: tasks::numbers_stand,
        },
        Rival {
            name: "a deadline task",
            ruled_out_by: "the task's scheduling policy at that instant",
            stands: tasks::deadline_stands,
        },
        Rival {
            name: "another cgroup",
            ruled_out_by: "clone3's flags without CLONE_INTO_CGROUP",
            stands: tasks::into_other_cgroup,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes a cgroup with pids.max of 4, enters it, and forks until that is refused",
        risk: "none: the cgroup is its own and is removed afterwards; at most four short-lived processes",
        variants: &["own", "ancestor"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/cgroup-v2.html#pid",
        "kernel/cgroup/pids.c: pids_can_fork(), pids_try_charge()",
        "fork(2), EAGAIN",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    if !tasks::refused(case) {
        return None;
    }
    let reading = case.reading(&PIDS_MAX);
    let exceeded = reading.and_then(Reading::exceeded);
    let seen = case.verdict(DECIDERS).is_some();
    let elsewhere = case.decided_elsewhere(DECIDERS).filter(|f| !is_caller(f));
    let at_instant = reading.is_some_and(|r| r.taken == Taken::AtInstant);
    let other = tasks::into_other_cgroup(case);
    let mut missing = Vec::new();
    let confidence = match (exceeded, seen, elsewhere) {
        (Some(false) | None, _, Some(_)) => return None,
        // The child's own cgroup may be the full one.
        (Some(false), false, None) if other.is_some() => Confidence::Possible,
        (Some(false), false, None) => return None,
        (Some(true), _, Some(other)) => {
            missing.push(format!("the kernel path points to {other} instead"));
            Confidence::Likely
        }
        (Some(true), _, None) if at_instant => Confidence::Proven,
        (Some(true), ..) => {
            missing.push("the count was read after the call, not by the probe at that instant".into());
            Confidence::Likely
        }
        (_, true, _) => {
            missing.push("the count of the cgroup that refused, at that instant".into());
            Confidence::Likely
        }
        (None, ..) => {
            missing.push("the task counts of the cgroup and those around it at that instant".into());
            Confidence::Possible
        }
    };
    let certain = reading.filter(|_| exceeded == Some(true));
    Some(Proof {
        confidence,
        sentence: sentence(case, certain),
        knob: Knob {
            kind: KnobKind::Cgroup,
            name: PIDS_MAX.id.into(),
            path: certain.and_then(file).unwrap_or("pids.max of the cgroup").into(),
        },
        limit: certain.and_then(|r| r.ceiling),
        usage: certain.and_then(|r| r.usage),
        unit: PIDS_MAX.unit.into(),
        evidence: evidence(case),
        missing,
    })
}

/// Functions that only hand the verdict on.
fn is_caller(function: &str) -> bool {
    ["copy_process", "cgroup_can_fork"].contains(&function)
}

fn sentence(case: &Case<'_>, reading: Option<&Reading>) -> String {
    let who = &case.failure().task.comm;
    let Some((r, used, most)) = reading.and_then(|r| Some((r, r.usage?, r.ceiling?))) else {
        return format!("A cgroup that {who}'s new task belongs to may not hold another one (pids.max).");
    };
    let whose = if is_own(case, r) { "its own cgroup" } else { "a cgroup around its own" };
    format!(
        "The {}, {whose}, holds {} tasks, and its pids.max allows {}: {who} got no new one.",
        place(r),
        spaced(used),
        spaced(most)
    )
}

/// `cgroup /a/b`, or with the id where the path is unknown.
fn place(r: &Reading) -> &str {
    match r.scope.split_once(" (id ") {
        Some((place, _)) if place.contains('/') => place,
        _ => &r.scope,
    }
}

/// Whether the reading is of the task's own cgroup.
fn is_own(case: &Case<'_>, r: &Reading) -> bool {
    case.failure().task.cgroups.iter().any(|c| r.scope.contains(&format!("(id {})", c.id)))
}

/// The file behind a reading, which the sampler adds to its source.
fn file(r: &Reading) -> Option<&str> {
    r.source.rsplit("; ").next().filter(|path| path.starts_with('/'))
}

fn evidence(case: &Case<'_>) -> Vec<String> {
    let mut lines: Vec<String> = [&PIDS_MAX, &NPROC, &THREADS_MAX, &PID_MAX]
        .into_iter()
        .filter_map(|l| case.reading(l))
        .map(cite)
        .collect();
    if let Some(v) = case.verdict(DECIDERS) {
        lines.push(format!("{} said no (found by {})", v.function, v.method));
    }
    lines
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let Some(limit) = proof.limit else {
        return vec![Remedy {
            when: "find it".into(),
            command: format!("cat /proc/{}/cgroup", case.failure().task.pid),
            effect: "then compare pids.current with pids.max there and in every folder above".into(),
            undo: "reads only".into(),
        }];
    };
    let double = limit.saturating_mul(2).max(64);
    let path = &proof.knob.path;
    let folder = path.strip_suffix("/pids.max").unwrap_or(path);
    let id = case.incident.container.as_ref().map_or("CONTAINER", |c| c.label());
    vec![
        Remedy {
            when: "now".into(),
            command: format!("echo {double} > {path}"),
            effect: "for this cgroup and all below it, at once; levels around it keep their own limit".into(),
            undo: format!("echo {limit} > {path}"),
        },
        Remedy {
            when: "for good".into(),
            command: format!("docker update --pids-limit {double} {id}"),
            effect: "or what set it: --pids-limit of other engines, podPidsLimit of kubelet, TasksMax= of a systemd unit".into(),
            undo: format!("docker update --pids-limit {limit} {id}"),
        },
        Remedy {
            when: "find the leak".into(),
            command: format!("xargs -n1 ps -o pid,stat,nlwp,comm -p < {folder}/cgroup.procs"),
            effect: "many threads in one process (NLWP) or zombies (Z) that nobody waits for fill any limit".into(),
            undo: "reads only".into(),
        },
    ]
}

#[cfg(test)]
#[path = "pids_max_tests.rs"]
mod tests;
