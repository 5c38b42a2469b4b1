//! A path of a mount is not there: source, target, device or new root.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, PlaceKind, Remedy};

const CALLS: &[&str] = &[
    "mount",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fspick",
    "pivot_root",
    "mount_setattr",
    "umount2",
    "umount",
];
const ROLES: &[&str] =
    &["target", "source", "from_pathname", "to_pathname", "pathname", "new_root", "put_old"];
const DECIDERS: &[&str] = &[];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-path-missing",
    title: "a path of the mount is not there",
    about: "\
mount(2) says ENOENT, \"No such file or directory\", for any of its paths and does not say which: the target, the source of a bind, the node
of a device. Engines make the target inside the image themselves, so it is mostly the source: a host folder that is not
there where the engine runs (another machine, the virtual machine of a desktop engine, the root of a containerised
kubelet), a name with a trailing blank, a device node that udev has not made in the container's /dev. A dangling symbolic link counts too.",
    shows_as: &[("mount", "ENOENT"), ("move_mount", "ENOENT"), ("open_tree", "ENOENT"), ("pivot_root", "ENOENT"), ("umount2", "ENOENT"), ("mount_setattr", "ENOENT")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "binds a source that is not there, or to a target that is not", risk: "none: nothing is mounted", variants: &["source", "target"] },
    see: &["mount(2), ENOENT", "fs/namei.c: walk_component(); block/bdev.c: lookup_bdev()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno::ENOENT)?;
    let new = call == "mount" && case.mount_work() == MountWork::New;
    let needs_device = case.mounting().and_then(|m| m.needs_device) == Some(true);
    let asked = |place: &&Place| {
        ROLES.contains(&place.role.as_str()) && (place.role != "source" || !new || needs_device)
    };
    let gone: Vec<&Place> = case
        .places()
        .filter(asked)
        .filter(|p| matches!(p.kind, PlaceKind::Absent | PlaceKind::NoFolder))
        .collect();
    let looked = case.places().filter(asked).count() > 0;
    let Some(place) = gone.first() else {
        // All of its paths are there: an option names what is missing (overlay), or it came since.
        return (!looked && !case.is_new_overlay(Errno::ENOENT)).then(|| unread(case, call)).flatten();
    };
    let dangling =
        if place.error.is_some() && place.kind == PlaceKind::Absent { "" } else { ", not even its folder" };
    Claim {
        deciders: DECIDERS,
        callers: &[
            "path_pivot_root",
            "do_move_mount",
            "get_tree_bdev",
            "get_tree_bdev_flags",
            "mount_bdev",
            "ext4_mount",
            "ext4_get_tree",
            "blkdev_get_by_path",
        ],
        state: Some(true),
        sentence: format!(
            "The {} of this {call}, {}, is not there{dangling}.",
            words(&place.role),
            place.path
        ),
        knob: knob(KnobKind::File, "path", place.path.clone()),
        evidence: gone.iter().map(|p| lies(p)).collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn unread(case: &Case<'_>, call: &str) -> Option<Proof> {
    let path =
        ["source", "target", "pathname", "new_root"].iter().find_map(|n| case.failure().text_arg(n))?;
    Claim {
        deciders: DECIDERS,
        callers: &[],
        state: None,
        sentence: format!("A path of this {call} is not there, as {path}."),
        knob: knob(KnobKind::File, "path", path),
        evidence: Vec::new(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn words(role: &str) -> &str {
    match role {
        "from_pathname" | "source" => "source",
        "to_pathname" | "target" => "target",
        "new_root" => "new root",
        "put_old" => "place for the old root",
        other => other,
    }
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let is_device = matches!(case.mount_work(), MountWork::New)
        && case.failure().text_arg("source") == Some(path.as_str());
    let now = match is_device {
        true => fix(
            "now",
            "lsblk -o NAME,SIZE,TYPE,FSTYPE,MOUNTPOINTS",
            "the block devices that there are; a container sees those that it was given: docker run --device",
            "reads only",
        ),
        false => fix(
            "now",
            format!("mkdir -p {path}"),
            "if it is a folder to be mounted on, or an empty source is right; `docker run -v` makes a missing source, `--mount` does not",
            "rmdir it",
        ),
    };
    vec![
        fix(
            "look",
            format!("namei -l {path}"),
            "where the mounting process runs: shows the first part that is not there",
            "reads only",
        ),
        now,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact};

    #[test]
    fn the_path_that_is_gone_is_named() {
        let mut i = incident("mount", Errno::ENOENT, vec![]);
        set_args(&mut i, &[("source", "/gone"), ("target", "/m")], &[("flags", libc::MS_BIND)]);
        i.facts.push(Fact::Place(place("target", "/m", "rw")));
        assert_eq!(judge_with(&CAUSE, &i), None, "all that was looked at is there");
        i.facts.push(Fact::Place(Place { kind: PlaceKind::Absent, ..place("source", "/gone", "rw") }));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.path.as_str()), (Confidence::Proven, "/gone"));
        assert!(f.remedy.iter().any(|r| r.command == "mkdir -p /gone"));
    }

    #[test]
    fn a_device_that_is_gone_is_not_made_as_a_folder() {
        let mut i = incident("mount", Errno::ENOENT, vec![]);
        set_args(&mut i, &[("source", "/dev/x"), ("target", "/m"), ("fstype", "ext4")], &[("flags", 0)]);
        i.facts.push(Fact::Place(Place { kind: PlaceKind::Absent, ..place("source", "/dev/x", "rw") }));
        let f = judge_with(&CAUSE, &i).unwrap();
        assert!(f.remedy.iter().all(|r| !r.command.starts_with("mkdir")));
    }

    #[test]
    fn the_source_of_a_tmpfs_is_a_word() {
        let mut i = incident("mount", Errno::ENOENT, vec![]);
        set_args(&mut i, &[("source", "/x"), ("target", "/m"), ("fstype", "tmpfs")], &[("flags", 0)]);
        i.facts.push(Fact::Place(place("target", "/m", "rw")));
        i.facts.push(Fact::Place(Place { kind: PlaceKind::Absent, ..place("source", "/x", "rw") }));
        assert_eq!(judge_with(&CAUSE, &i), None);
    }
}
