//! Who may gain privileges by execve(2) must not sandbox itself.

use super::case::rights::{Holds, Scope, cite, credentials, holds, identity, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "no-new-privs-missing",
    title: "a sandbox without no_new_privs",
    about: "\
seccomp(2) and prctl(PR_SET_SECCOMP) say EACCES, landlock_restrict_self(2) says EPERM, to a process without \
CAP_SYS_ADMIN in its user namespace that has not set no_new_privs. A filter outlives execve(2): without the promise that \
no program it starts gains privileges, it could blind a set-user-ID program. Programs that sandbox themselves as root in \
tests fail like this once they run as a user: the missing call is prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), before.",
    shows_as: &[("seccomp", "EACCES"), ("prctl", "EACCES"), ("landlock_restrict_self", "EPERM")],
    deciders: &[
        "do_seccomp",
        "seccomp_prepare_filter",
        "seccomp_set_mode_filter",
        "__x64_sys_landlock_restrict_self",
    ],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "installs a filter as an unprivileged user without no_new_privs",
        risk: "none: the filter is refused",
        variants: &["seccomp", "landlock"],
    },
    see: &[
        "https://docs.kernel.org/userspace-api/no_new_privs.html",
        "kernel/seccomp.c: seccomp_prepare_filter(); security/landlock/syscalls.c",
    ],
};

/// `PR_SET_SECCOMP` with `SECCOMP_MODE_FILTER`, seccomp(2) with `SECCOMP_SET_MODE_FILTER`.
fn is_sandbox(case: &Case<'_>) -> Option<&'static str> {
    let number = |arg: &str| case.failure().number_arg(arg);
    if refused(case, &["landlock_restrict_self"], &[libc::EPERM]).is_some() {
        return Some("a Landlock domain");
    }
    let (name, _) = refused(case, &["seccomp", "prctl"], &[libc::EACCES])?;
    let filter = match name {
        "seccomp" => number("operation") == Some(1),
        _ => number("op") == Some(22) && number("arg2").is_none_or(|mode| mode == 2),
    };
    filter.then_some("a seccomp filter")
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let what = is_sandbox(case)?;
    let promised =
        credentials(case).and_then(|(c, _)| c.no_new_privs).or_else(|| identity(case)?.no_new_privs);
    let admin = holds(case, "CAP_SYS_ADMIN", Scope::Own);
    let mut missing = Vec::new();
    let confidence = match (promised, admin) {
        (Some(true), _) | (_, Holds::Yes) => return None,
        (Some(false), Holds::No) => Confidence::Proven,
        _ => {
            missing.push("no_new_privs and the capabilities of the task".into());
            Confidence::Possible
        }
    };
    let mut evidence = cite(case);
    if promised == Some(false) {
        evidence.push("NoNewPrivs was 0".into());
    }
    Some(Proof {
        confidence,
        sentence: format!(
            "{} asked for {what} without no_new_privs, which only CAP_SYS_ADMIN in its user namespace may.",
            case.failure().task.comm
        ),
        knob: Knob {
            kind: KnobKind::Other,
            name: "no_new_privs".into(),
            path: format!("/proc/{}/status", case.failure().task.pid),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![Remedy {
        when: "for good".into(),
        command:
            "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) before it; or docker run --security-opt no-new-privileges"
                .into(),
        effect:
            "no program it starts gains privileges any more: set-user-ID programs as sudo or ping lose theirs"
                .into(),
        undo: "none for that process: the promise cannot be taken back".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{argument, by_user, file, judge_with, with_object};
    use crate::model::{ArgValue, Errno, Fact, Incident};

    fn asked(call: &str, errno: Errno, promised: bool, caps: u64) -> Incident {
        let mut incident = by_user(with_object(call, errno, file("/", 0)), 1000, caps);
        for fact in &mut incident.facts {
            if let Fact::Identity(who) = fact {
                who.no_new_privs = Some(promised);
            }
        }
        argument(&mut incident, "operation", ArgValue::Number(1));
        incident
    }

    #[test]
    fn without_the_promise_it_is_proven() {
        let f = judge_with(&CAUSE, &asked("seccomp", Errno::EACCES, false, 0)).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("no_new_privs", Confidence::Proven));
        assert!(judge_with(&CAUSE, &asked("landlock_restrict_self", Errno::EPERM, false, 0)).is_some());
    }

    #[test]
    fn with_the_promise_or_the_capability_it_is_something_else() {
        assert_eq!(judge_with(&CAUSE, &asked("seccomp", Errno::EACCES, true, 0)), None);
        assert_eq!(judge_with(&CAUSE, &asked("seccomp", Errno::EACCES, false, 1 << 21)), None);
        assert_eq!(judge_with(&CAUSE, &asked("seccomp", Errno::EINVAL, false, 0)), None);
    }
}
