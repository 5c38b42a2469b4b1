//! Yama lets a process trace its own descendants only.

use super::case::rights::{Holds, Scope, holds, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "yama-scope",
    title: "kernel.yama.ptrace_scope forbids tracing",
    about: "\
strace -p, gdb -p and py-spy say \"Operation not permitted\" although both processes belong to the same user: with \
kernel.yama.ptrace_scope = 1, the default of most distributions, only an ancestor may trace a process, unless that has \
allowed it (PR_SET_PTRACER) or the tracer has CAP_SYS_PTRACE. With 2 only the capability helps, with 3 nothing does until \
the next boot. The switch is the whole machine's, containers included; it cannot be set per container.",
    shows_as: &[("ptrace", "EPERM"), ("process_vm_readv", "EPERM"), ("pidfd_getfd", "EPERM")],
    deciders: &["yama_ptrace_access_check", "yama_ptrace_traceme", "ptracer_exception_found"],
    reads: &[],
    rivals: &[
        Rival {
            name: "a seccomp filter answered instead of the kernel",
            ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
            stands: seccomp_stands,
        },
        Rival {
            name: "the other process is another user's, does not want to be read, or is traced already",
            ruled_out_by: "its users, its dumpable flag and its tracer, read again",
            stands: others_stand,
        },
    ],
    explain,
    remedy,
    fault: Fault::None(
        "the switch is the whole machine's; where it is set, any ptrace(2) of a stranger shows it",
    ),
    see: &[
        "https://docs.kernel.org/admin-guide/LSM/Yama.html",
        "security/yama/yama_lsm.c: yama_ptrace_access_check()",
    ],
};

const CALLS: &[&str] = &["ptrace", "process_vm_readv", "process_vm_writev", "pidfd_getfd", "kcmp"];
const SCOPE: &str = "kernel.yama.ptrace_scope";

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, CALLS, &[libc::EPERM])?;
    let scope: u32 = case.state(SCOPE)?.value.parse().ok()?;
    let capable = holds(case, "CAP_SYS_PTRACE", Scope::Own);
    let seen = case.verdict(CAUSE.deciders).is_some();
    let descends = case.state("target descends").map(|s| s.value == "yes");
    let bound = match scope {
        0 => false,
        1 => capable != Holds::Yes && descends != Some(true),
        2 => capable != Holds::Yes,
        _ => true,
    };
    if !bound && !seen {
        return None;
    }
    if case.decided_elsewhere(CAUSE.deciders).is_some_and(|f| f == "__ptrace_may_access") {
        return None;
    }
    let mut missing = Vec::new();
    let certain = scope >= 2 || descends == Some(false);
    let confidence = match (seen, certain && capable != Holds::Unknown) {
        (true, _) | (_, true) => Confidence::Proven,
        _ => {
            missing.push("whether the other process descends from the tracer".into());
            Confidence::Likely
        }
    };
    let target = case.state("target user").map_or("the other process", |s| s.of.as_str());
    let allowed = match scope {
        1 => "only an ancestor may trace, or who holds CAP_SYS_PTRACE",
        2 => "only who holds CAP_SYS_PTRACE may trace",
        _ => "nobody may trace",
    };
    let comm = &case.failure().task.comm;
    Some(Proof {
        confidence,
        sentence: format!("{comm} asked to trace {target}; {SCOPE} is {scope}, so {allowed}."),
        knob: Knob {
            kind: KnobKind::Sysctl,
            name: SCOPE.into(),
            path: "/proc/sys/kernel/yama/ptrace_scope".into(),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "{SCOPE} = {scope}; {target} {} from {comm}",
            if descends == Some(true) { "descends" } else { "does not descend" }
        )],
        missing,
    })
}

/// `__ptrace_may_access()` judges users and the dumpable flag before it asks Yama.
fn others_stand(case: &Case<'_>) -> Option<String> {
    if case.verdict(CAUSE.deciders).is_some() {
        return None;
    }
    let own = super::case::rights::identity(case)
        .map(|who| who.uids[0])
        .or_else(|| super::case::rights::credentials(case).map(|(c, _)| c.euid));
    let (Some(own), Some(target)) = (own, case.state("target user")) else {
        return Some("whose the other process is could not be read".into());
    };
    if !target.value.split(' ').all(|id| id.parse() == Ok(own)) {
        return Some(format!("{} is another user's", target.of));
    }
    let state = |name: &str| case.state(name).map(|s| s.value.as_str());
    if state("target dumpable") != Some("yes") {
        return Some(format!("{} may not be dumpable", target.of));
    }
    (state("target tracer").is_some_and(|tracer| tracer != "0"))
        .then(|| format!("{} is traced already", target.of))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let now = case.state(SCOPE).map_or("1", |s| s.value.as_str());
    vec![
        Remedy {
            when: "now".into(),
            command: format!("sysctl -w {SCOPE}=0"),
            effect: "on the host: each process may trace all others of its user, in every container; with 3 only a \
                     reboot helps"
                .into(),
            undo: format!("sysctl -w {SCOPE}={now}"),
        },
        Remedy {
            when: "for good".into(),
            command: "docker run --cap-add SYS_PTRACE …".into(),
            effect: "for this container alone, up to scope 2; or let the process call prctl(PR_SET_PTRACER)".into(),
            undo: "start it without the option".into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, judge_with, state, with_object};
    use crate::model::{Errno, Finding};

    fn judge(scope: &str, caps: u64, user: &str, descends: &str) -> Option<Finding> {
        let mut incident = by_user(with_object("ptrace", Errno::EPERM, file("/", 0)), 1000, caps);
        incident.facts.extend([
            state(SCOPE, "", scope),
            state("target user", "process 9 (app)", user),
            state("target dumpable", "process 9 (app)", "yes"),
            state("target tracer", "process 9 (app)", "0"),
            state("target descends", "process 9 (app)", descends),
        ]);
        judge_with(&CAUSE, &incident)
    }

    #[test]
    fn a_stranger_of_the_same_user_is_yama_s() {
        let f = judge("1", 0, "1000 1000 1000", "no").unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), (SCOPE, Confidence::Proven));
        assert!(judge("2", 0, "1000 1000 1000", "yes").is_some());
        assert!(judge("3", 1 << 19, "1000 1000 1000", "yes").is_some());
    }

    #[test]
    fn a_child_a_capability_and_scope_0_are_not() {
        assert_eq!(judge("1", 0, "1000 1000 1000", "yes"), None);
        assert_eq!(judge("1", 1 << 19, "1000 1000 1000", "no"), None);
        assert_eq!(judge("0", 0, "1000 1000 1000", "no"), None);
        assert_eq!(
            judge("1", 0, "0 0 0", "no").unwrap().confidence,
            Confidence::Likely,
            "the user refuses first"
        );
    }
}
