//! proc(5) hides other users' processes.

use super::case::rights::{Holds, Scope, cite, holds, identity, object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "hidepid",
    title: "/proc hides other users' processes",
    about: "\
A file below /proc/PID of another user's process says EPERM, or is not there at all (ENOENT): that /proc is mounted with \
hidepid=1 (folders are seen, nothing inside can be opened) or hidepid=2 (they are not even seen); since 5.8 also \
hidepid=ptraceable. Monitoring agents then see only their own processes. The group of gid= and holders of CAP_SYS_PTRACE \
are exempt.",
    shows_as: &[
        ("open", "EPERM"),
        ("openat", "EPERM"),
        ("openat", "ENOENT"),
        ("readlink", "EPERM"),
        ("newfstatat", "ENOENT"),
    ],
    deciders: &["proc_pid_permission", "has_pid_permissions", "pid_getattr", "proc_pid_lookup"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "mounts a proc with hidepid in a pid and mount namespace of its own and looks into it as a user",
        risk: "none",
        variants: &["1"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man5/proc.5.html",
        "fs/proc/base.c: proc_pid_permission(), has_pid_permissions()",
    ],
};

const CALLS: &[&str] = &[
    "open",
    "openat",
    "openat2",
    "readlink",
    "readlinkat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "chdir",
];

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = refused(case, CALLS, &[libc::EPERM, libc::ENOENT])?;
    let object = object(case)?;
    let mount = object.mount.as_ref().filter(|m| m.fstype == "proc")?;
    let option = |name: &str| mount.options.split(',').find_map(|o| o.strip_prefix(name));
    let mode = option("hidepid=").filter(|mode| !["0", "off"].contains(mode))?;
    let hides = matches!(mode, "2" | "invisible" | "4" | "ptraceable");
    // With 1 the errno is EPERM; with 2 the process is not there for the task, while diag still sees it.
    let there = object.own.is_some()
        && !matches!(object.kind, crate::model::ObjectKind::Absent | crate::model::ObjectKind::NoWay);
    if (errno == Errno::ENOENT) != hides || errno == Errno::ENOENT && !there {
        return None;
    }
    let who = identity(case)?;
    let exempt = option("gid=").and_then(|gid| gid.parse().ok()).is_some_and(|gid| who.in_group(gid));
    let owner = process_owner(case);
    if exempt || holds(case, "CAP_SYS_PTRACE", Scope::Own) == Holds::Yes || owner == Some(who.uids[3]) {
        return None;
    }
    let mut evidence = cite(case);
    evidence.push(format!("{} is mounted with {}", mount.point, mount.options));
    evidence.extend(
        case.verdict(CAUSE.deciders).map(|v| format!("{} said no (found by {})", v.function, v.method)),
    );
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!(
            "{} is mounted with hidepid={mode}, which keeps {} of user {} from {}.",
            mount.point,
            case.failure().task.comm,
            who.uids[3],
            object.path
        ),
        knob: Knob { kind: KnobKind::MountOption, name: "hidepid".into(), path: mount.point.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing: vec![],
    })
}

/// The owner of the process folder, which is the last folder on the way that is a number.
fn process_owner(case: &Case<'_>) -> Option<u32> {
    let folders = &object(case)?.folders;
    let is_process = |path: &str| path.rsplit('/').next().is_some_and(|name| name.parse::<u32>().is_ok());
    folders.iter().rev().find(|f| is_process(&f.path)).map(|f| f.uid)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let point = &proof.knob.path;
    vec![Remedy {
        when: "now".into(),
        command: format!("mount -o remount,hidepid=0 {point}"),
        effect: "everybody sees all processes of that pid namespace and their command lines; gid=GROUP exempts one group \
                 alone, CAP_SYS_PTRACE one container"
            .into(),
        undo: format!("mount -o remount,hidepid=1 {point}"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, judge_with, with_object};
    use crate::model::{Finding, MountSeen, PathObject, Permissions};

    fn judge(options: &str, errno: Errno, uid: u32, caps: u64) -> Option<Finding> {
        let object = file("p/1/status", 0o444);
        let mount = MountSeen {
            point: "/p".into(),
            fstype: "proc".into(),
            options: options.into(),
            flags: "rw".into(),
        };
        let folder = Permissions { path: "p/1".into(), ..object.folders[0].clone() };
        let object = PathObject { mount: Some(mount), folders: vec![folder], ..object };
        judge_with(&CAUSE, &by_user(with_object("openat", errno, object), uid, caps))
    }

    #[test]
    fn the_option_is_proven_for_a_stranger() {
        let f = judge("rw,hidepid=noaccess", Errno::EPERM, 1000, 0).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("hidepid", Confidence::Proven));
        assert!(judge("rw,hidepid=1", Errno::EPERM, 1000, 0).is_some());
        assert!(judge("rw,hidepid=invisible", Errno::ENOENT, 1000, 0).is_some());
    }

    #[test]
    fn without_it_or_for_its_owner_or_the_exempt_it_is_something_else() {
        assert_eq!(judge("rw", Errno::EPERM, 1000, 0), None);
        assert_eq!(judge("rw,hidepid=1", Errno::EPERM, 0, 0), None);
        assert_eq!(judge("rw,hidepid=1", Errno::EPERM, 1000, 1 << 19), None);
        assert_eq!(judge("rw,hidepid=1,gid=1000", Errno::EPERM, 1000, 0), None);
        assert_eq!(judge("rw,hidepid=1", Errno::ENOENT, 1000, 0), None);
    }
}
