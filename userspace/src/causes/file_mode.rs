//! Owner and mode of a file, or of a folder on the way to it, do not let the task in.

use super::case::modes::{self, Denial, EXECUTE, Judged};
use super::case::rights::{cite, identity, object, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, Knob, KnobKind, ObjectKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "file-mode",
    title: "owner and mode of the file forbid it",
    about: "\
EACCES, \"Permission denied\": the kernel goes along the path and asks each folder for search permission (x), then the \
file for what is to be done with it. One of three classes counts, owner, group or others, and only that one. Container \
root often is denied because engines leave out nothing of CAP_DAC_OVERRIDE, but a user namespace does: there the \
capability counts only over files whose owner has a number inside, and a host's volume belongs to \"nobody\". A program \
copied into an image without its x bit (COPY from Windows, a ConfigMap with mode 0644) cannot be started even by root. \
A folder of mode 0700 on the way hides all that lies below it. To connect to a local socket, /var/run/docker.sock for one, \
takes write permission on its file.",
    shows_as: &[
        ("execve", "EACCES"),
        ("openat", "EACCES"),
        ("open", "EACCES"),
        ("mkdir", "EACCES"),
        ("unlink", "EACCES"),
        ("rename", "EACCES"),
        ("chdir", "EACCES"),
        ("newfstatat", "EACCES"),
        ("connect", "EACCES"),
        ("bind", "EACCES"),
    ],
    deciders: &["generic_permission", "acl_permission_check", "inode_permission", "posix_acl_permission"],
    reads: &[],
    rivals: &[
        Rival {
            name: "a seccomp filter answered instead of the kernel",
            ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
            stands: seccomp_stands,
        },
        Rival { name: "the mount is noexec", ruled_out_by: "its flags in mountinfo", stands: noexec_stands },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens or starts, as an unprivileged user, a file that its mode forbids",
        risk: "none: a file in a temporary folder",
        variants: &["read", "execute", "search", "create"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man7/path_resolution.7.html",
        "fs/namei.c: generic_permission(), acl_permission_check(), may_lookup()",
    ],
};

/// Where the permission check stands, where the compiler inlined it, and what hands its errno up.
const ABOVE: &[&str] = &[
    "may_open",
    "link_path_walk",
    "path_openat",
    "do_open_execat",
    "may_create",
    "may_delete",
    "may_lookup",
    "lookup_open",
    "may_create_dentry",
    "may_delete_dentry",
    "do_open",
];

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (name, errno) = case.failure().syscall()?;
    if errno != Errno::EACCES {
        return None;
    }
    // A memory file has the mode that a switch gave it, which is a cause of its own.
    if name.starts_with("execve") && made_unexecutable(case) {
        return None;
    }
    // A folder is refused before its mode is looked at (may_open() in fs/namei.c).
    if name.starts_with("execve") && object(case).is_some_and(|o| o.kind == ObjectKind::Folder) {
        return None;
    }
    let seen = case.verdict(CAUSE.deciders).is_some();
    let elsewhere =
        case.decided_elsewhere(CAUSE.deciders).filter(|f| !ABOVE.contains(f) && !f.starts_with("__x64_sys"));
    let Judged::Denied(denial) = modes::judge(case) else {
        return seen.then(|| by_verdict(case, name)).flatten();
    };
    let mut missing = Vec::new();
    let confidence = match elsewhere {
        Some(other) => {
            missing.push(format!("the kernel path points to {other} instead"));
            Confidence::Likely
        }
        None => Confidence::Proven,
    };
    let mut evidence = vec![format!(
        "{} ms after it {} had mode {:04o}, owner {}, group {}",
        object(case).map_or(0, |o| o.after_ns / 1_000_000),
        denial.at.path,
        denial.at.mode,
        denial.at.uid,
        denial.at.gid
    )];
    evidence.extend(cite(case));
    Some(Proof {
        confidence,
        sentence: sentence(case, &denial),
        knob: Knob { kind: KnobKind::File, name: "mode".into(), path: denial.at.path.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

fn sentence(case: &Case<'_>, denial: &Denial<'_>) -> String {
    let kind = if denial.is_folder { "folder" } else { "file" };
    let (path, mode) = (&denial.at.path, denial.at.mode);
    let user = identity(case).map_or_else(String::new, |who| format!(" (user {})", who.uids[3]));
    let nobody = !denial.is_folder && denial.wants & EXECUTE != 0 && mode & 0o111 == 0;
    if nobody {
        return format!("The file {path} has mode {mode:04o}: nobody may execute it, not even root.");
    }
    format!(
        "The {kind} {path} has mode {mode:04o} and belongs to {}:{}, which does not let {}{user} {} it as one of {}.",
        denial.at.uid,
        denial.at.gid,
        case.failure().task.comm,
        modes::words(denial.wants, denial.is_folder),
        denial.class
    )
}

/// The kernel's check was seen to refuse, but what was found again does not show why: an access list, a network or
/// FUSE file system that judges itself, or a mode that has changed.
fn by_verdict(case: &Case<'_>, name: &str) -> Option<Proof> {
    // It names no file: what is checked is the cgroup.procs of the cgroup that its child is to start in.
    if name == "clone3" {
        return None;
    }
    let path = modes::path(case);
    Some(Proof {
        confidence: Confidence::Likely,
        sentence: format!("The permission check of {path} refused {name}."),
        knob: Knob { kind: KnobKind::File, name: "mode".into(), path },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: case
            .verdict(CAUSE.deciders)
            .map(|v| format!("{} said no", v.function))
            .into_iter()
            .collect(),
        missing: vec!["owner, mode and access list that show it".into()],
    })
}

/// execve(2) asks for the mount's flag before the mode.
fn noexec_stands(case: &Case<'_>) -> Option<String> {
    let exec = case.failure().syscall().is_some_and(|(name, _)| name.starts_with("execve"));
    let noexec = exec && object(case).is_some_and(|o| o.mount_flag("noexec") == Some(true));
    noexec.then(|| "its mount is noexec as well".into())
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let own = identity(case).map_or(0, |who| who.uids[3]);
    let (command, effect, undo) = match modes::judge(case) {
        Judged::Denied(d) if !d.is_folder && d.wants == EXECUTE => (
            format!("chmod +x {path}"),
            "it may be executed; in a Dockerfile COPY --chmod=0755, in git `git update-index --chmod=+x`, in a ConfigMap \
             or Secret volume defaultMode: 0755",
            format!("chmod {:04o} {path}", d.at.mode),
        ),
        Judged::Denied(d) if d.is_folder && d.wants == EXECUTE => (
            format!("chmod o+x {path}"),
            "everybody may pass through the folder; they see what lies below, but not the folder's list",
            format!("chmod {:04o} {path}", d.at.mode),
        ),
        Judged::Denied(d) if !d.is_folder && is_socket(case) && d.at.mode & 0o020 != 0 => (
            format!("docker run --group-add {} … (Kubernetes: securityContext.supplementalGroups)", d.at.gid),
            "the task is of the group that may connect; who may use the socket of an engine is root on its host",
            "start it without the option".into(),
        ),
        Judged::Denied(d) => (
            format!("chown {own} {path}"),
            "the task owns it; for a volume run the container as its owner (--user, runAsUser, fsGroup), or map ids",
            format!("chown {}:{} {path}", d.at.uid, d.at.gid),
        ),
        _ => (format!("getfacl {path}"), "shows who may do what with it", String::new()),
    };
    vec![Remedy { when: "now".into(), command, effect: effect.into(), undo }]
}

fn made_unexecutable(case: &Case<'_>) -> bool {
    object(case).is_some_and(|o| o.path.contains("/memfd:"))
        && case.state("vm.memfd_noexec").is_some_and(|s| s.value != "0")
}

fn is_socket(case: &Case<'_>) -> bool {
    object(case).is_some_and(|o| o.kind == ObjectKind::Socket)
}

#[cfg(test)]
#[path = "file_mode_tests.rs"]
mod tests;
