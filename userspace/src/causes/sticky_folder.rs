//! In a sticky folder only owners remove and rename.

use super::case::rights::{Holds, Scope, holds, identity, objects, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "sticky-folder",
    title: "a sticky folder keeps other users' files",
    about: "\
unlink(2), rmdir(2) and rename(2) say EPERM, \"Operation not permitted\", although everybody may write to the folder: it has \
the sticky bit, as /tmp and /dev/shm (mode 1777). There a name may be removed or renamed only by the file's owner, the \
folder's owner, or with CAP_FOWNER over the file. A container that runs as another user than the one that left the file in \
a shared volume meets it; so does root of a user namespace when the file's owner has no number inside.",
    shows_as: &[
        ("unlink", "EPERM"),
        ("unlinkat", "EPERM"),
        ("rmdir", "EPERM"),
        ("rename", "EPERM"),
        ("renameat2", "EPERM"),
    ],
    deciders: &["may_delete", "__check_sticky", "may_delete_dentry"],
    reads: &[],
    rivals: &[
        Rival {
            name: "a seccomp filter answered instead of the kernel",
            ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
            stands: seccomp_stands,
        },
        Rival {
            name: "the file is immutable or append-only",
            ruled_out_by: "its attributes, read again",
            stands: immutable,
        },
    ],
    explain,
    remedy,
    fault: Fault::Action {
        about: "removes another user's file from a sticky folder",
        risk: "none: a temporary folder",
        variants: &["unlink", "rename"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man2/unlink.2.html",
        "fs/namei.c: may_delete(), __check_sticky()",
    ],
};

const CALLS: &[&str] = &["unlink", "unlinkat", "rmdir", "rename", "renameat", "renameat2"];

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, CALLS, &[libc::EPERM])?;
    let who = identity(case)?;
    let (own, folder) = objects(case).find_map(|object| {
        let (own, folder) = (object.own.as_ref()?, object.folder()?);
        let absent =
            matches!(object.kind, crate::model::ObjectKind::Absent | crate::model::ObjectKind::NoWay);
        let stranger = own.uid != who.uids[3] && folder.uid != who.uids[3];
        (!absent && folder.mode & 0o1000 != 0 && stranger).then_some((own, folder))
    })?;
    let exempt = match holds(case, "CAP_FOWNER", Scope::Own) {
        Holds::Yes => who.first_user_ns != Some(false) || who.maps(own.uid, own.gid) != Some(false),
        _ => false,
    };
    if exempt {
        return None;
    }
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!(
            "{} is sticky (mode {:04o}), and {} belongs to user {}: {} (user {}) may not remove or rename it.",
            folder.path,
            folder.mode,
            own.path,
            own.uid,
            case.failure().task.comm,
            who.uids[3]
        ),
        knob: Knob { kind: KnobKind::File, name: "sticky bit".into(), path: folder.path.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "{} has mode {:04o} and owner {}, {} owner {}; CAP_FOWNER was not held over it",
            folder.path, folder.mode, folder.uid, own.path, own.uid
        )],
        missing: vec![],
    })
}

fn immutable(case: &Case<'_>) -> Option<String> {
    let guarded = |p: &crate::model::Permissions| p.immutable == Some(true) || p.append_only == Some(true);
    let found = objects(case)
        .find_map(|o| o.own.iter().chain(o.folder()).find(|p| guarded(p)).map(|p| p.path.clone()));
    found.map(|path| format!("{path} is immutable or append-only"))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![Remedy {
        when: "for good".into(),
        command:
            "run as the user that owns the files (--user, runAsUser), or give each its own folder (TMPDIR)"
                .into(),
        effect: format!(
            "chmod -t {} would let everybody remove everybody's files: not on a shared /tmp",
            proof.knob.path
        ),
        undo: format!("chmod +t {}", proof.knob.path),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, judge_with, with_object};
    use crate::model::{Errno, Finding, Permissions};

    fn judge(owner: u32, mode: u32, uid: u32, caps: u64) -> Option<Finding> {
        let mut object = file("/tmp/f", 0o666);
        object.own.as_mut().unwrap().uid = owner;
        object.folders.push(Permissions { path: "/tmp".into(), mode, ..object.folders[0].clone() });
        judge_with(&CAUSE, &by_user(with_object("unlink", Errno::EPERM, object), uid, caps))
    }

    #[test]
    fn a_stranger_s_file_and_the_exceptions() {
        let f = judge(1000, 0o1777, 1001, 0).unwrap();
        assert_eq!((f.knob.path.as_str(), f.confidence), ("/tmp", Confidence::Proven));
        assert_eq!(judge(1001, 0o1777, 1001, 0), None, "its own");
        assert_eq!(judge(1000, 0o777, 1001, 0), None, "not sticky");
        assert_eq!(judge(1000, 0o1777, 1001, 1 << 3), None, "CAP_FOWNER");
    }
}
