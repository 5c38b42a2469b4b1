//! The file lies on a mount with noexec.

use super::case::modes::path;
use super::case::rights::{INTERPRETER, objects, refused, seccomp_stands};
use super::case::signs::lies;
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

/// mmap(2) with PROT_EXEC: do_mmap() asks the same question, with another errno.
fn mapped(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["mmap", "mmap2"], &[libc::EPERM])?;
    case.failure().number_arg("prot").filter(|prot| prot & libc::PROT_EXEC as u64 != 0)?;
    let place = case.place("fd").filter(|p| p.flag("noexec") == Some(true))?;
    let mount = place.mount.as_ref()?;
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!(
            "{} lies on {} ({}), which is mounted noexec: it cannot be mapped as code (a library, a plugin).",
            place.path, mount.point, mount.fstype
        ),
        knob: Knob { kind: KnobKind::MountOption, name: "noexec".into(), path: mount.point.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![lies(place)],
        missing: vec![],
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = mapped(case) {
        return Some(proof);
    }
    refused(case, &["execve", "execveat"], &[libc::EACCES])?;
    // The program, or the interpreter that starts it.
    let object =
        objects(case).find(|o| o.kind == ObjectKind::Regular && o.mount_flag("noexec") == Some(true))?;
    let mount = object.mount.as_ref()?;
    let path = if object.role == INTERPRETER { object.path.clone() } else { path(case) };
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
    use crate::causes::case::testing::{file, incident, judge_with, place, set_args, with_object};
    use crate::model::{Errno, Fact, Filters, MountSeen, PathObject};

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
        let mut script = with_object("execve", Errno::EACCES, on("rw,nosuid"));
        let interpreter =
            PathObject { role: INTERPRETER.into(), path: "/opt/perl".into(), ..on("rw,noexec") };
        script.facts.push(Fact::PathObject(Box::new(interpreter)));
        assert!(judge_with(&CAUSE, &script).unwrap().sentence.starts_with("/opt/perl"));
    }

    #[test]
    fn a_library_on_such_a_mount_cannot_be_mapped_as_code() {
        let mapped = |prot: i32, flags: &str| {
            let mut i = incident("mmap", Errno::EPERM, vec![]);
            i.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
            set_args(&mut i, &[], &[("prot", prot as u64), ("fd", 3)]);
            i.facts.push(Fact::Place(place("fd", "/tmp/libjna.so", flags)));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(mapped(libc::PROT_READ | libc::PROT_EXEC, "rw,noexec"), Some(Confidence::Proven));
        assert_eq!(mapped(libc::PROT_READ, "rw,noexec"), None);
        assert_eq!(mapped(libc::PROT_EXEC, "rw"), None);
    }
}
