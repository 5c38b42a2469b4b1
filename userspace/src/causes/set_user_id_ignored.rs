//! A set-user-ID program that runs as whoever started it.

use super::case::claim::{knob, look, step};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, FailureKind, IgnoredSetId, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "set-user-id-ignored",
    title: "the set-user-ID or set-group-ID bit of a program had no effect",
    about: "\
sudo says \"effective uid is not 0\" or \"no new privileges\", su and ping say that they may not, although the file has the \
bit and belongs to root. execve(2) succeeded: the kernel starts such a program as whoever started it, without a word, when \
the task has set no_new_privs or the file lies on a mount with nosuid (fs/exec.c bprm_fill_uid, mnt_may_suid).

It surprises because no call fails. Engines set no_new_privs for `docker run --security-opt no-new-privileges` and for \
allowPrivilegeEscalation: false in Kubernetes; systemd for NoNewPrivileges=yes; bwrap and every program that installs a \
seccomp filter as a user. The same holds for set-group-ID programs. It is inherited by all children and cannot be taken back. nosuid is on most tmpfs mounts and on \
the volumes of some storage drivers.",
    shows_as: &[("silent", "set-user-ID"), ("silent", "set-group-ID")],
    deciders: &[],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "starts a set-user-ID program under no_new_privs, or from a nosuid mount",
        risk: "none: the program lies on a tmpfs in a mount namespace of its own",
        variants: &["no-new-privs", "nosuid", "group"],
    },
    see: &[
        "https://docs.kernel.org/userspace-api/no_new_privs.html",
        "execve(2), \"set-user-ID\"; mount(8), nosuid",
        "fs/exec.c: bprm_fill_uid(); fs/namespace.c: mnt_may_suid()",
    ],
};

fn ignored<'a>(case: &Case<'a>) -> Option<&'a IgnoredSetId> {
    match &case.failure().kind {
        FailureKind::IgnoredSetId(ignored) => Some(ignored),
        _ => None,
    }
}

/// The probe saw the bit, the user and the reason at that instant, and these are the kernel's own conditions.
fn explain(case: &Case<'_>) -> Option<Proof> {
    let program = ignored(case)?;
    let task = &case.failure().task;
    let why = match (program.no_new_privs, program.nosuid) {
        (true, true) => "it was started under no_new_privs, and lies on a nosuid mount",
        (true, false) => "it was started under no_new_privs",
        (false, true) => "it lies on a nosuid mount",
        (false, false) => return None,
    };
    let knob = match program.no_new_privs {
        true => knob(KnobKind::Other, "no_new_privs", format!("/proc/{}/status: NoNewPrivs", task.pid)),
        false => knob(KnobKind::MountOption, "nosuid", ""),
    };
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!(
            "{0} is a set-{3}-ID program of {3} {1}, but runs as {3} {2}: {why}.",
            program.program,
            program.owner,
            program.euid,
            program.whose()
        ),
        knob,
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "when it was started {} had mode {:04o} and {}; it ran as {} {}, no_new_privs {}, nosuid {}",
            program.program,
            program.mode,
            if program.of_group {
                format!("group {}", program.owner)
            } else {
                format!("owner {}", program.owner)
            },
            program.whose(),
            program.euid,
            u8::from(program.no_new_privs),
            u8::from(program.nosuid)
        )],
        missing: vec![],
    })
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let Some(program) = ignored(case) else { return vec![] };
    let mut out = Vec::new();
    if program.no_new_privs {
        out.push(step(
            "now",
            "docker run without --security-opt no-new-privileges; allowPrivilegeEscalation: true in Kubernetes",
            "set-user-ID programs and file capabilities in the container work again: what breaks in may use them too",
            "put the option back",
        ));
    }
    if program.nosuid {
        out.push(look(
            format!("findmnt -T {} -o TARGET,FSTYPE,OPTIONS", program.program),
            "the mount with nosuid; move the program to another one, or mount that without the option",
        ));
    }
    out.push(step(
        "prevent",
        "start the container as the user that the work needs (--user, runAsUser), with the capabilities it needs (--cap-add)",
        "needs neither sudo nor set-user-ID programs",
        "leave the options out",
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with};
    use crate::model::Errno;

    fn started(no_new_privs: bool, nosuid: bool) -> Option<(Confidence, String)> {
        let mut incident = incident("execve", Errno::EPERM, vec![]);
        let program = "/usr/bin/sudo".into();
        let seen = IgnoredSetId {
            program,
            mode: 0o4755,
            owner: 0,
            euid: 1000,
            no_new_privs,
            nosuid,
            of_group: false,
        };
        incident.failure.kind = FailureKind::IgnoredSetId(seen);
        judge_with(&CAUSE, &incident).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn what_the_kernel_asks_is_the_proof() {
        assert_eq!(started(true, false), Some((Confidence::Proven, "no_new_privs".into())));
        assert_eq!(started(true, true), Some((Confidence::Proven, "no_new_privs".into())));
        assert_eq!(started(false, true), Some((Confidence::Proven, "nosuid".into())));
        assert_eq!(started(false, false), None);
    }

    #[test]
    fn a_refused_execve_is_another_story() {
        assert!(judge_with(&CAUSE, &incident("execve", Errno::EPERM, vec![])).is_none());
    }
}
