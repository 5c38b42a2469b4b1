//! A file cannot be mounted on a folder, nor a folder on a file.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, PlaceKind, Remedy};

const ENOTDIR: Errno = Errno(libc::ENOTDIR);
const DECIDERS: &[&str] = &[];
const CALLERS: &[&str] = &[
    "attach_recursive_mnt",
    "do_move_mount",
    "do_loopback",
    "do_add_mount",
    "do_new_mount",
    "do_new_mount_fc",
    "path_mount",
    "do_move_mount_old",
    "graft_tree",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-kinds-differ",
    title: "a file on a folder, or a folder on a file",
    about: "\
A bind mount fails with ENOTDIR, \"Not a directory\": source and target are of two kinds. `docker run -v ./config.yml:/etc/app.yml` with a source that
does not exist makes a folder of that name on the host, and the next start mounts that folder on a file of the image; engines ask \"Are you
trying to mount a directory onto a file (or vice-versa)?\". A relative path, a file that a deployment has not written yet, or a
ConfigMap key that is not there (subPath) leads to it too.",
    shows_as: &[("mount", "ENOTDIR"), ("move_mount", "ENOTDIR")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "binds a folder on a file and a file on a folder", risk: "none: nothing is mounted", variants: &["folder-on-file", "file-on-folder"] },
    see: &["mount(2), ENOTDIR", "fs/namespace.c: graft_tree()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mount", "move_mount"], ENOTDIR)?;
    let target = case.place("target").or_else(|| case.place("to_pathname"));
    let source = case.place("source").or_else(|| case.place("from_pathname"));
    let new = call == "mount" && case.mount_work() == MountWork::New;
    if new && case.is_new_overlay(ENOTDIR) {
        return None;
    }
    let folder = |k: PlaceKind| k == PlaceKind::Folder;
    let state = match (source.filter(|_| !new), target) {
        (Some(s), Some(t)) if s.exists() && t.exists() => Some(folder(s.kind) != folder(t.kind)),
        // A new file system begins with a folder.
        (None, Some(t)) if new && t.exists() => Some(!folder(t.kind)),
        (_, Some(t)) if t.kind == PlaceKind::NoFolder => None,
        _ => None,
    };
    let (path, words) = match (source.filter(|_| !new), target) {
        (Some(s), Some(t)) if folder(t.kind) => {
            (s.path.clone(), format!("{} is no folder, and its target {} is one.", s.path, t.path))
        }
        (Some(s), Some(t)) => {
            (s.path.clone(), format!("{} is a folder, and its target {} is none.", s.path, t.path))
        }
        (None, Some(t)) => {
            (t.path.clone(), format!("{} is no folder, and a file system begins with one.", t.path))
        }
        _ => (
            String::new(),
            "A folder and a file cannot be mounted on each other, and a part of a path must be a folder."
                .into(),
        ),
    };
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence: words,
        knob: knob(KnobKind::File, "source and target", path),
        evidence: [source, target].into_iter().flatten().map(lies).collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![
        fix(
            "look",
            format!("stat {path}"),
            "on the host: an empty folder where a file should be was made by an earlier start",
            "reads only",
        ),
        fix(
            "now",
            format!("rmdir {path}, write the file, start again"),
            "with an absolute path; `--mount type=bind` refuses a missing source where -v makes a folder",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Place};

    #[test]
    fn both_kinds_are_looked_at() {
        let finding = |source, target| {
            let mut i = incident("mount", ENOTDIR, vec![]);
            set_args(&mut i, &[("source", "/s"), ("target", "/t")], &[("flags", libc::MS_BIND)]);
            i.facts.extend(
                [("source", "/s", source), ("target", "/t", target)]
                    .map(|(r, p, kind)| Fact::Place(Place { kind, ..place(r, p, "rw") })),
            );
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(finding(PlaceKind::File, PlaceKind::Folder), Some(Confidence::Proven));
        assert_eq!(finding(PlaceKind::Folder, PlaceKind::File), Some(Confidence::Proven));
        assert_eq!(finding(PlaceKind::Folder, PlaceKind::Folder), None);
    }
}
