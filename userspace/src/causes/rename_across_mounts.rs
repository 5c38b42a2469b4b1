//! A file cannot be renamed or linked from one mount to another.

use super::case::landlock;
use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, PlaceKind, Remedy};

const EXDEV: Errno = Errno(libc::EXDEV);
const CALLS: &[&str] = &["rename", "renameat", "renameat2", "link", "linkat", "copy_file_range", "ioctl"];
/// linux/fs.h.
const FICLONE: u64 = 0x4004_9409;
const DECIDERS: &[&str] = &[];
const CALLERS: &[&str] = &[
    "do_renameat2",
    "filename_renameat2",
    "do_linkat",
    "filename_linkat",
    "vfs_rename",
    "vfs_link",
    "vfs_copy_file_range",
    "generic_copy_file_checks",
    "ovl_rename",
    "ovl_rename2",
    "ovl_can_move",
    "ext4_rename2",
    "ext4_link",
    "ext4_rename",
    "xfs_rename",
    "xfs_link",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "rename-across-mounts",
    title: "source and target lie on different mounts",
    about: "\
rename(2) and link(2) fail with EXDEV, \"Invalid cross-device link\", between two mounts, also when both show one disk: two bind mounts, two volumes, two
subPaths of one Kubernetes volume. mv(1) copies then; programs that rename for atomicity do not. On the same mount there are two
more reasons. On an overlay a folder that comes from a lower layer cannot be renamed unless redirect_dir is on: `mv` in a
Dockerfile and package managers that move folders meet it. And a folder with its own quota project (docker's storage-opt
size, XFS or ext4 project quotas) takes no file of another project. A Landlock domain of the process says the same, see
security-module.",
    shows_as: &[("rename", "EXDEV"), ("renameat2", "EXDEV"), ("link", "EXDEV"), ("linkat", "EXDEV"), ("copy_file_range", "EXDEV"), ("ioctl", "EXDEV")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "renames a file to another tmpfs, to another mount of the same one, and a lower folder of an overlay", risk: "none: in a mount namespace of its own", variants: &["rename", "bind", "link", "overlay"] },
    see: &["rename(2), link(2): EXDEV", "fs/namei.c: do_renameat2(); fs/overlayfs/dir.c: ovl_rename(); Documentation/filesystems/overlayfs.rst, Renaming directories"],
};

/// The mount, as far as a line of mountinfo names it.
fn mount(place: &Place) -> Option<(&str, &str)> {
    place.mount.as_ref().map(|m| (m.point.as_str(), m.device.as_str()))
}

/// Two folders of one mount: what remains, as far as nothing refutes it.
fn within(case: &Case<'_>, call: &str, to: &str, one_project: bool) -> String {
    let domain = match landlock::domain(case) {
        Some(false) => "",
        _ => ", or a Landlock domain of the process does not allow it (LANDLOCK_ACCESS_FS_REFER)",
    };
    match one_project {
        true => format!(
            "Both lie on one mount and in one quota project: its file system cannot do {call} there{domain}."
        ),
        false => format!(
            "The folder of {to} belongs to another quota project, or the file system cannot link there{domain}."
        ),
    }
}

/// Where it comes from and where it was to go; `None` for an ioctl(2) that is about something else.
fn ends<'a>(case: &Case<'a>, call: &str) -> Option<(Option<&'a Place>, Option<&'a Place>)> {
    Some(match call {
        "ioctl" if case.failure().number_arg("op") != Some(FICLONE) => return None,
        "ioctl" => (case.place("argp"), case.place("fd")),
        "copy_file_range" => (case.place("fd_in"), case.place("fd_out")),
        _ => (case.place("oldpath"), case.place("newpath")),
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, EXDEV)?;
    // Within one mount, by a process that has confined itself.
    if landlock::moved(case).is_some() {
        return None;
    }
    let clone = call == "ioctl";
    let (old, new) = ends(case, call)?;
    let pair = old.and_then(mount).zip(new.and_then(mount));
    // Blocks are shared within a file system, through whatever mounts (`vfs_clone_file_range()`; one mount before 5.19).
    let apart = pair.map(|(o, n)| if clone { o.1 != n.1 } else { o != n });
    if clone && apart == Some(false) {
        return None;
    }
    let call = if clone { "FICLONE (cp --reflink)" } else { call };
    let (path, to) =
        (old.map_or("the file", |p| p.path.as_str()), new.map_or("its new place", |p| p.path.as_str()));
    let fstype = old.and_then(|p| p.fstype()).unwrap_or_default();
    let both = old.and_then(|p| p.project).zip(new.and_then(|p| p.project));
    let (one_project, projects) = (both.is_some_and(|(a, b)| a == b), both.filter(|(a, b)| a != b));
    let (state, sentence, name) = match apart {
        Some(true) if pair.is_some_and(|(o, n)| o.1 == n.1) => (
            Some(true),
            format!(
                "{path} and {to} lie on two mounts of one file system ({} and {}); {call} works within one mount only.",
                pair?.0.0, pair?.1.0
            ),
            "mount",
        ),
        Some(true) => (
            Some(true),
            format!(
                "{path} and {to} lie on different mounts ({} and {}); {call} works within one only.",
                pair?.0.0, pair?.1.0
            ),
            "mount",
        ),
        Some(false) if fstype == "overlay" && old.is_some_and(|p| p.kind == PlaceKind::Folder) => (
            Some(true),
            format!(
                "{path} is a folder from a lower layer of the overlay, and those cannot be renamed without redirect_dir=on."
            ),
            "redirect_dir",
        ),
        Some(false) if projects.is_some() => (
            Some(true),
            format!(
                "{path} belongs to quota project {}, and the folder of {to} to {}.",
                projects?.0, projects?.1
            ),
            "project quota",
        ),
        Some(false) if fstype == "overlay" => {
            (None, format!("The overlay cannot do {call} for {path}."), "redirect_dir")
        }
        Some(false) => (None, within(case, call, to, one_project), "project quota"),
        None => (None, format!("{path} and {to} lie on different mounts."), "mount"),
    };
    let evidence = [old, new].into_iter().flatten().map(lies).collect();
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, name, to),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (old, new) = (
        case.failure().text_arg("oldpath").unwrap_or("OLD"),
        case.failure().text_arg("newpath").unwrap_or("NEW"),
    );
    let mut out = vec![fix(
        "now",
        format!("cp -a {old} {new}.tmp && mv {new}.tmp {new} && rm -r {old}"),
        "copies; the last step is atomic again",
        "none needed",
    )];
    if proof.knob.name == "redirect_dir" {
        out.push(fix(
            "for good",
            "echo Y > /sys/module/overlay/parameters/redirect_dir",
            "for overlays mounted from then on, for all containers; layers so made need it later too",
            "echo N > /sys/module/overlay/parameters/redirect_dir",
        ));
    } else {
        out.push(fix(
            "for good",
            "one volume that holds both places",
            "a temporary folder on the same mount as the target",
            "none needed",
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, valued};
    use crate::model::{Confidence, Fact};

    fn finding(old: (&str, &str), new: (&str, &str), fstype: &str) -> Option<(Confidence, String)> {
        let mut i = incident("rename", EXDEV, vec![]);
        for (role, (point, device)) in [("oldpath", old), ("newpath", new)] {
            let mut p = place(role, "/x", "rw");
            let m = p.mount.as_mut().unwrap();
            (m.point, m.device, m.fstype) = (point.into(), device.into(), fstype.into());
            i.facts.push(Fact::Place(p));
        }
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn mounts_overlay_and_projects() {
        assert_eq!(finding(("/a", "8:1"), ("/b", "8:2"), "ext4"), Some((Confidence::Proven, "mount".into())));
        assert_eq!(finding(("/a", "8:1"), ("/b", "8:1"), "ext4"), Some((Confidence::Proven, "mount".into())));
        assert_eq!(
            finding(("/", "0:9"), ("/", "0:9"), "overlay"),
            Some((Confidence::Proven, "redirect_dir".into()))
        );
        assert_eq!(
            finding(("/a", "8:1"), ("/a", "8:1"), "xfs"),
            Some((Confidence::Possible, "project quota".into()))
        );
    }

    #[test]
    fn blocks_are_shared_within_one_file_system() {
        let told = |op: u64, devices: [&str; 2]| {
            let mut i = valued("ioctl", EXDEV, &[("op", op)], &[], vec![]);
            for (role, device) in ["argp", "fd"].into_iter().zip(devices) {
                let mut p = place(role, "/x", "rw");
                p.mount.as_mut().unwrap().device = device.into();
                i.facts.push(Fact::Place(p));
            }
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(told(FICLONE, ["8:1", "0:9"]), Some(Confidence::Proven));
        assert_eq!(told(0x5401, ["8:1", "0:9"]), None);
    }

    #[test]
    fn a_landlock_domain_is_a_suspect_within_one_mount_unless_there_is_none() {
        let told = |domain: Option<u64>| {
            let values: Vec<(&str, u64)> = domain.map(|d| ("in a Landlock domain", d)).into_iter().collect();
            let mut i = valued("rename", EXDEV, &[], &values, vec![]);
            i.facts.extend([place("oldpath", "/d", "rw"), place("newpath", "/d", "rw")].map(Fact::Place));
            judge_with(&CAUSE, &i).map(|f| f.sentence.contains("Landlock"))
        };
        assert_eq!((told(None), told(Some(0))), (Some(true), Some(false)));
    }
}
