//! Another process sent the signal that ended this one.

use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, FailureKind, Killer, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "killed-by-process",
    title: "another process sent the signal",
    about: "\
A container ends with exit code 137 or 143 (128 + SIGKILL or SIGTERM) and nothing was out of memory. A
process sent the signal: an engine whose stop timeout ran out, a supervisor or a liveness probe, a watchdog,
a user-space OOM daemon (systemd-oomd, earlyoom), or a person. The dead cannot tell who it was, and neither
can wait(2); the kernel knows it only at the instant of kill(2).",
    shows_as: &[("killed", "SIGKILL"), ("killed", "SIGTERM")],
    deciders: &[],
    reads: &[],
    // The kernel's own tracepoint names the sender: nothing else gives that record.
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("kill -9 any process that diag watches"),
    see: &["https://man7.org/linux/man-pages/man7/signal.7.html", "kernel/signal.c: __send_signal_locked()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let FailureKind::Killed { signal, by: Killer::Process { pid, comm, uid, container, without_call, .. } } =
        &case.incident.failure.kind
    else {
        return None;
    };
    let task = &case.failure().task;
    let parent = if task.ppid == *pid && *pid != 0 { ", its parent" } else { "" };
    let place = container.as_ref().map_or_else(String::new, |c| format!(" in container {c}"));
    let victim = format!("{} (pid {})", task.comm, task.pid);
    // The kernel sends these in the name of the task that runs: of one that writes to cgroup.kill, or of a parent
    // that ends (kernel/exit.c reparent_leader(), kernel/cgroup/cgroup.c __cgroup_kill()).
    let oomd = comm.starts_with("systemd-oomd") || comm.starts_with("earlyoom");
    let ended = *without_call && task.ppid == *pid && !oomd;
    let sentence = match (ended, *without_call) {
        (true, _) => format!(
            "{comm} (pid {pid}, its parent){place} ended, and {victim} had asked for {signal} then (PR_SET_PDEATHSIG)."
        ),
        (false, true) => format!(
            "{comm} (pid {pid}){place} killed the whole cgroup of {victim} by cgroup.kill{}.",
            if oomd { ", because of memory pressure" } else { "" }
        ),
        (false, false) => format!(
            "{comm} (pid {pid}{parent}){place} sent {signal} to {victim}; the kernel's OOM killer did not."
        ),
    };
    let missing = if ended {
        vec!["that the parent ended, and did not write to cgroup.kill instead".into()]
    } else {
        vec![]
    };
    Some(Proof {
        confidence: if ended { Confidence::Likely } else { Confidence::Proven },
        sentence,
        knob: Knob { kind: KnobKind::Other, name: signal.clone(), path: String::new() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!("signal:signal_generate showed {comm}, pid {pid}, uid {uid}, as the sender")],
        missing,
    })
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let FailureKind::Killed { by: Killer::Process { pid, .. }, .. } = &case.incident.failure.kind else {
        return vec![];
    };
    vec![Remedy {
        when: "now".into(),
        command: format!("tr '\\0' ' ' < /proc/{pid}/cmdline"),
        effect: "says what the sender is, while it lives; its own log says why".into(),
        undo: "nothing to undo".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Failure, Host, Incident, Stamp, Task};

    fn incident(by: Killer) -> Incident {
        Incident {
            host: Host::default(),
            container: None,
            failure: Failure {
                time: Stamp::default(),
                task: Task { pid: 5, tid: 5, ppid: 9, comm: "sleep".into(), ..Task::default() },
                kind: FailureKind::Killed { signal: "SIGKILL".into(), by },
                readings: vec![],
            },
            count: 1,
            last: Stamp::default(),
            step: None,
            graph: None,
            no_graph: None,
            readings: vec![],
            facts: vec![],
            suspects: vec![],
            owners: vec![],
            loss: Default::default(),
            cost: None,
        }
    }

    #[test]
    fn the_sender_is_named_with_its_container() {
        let by = Killer::Process {
            pid: 9,
            comm: "watchdog".into(),
            uid: 0,
            cgroups: vec![],
            container: Some("guard-1".into()),
            without_call: false,
        };
        let i = incident(by);
        let f = CAUSE.judge(&Case { incident: &i, path: None }).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        assert_eq!(
            f.sentence,
            "watchdog (pid 9, its parent) in container guard-1 sent SIGKILL to sleep (pid 5); the kernel's \
             OOM killer did not."
        );
    }

    #[test]
    fn a_parent_that_ends_and_cgroup_kill_are_no_kill_2() {
        let by = |pid, comm: &str| Killer::Process {
            pid,
            comm: comm.into(),
            uid: 0,
            cgroups: vec![],
            container: None,
            without_call: true,
        };
        let i = incident(by(9, "sh"));
        let f = CAUSE.judge(&Case { incident: &i, path: None }).unwrap();
        assert!(
            f.sentence.contains("PR_SET_PDEATHSIG") && f.confidence == Confidence::Likely,
            "{}",
            f.sentence
        );
        let i = incident(by(77, "systemd-oomd"));
        let f = CAUSE.judge(&Case { incident: &i, path: None }).unwrap();
        assert!(f.sentence.contains("cgroup.kill, because of memory pressure"), "{}", f.sentence);
    }

    #[test]
    fn kills_by_the_kernel_are_not_claimed() {
        let oom = Killer::Oom { cgroup: None, witness: None, asked: "x (pid 1)".into() };
        for by in [oom, Killer::Kernel] {
            let i = incident(by);
            assert!(CAUSE.judge(&Case { incident: &i, path: None }).is_none());
        }
    }
}
