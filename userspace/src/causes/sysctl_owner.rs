//! A sysctl that belongs to the machine, not to the container.

use super::case::rights::{cite, credentials, identity, object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "sysctl-owner",
    title: "the sysctl belongs to the host",
    about: "\
Opening a file below /proc/sys for writing says EACCES, \"Permission denied\" (sysctl -w shows it as \"permission denied on \
key\"), although the process is root in its container. Modes of sysctls are judged by the kernel's own rule: the owner's \
bits are for uid 0 of the first user namespace, and CAP_DAC_OVERRIDE does not count. Only sysctls that belong to a \
namespace (net.*, kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*, user.*, kernel.hostname) belong to root of the user \
namespace that owns it. Where /proc/sys is mounted read-only instead, as in all unprivileged containers, the error is \
EROFS.",
    shows_as: &[("open", "EACCES"), ("openat", "EACCES"), ("access", "EACCES"), ("write", "EPERM")],
    deciders: &["sysctl_perm", "test_perm", "proc_sys_permission"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens a sysctl of the machine for writing as root of a user namespace",
        risk: "none: nothing is written",
        variants: &["user-namespace", "user"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/index.html",
        "fs/proc/proc_sysctl.c: proc_sys_permission(), sysctl_perm(), test_perm(); ipc/ipc_sysctl.c",
    ],
};

/// The name of a sysctl by its path: `kernel.pid_max`.
pub(in crate::causes) fn sysctl(case: &Case<'_>) -> Option<String> {
    let given = object(case).map(|o| o.whole.as_deref().unwrap_or(&o.path).to_owned());
    let given = given.or_else(|| case.failure().text_arg("pathname").map(str::to_owned))?;
    let (_, rest) = given.split_once("/proc/sys/").or_else(|| {
        given
            .split_once("/sys/")
            .filter(|_| object(case).and_then(|o| o.mount.as_ref()).is_some_and(|m| m.fstype == "proc"))
    })?;
    (!rest.is_empty()).then(|| rest.replace('/', "."))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(
        case,
        &["open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2"],
        &[libc::EACCES],
    )?;
    let name = sysctl(case)?;
    let object = object(case)?;
    let perm = object.own.as_ref()?;
    let euid = credentials(case).map(|(c, _)| c.euid).or_else(|| identity(case).map(|who| who.uids[1]))?;
    let writes = case.failure().number_arg("flags").or_else(|| case.failure().number_arg("mode"))?;
    let opened = case.failure().syscall().is_some_and(|(call, _)| call.starts_with("open"));
    let wants = match (opened, writes & 3) {
        (true, 0) => 4,
        (true, 1) => 2,
        (true, _) => 6,
        (false, _) => writes as u32 & 6,
    };
    // `test_perm()`: the owner's bits for the owner, the group's for gid 0, else others'; nothing overrides them.
    let bits = if euid == perm.uid {
        perm.mode >> 6
    } else if identity(case).is_some_and(|who| who.gids[1] == perm.gid || who.groups.contains(&perm.gid)) {
        perm.mode >> 3
    } else {
        perm.mode
    };
    let seen = case.verdict(CAUSE.deciders);
    let denied = bits & wants != wants;
    if !denied && seen.is_none() {
        return None;
    }
    let inside = credentials(case).is_some_and(|(c, _)| !c.in_first_namespace());
    let who = if inside { "root of a user namespace is somebody else" } else { "it is not root" };
    let mut evidence = cite(case);
    evidence.push(format!(
        "/proc/sys/{} has mode {:04o} and belongs to {}",
        name.replace('.', "/"),
        perm.mode,
        perm.uid
    ));
    evidence.extend(seen.map(|v| format!("{} said no (found by {})", v.function, v.method)));
    Some(Proof {
        confidence: if denied { Confidence::Proven } else { Confidence::Likely },
        sentence: format!(
            "{name} belongs to user {} of the machine, and to {} {who}: no capability overrules that.",
            perm.uid,
            case.failure().task.comm
        ),
        knob: Knob {
            kind: KnobKind::Sysctl,
            name: name.clone(),
            path: format!("/proc/sys/{}", name.replace('.', "/")),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing: vec![],
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let name = &proof.knob.name;
    vec![Remedy {
        when: "for good".into(),
        command: format!("sysctl -w {name}=… on the host, and a file in /etc/sysctl.d"),
        effect:
            "for the whole machine and all containers; only sysctls of a namespace can be set per container \
                 (docker run --sysctl, securityContext.sysctls)"
                .into(),
        undo: format!("sysctl -w {name}=OLD"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{argument, by_user, file, judge_with, with_object};
    use crate::model::{ArgValue, Errno, Incident, PathObject};

    fn opened(path: &str, uid: u32, flags: u64) -> Incident {
        let object = PathObject { whole: Some(path.into()), ..file(path, 0o644) };
        let mut incident = by_user(with_object("openat", Errno::EACCES, object), uid, u64::MAX >> 23);
        argument(&mut incident, "flags", ArgValue::Number(flags));
        incident
    }

    #[test]
    fn not_root_of_the_machine_may_read_but_not_write() {
        let f = judge_with(&CAUSE, &opened("/proc/sys/kernel/pid_max", 1000, 1)).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("kernel.pid_max", Confidence::Proven));
        assert_eq!(judge_with(&CAUSE, &opened("/proc/sys/kernel/pid_max", 1000, 0)), None, "others may read");
        assert_eq!(judge_with(&CAUSE, &opened("/proc/sys/kernel/pid_max", 0, 1)), None, "root may write");
        assert_eq!(judge_with(&CAUSE, &opened("/etc/passwd", 1000, 1)), None);
    }
}
