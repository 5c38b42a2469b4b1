//! The file lies on a mount with noexec.

use super::case::modes::path;
use super::case::rights::{object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, ObjectKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "noexec-mount",
    title: "the mount is noexec",
    about: "\
execve(2) says EACCES, \"Permission denied\", although the file has its x bit and root starts it: the mount it lies on \
has the flag noexec. Engines mount tmpfs (docker --tmpfs, /dev/shm) and many hosts /tmp and /var that way, so programs \
that unpack themselves there (a Java agent, a Python wheel with a shared library, an installer) fail. Mapping a library \
from it with PROT_EXEC says EPERM. The flag belongs to the mount, not to the file: the same file is fine through \
another mount.",
    shows_as: &[("execve", "EACCES"), ("execveat", "EACCES"), ("mmap", "EPERM")],
    deciders: &["path_noexec", "do_open_execat"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "starts a program from a tmpfs mounted noexec in a mount namespace of its own",
        risk: "none",
        variants: &["execve"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man8/mount.8.html",
        "fs/exec.c: do_open_execat(), path_noexec(); fs/namei.c: may_open(); mm/mmap.c: do_mmap()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["execve", "execveat"], &[libc::EACCES])?;
    let object = object(case).filter(|o| o.kind == ObjectKind::Regular)?;
    if object.mount_flag("noexec") != Some(true) {
        return None;
    }
    let mount = object.mount.as_ref()?;
    let path = path(case);
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!("{path} lies on {} ({}), which is mounted noexec.", mount.point, mount.fstype),
        knob: Knob { kind: KnobKind::MountOption, name: "noexec".into(), path: mount.point.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "{} ms after it mountinfo said of {}: {}",
            object.after_ns / 1_000_000,
            mount.point,
            mount.flags
        )],
        missing: vec![],
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let point = &proof.knob.path;
    vec![
        Remedy {
            when: "now".into(),
            command: format!("mount -o remount,bind,exec {point}"),
            effect: "whoever may write there may start what was written; inside a user namespace the flag is locked".into(),
            undo: format!("mount -o remount,bind,noexec {point}"),
        },
        Remedy {
            when: "for good".into(),
            command: format!("docker run --tmpfs {point}:exec …"),
            effect: "or let the program unpack elsewhere (TMPDIR, -Djava.io.tmpdir)".into(),
            undo: "start it without the option".into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};
    use crate::model::{Errno, MountSeen, PathObject};

    fn on(flags: &str) -> PathObject {
        let object = file("/tmp/run", 0o755);
        PathObject {
            mount: object.mount.clone().map(|m| MountSeen { flags: flags.into(), point: "/tmp".into(), ..m }),
            ..object
        }
    }

    #[test]
    fn the_flag_is_proven_and_a_mount_without_it_is_another_story() {
        let f = judge_with(&CAUSE, &with_object("execve", Errno::EACCES, on("rw,nosuid,noexec"))).unwrap();
        assert_eq!(
            (f.knob.name.as_str(), f.knob.path.as_str(), f.confidence),
            ("noexec", "/tmp", Confidence::Proven)
        );
        assert_eq!(judge_with(&CAUSE, &with_object("execve", Errno::EACCES, on("rw,nosuid"))), None);
        assert_eq!(judge_with(&CAUSE, &with_object("openat", Errno::EACCES, on("rw,noexec"))), None);
    }
}
