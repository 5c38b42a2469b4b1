//! The kernel ended the process, and memory had nothing to do with it: RLIMIT_CPU, or the end of its pid namespace.

use super::case::ceiling::cite;
use super::case::claim::{knob, look, step};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, FailureKind, Killer, KnobKind, Remedy, spaced};

/// The name under which the reading of the processor time travels.
const CPU_TIME: &str = "RLIMIT_CPU";

pub(super) static CAUSE: Cause = Cause {
    slug: "killed-by-kernel",
    title: "the kernel ended the process: RLIMIT_CPU, or pid 1 of its pid namespace has ended",
    about: "\
A process ends with exit code 137 (128 + SIGKILL), nobody sent the signal, and nothing was out of memory. Two things
besides the OOM killer do it. When the first process of a pid namespace ends, zap_pid_ns_processes() in
kernel/pid_namespace.c kills all others: `docker exec` sessions and helpers die with 137 in the instant in which the
container's main process ends, for whatever reason that was. And a process that has used RLIMIT_CPU seconds of processor
time gets SIGXCPU at the soft limit and SIGKILL at the hard one (check_process_timers(), kernel/time/posix-cpu-timers.c).

SIGXCPU, \"CPU time limit exceeded\", ends a program that does not handle it with exit code 152 (128 + 24).

It surprises because both look like `kill -9` or an OOM kill, and leave nothing in the kernel's log.",
    shows_as: &[("killed", "SIGKILL"), ("fault", "SIGXCPU")],
    deciders: &[],
    reads: &[],
    // The signal's own record says that the kernel sent it, and its word about OOM victims did not follow.
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("unshare --fork --pid sh -c 'sleep 9 &' : the sleep ends with its namespace"),
    see: &["pid_namespaces(7), The namespace init process", "getrlimit(2), RLIMIT_CPU", "kernel/pid_namespace.c: zap_pid_ns_processes()"],
};

/// The soft limit: SIGXCPU, which ends a program that does not handle it. check_rlimit() sends it, for RLIMIT_CPU and,
/// to tasks of a real-time policy that did not sleep for so long, for RLIMIT_RTTIME.
fn soft_limit(case: &Case<'_>) -> Option<Proof> {
    let FailureKind::Fault { signal, .. } = &case.failure().kind else { return None };
    let task = &case.failure().task;
    (signal == "SIGXCPU").then(|| Proof {
        confidence: Confidence::Likely,
        sentence: format!(
            "{} (pid {}) used the processor time of its soft limit, RLIMIT_CPU, and the kernel ended it by SIGXCPU.",
            task.comm, task.pid
        ),
        knob: knob(KnobKind::Rlimit, "RLIMIT_CPU", format!("/proc/{}/limits", task.pid)),
        limit: None,
        usage: None,
        unit: "seconds".into(),
        evidence: vec!["signal:signal_generate: the kernel's own SIGXCPU, to the process that ran".into()],
        missing: vec!["whether it was RLIMIT_RTTIME, which only tasks with a real-time policy can reach".into()],
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = soft_limit(case) {
        return Some(proof);
    }
    let FailureKind::Killed { signal, by } = &case.failure().kind else { return None };
    let task = &case.failure().task;
    let (who, pid) = (&task.comm, task.pid);
    match by {
        Killer::Init { init } => Some(Proof {
            confidence: Confidence::Proven,
            sentence: format!(
                "{init} was pid 1 of a pid namespace and ended, and {who} (pid {pid}) was ended with it."
            ),
            knob: knob(KnobKind::Other, "life of pid 1", "/proc/PID/ns/pid"),
            limit: None,
            usage: None,
            unit: String::new(),
            evidence: vec![format!(
                "signal:signal_generate: the kernel's own {signal}, sent while {init} ended; no OOM kill was announced"
            )],
            missing: vec![],
        }),
        Killer::Kernel if signal == "SIGKILL" => {
            let reading = case.incident.readings_of(CPU_TIME).next();
            let reached =
                reading.is_some_and(|r| r.usage.zip(r.ceiling).is_some_and(|(used, most)| used >= most));
            // The time of a process that ends may be read a tick too early.
            let (confidence, missing) = match (reached, reading) {
                (true, _) => (Confidence::Proven, vec![]),
                (false, Some(r)) if r.ceiling.is_some() => {
                    (Confidence::Likely, vec!["processor time that has reached the limit".into()])
                }
                _ => (Confidence::Possible, vec!["its processor time and RLIMIT_CPU".into()]),
            };
            let most = reading
                .and_then(|r| r.ceiling)
                .map_or_else(|| "its limit".into(), |n| format!("{} s", spaced(n)));
            Some(Proof {
                confidence,
                sentence: format!(
                    "{who} (pid {pid}) used {most} of processor time, the hard limit of RLIMIT_CPU, and the kernel ended it."
                ),
                knob: knob(KnobKind::Rlimit, "RLIMIT_CPU", format!("/proc/{pid}/limits")),
                limit: reading.and_then(|r| r.ceiling),
                usage: reading.and_then(|r| r.usage),
                unit: "seconds".into(),
                evidence: reading
                    .map(cite)
                    .into_iter()
                    .chain([format!(
                        "signal:signal_generate: the kernel's own {signal}, to the process that ran"
                    )])
                    .collect(),
                missing,
            })
        }
        _ => None,
    }
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::Rlimit {
        return vec![
            step(
                "now",
                "docker run --ulimit cpu=-1 … (a service: LimitCPU=infinity)",
                "no limit of processor time for its processes",
                "start it with the limit",
            ),
            look(
                "prlimit --cpu -p PID",
                "the limit that the process inherited, and from whom: its parent has the same",
            ),
        ];
    }
    vec![
        look(
            "docker inspect -f '{{.State.ExitCode}} {{.State.OOMKilled}} {{.State.Error}}' CONTAINER",
            "why the main process ended: that is the question",
        ),
        step(
            "for good",
            "docker run --init …",
            "an init that outlives a main process only as long as that runs: it does not keep the others alive, and ends in order",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::called;
    use crate::causes::case::testing::judge_with;
    use crate::model::{Incident, Reading, Taken};

    fn killed(by: Killer) -> Incident {
        let mut i = called("kill", 1, 0);
        i.failure.kind = FailureKind::Killed { signal: "SIGKILL".into(), by };
        i
    }

    #[test]
    fn the_end_of_the_namespace_and_the_processor_time_are_told_apart() {
        let f = judge_with(&CAUSE, &killed(Killer::Init { init: "sh (pid 7)".into() })).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        assert!(f.sentence.starts_with("sh (pid 7) was pid 1"));
        let mut i = killed(Killer::Kernel);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        i.failure.readings.push(Reading {
            limit: CPU_TIME.into(),
            scope: String::new(),
            ceiling: Some(2),
            usage: Some(2),
            adds: None,
            hits: None,
            unit: "seconds".into(),
            taken: Taken::AtInstant,
            source: "/proc".into(),
        });
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "RLIMIT_CPU"));
    }

    #[test]
    fn the_soft_limit_of_processor_time_ends_by_a_signal_of_its_own() {
        let by = |signal: &str| {
            let mut i = called("kill", 1, 0);
            let (code, address) = (String::new(), None);
            i.failure.kind = FailureKind::Fault { signal: signal.into(), code, address, syscall: None };
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(by("SIGXCPU"), Some((Confidence::Likely, "RLIMIT_CPU".into())));
        assert_eq!(by("SIGXFSZ"), None);
    }

    #[test]
    fn oom_kills_and_processes_are_others() {
        assert!(
            judge_with(&CAUSE, &killed(Killer::Oom { cgroup: None, witness: None, asked: String::new() }))
                .is_none()
        );
    }
}
