//! The path of a call that works on mounts is no mount point.

use super::case::signs::{Claim, MountWork, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &[];
const CALLERS: &[&str] = &[
    "path_umount",
    "can_umount",
    "ksys_umount",
    "do_remount",
    "do_reconfigure_mnt",
    "do_change_type",
    "do_move_mount",
    "do_move_mount_old",
    "path_pivot_root",
    "do_mount_setattr",
    "do_umount",
    "can_move_mount_beneath",
    "path_mount",
    "path_mounted",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "not-a-mount-point",
    title: "the path is no mount point",
    about: "\
umount(2), a remount, a change of propagation, a move and pivot_root(2)'s new root need a path where a mount begins, and say EINVAL, \"Invalid
argument\", to any other: a plain folder below a mount, a mount that was unmounted already, or one that exists in another
mount namespace only. `mount --make-private DIR` and `mount -o remount,ro DIR` need DIR to be bound on itself first; engines do
that for the root file system before pivot_root. Unmounting twice in a clean-up gives it harmlessly.",
    shows_as: &[("umount2", "EINVAL"), ("mount", "EINVAL"), ("mount_setattr", "EINVAL"), ("move_mount", "EINVAL"), ("pivot_root", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "unmounts, remounts and makes private a plain folder", risk: "none: nothing is changed", variants: &["umount", "remount", "propagation", "move"] },
    see: &["umount(2), mount(2), pivot_root(2): EINVAL", "fs/namespace.c: path_mounted()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(
        &["umount2", "umount", "mount", "mount_setattr", "move_mount", "pivot_root"],
        Errno::EINVAL,
    )?;
    let work = case.mount_work();
    let role = match (call, work) {
        ("umount2" | "umount", _) => "target",
        ("mount", MountWork::Remount | MountWork::RemountBind | MountWork::Propagation) => "target",
        ("mount", MountWork::Move) => "source",
        ("move_mount", _) if case.failure().text_arg("from_pathname").is_some_and(|p| !p.is_empty()) => {
            "from_pathname"
        }
        ("pivot_root", _) => "new_root",
        ("mount_setattr", _) => "pathname",
        _ => return None,
    };
    let place = case.place(role)?;
    // On 5.7 and older statx(2) does not tell, and a mount point is seen by its name alone.
    let state = Some(!place.mount_root?);
    let words = match (call, work) {
        ("mount", MountWork::Propagation) => "change its propagation",
        ("mount", MountWork::Move) | ("move_mount", _) => "move it",
        ("mount", _) => "remount it",
        ("pivot_root", _) => "make it the root",
        ("mount_setattr", _) => "change its attributes",
        _ => "unmount it",
    };
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence: format!(
            "{} is no mount point in the mount namespace of {}, so nothing can {words}.",
            place.path,
            case.who()
        ),
        knob: knob(KnobKind::Other, "mount point", place.path.clone()),
        evidence: vec![lies(place)],
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let pid = case.failure().task.pid;
    vec![
        fix(
            "look",
            format!("findmnt -N {pid} -T {path}"),
            "the mount that the path lies on, in that process's mount namespace",
            "reads only",
        ),
        fix(
            "now",
            format!("mount --bind {path} {path}"),
            "makes it a mount point; recursive (--rbind) if mounts lie below",
            &format!("umount {path}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Place};

    fn finding(call: &str, flags: u64, root: bool) -> Option<Confidence> {
        let mut i = incident(call, Errno::EINVAL, vec![]);
        set_args(&mut i, &[("target", "/m")], &[("flags", flags)]);
        i.facts.push(Fact::Place(Place { mount_root: Some(root), ..place("target", "/m", "rw") }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn calls_that_need_one() {
        assert_eq!(finding("umount2", 0, false), Some(Confidence::Proven));
        assert_eq!(finding("mount", libc::MS_REMOUNT, false), Some(Confidence::Proven));
        assert_eq!(finding("mount", libc::MS_PRIVATE, false), Some(Confidence::Proven));
        assert_eq!(finding("umount2", 0, true), None, "locked, or of another namespace");
        assert_eq!(finding("mount", 0, false), None, "a new mount may go anywhere");
    }
}
