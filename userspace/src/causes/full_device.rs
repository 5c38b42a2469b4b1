//! /dev/full: a device that is full on purpose.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, PlaceKind, Remedy};

const DECIDERS: &[&str] = &["write_full"];
/// drivers/char/mem.c: memory devices have major 1, and full is their seventh.
const FULL: &str = "1:7";

pub(super) static CAUSE: Cause = Cause {
    slug: "full-device",
    title: "it is /dev/full, which always says so",
    about: "\
write(2) to /dev/full fails with ENOSPC, \"No space left on device\", always: the device is there to test how programs bear a full \
disk (full(4)). A log or an output that was sent there, or a node that was made with the wrong number (mknod c 1 7 instead of c 1 3, \
which is /dev/null), looks like a full disk that df does not show.",
    shows_as: &[("write", "ENOSPC"), ("writev", "ENOSPC")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "writes to /dev/full", risk: "none", variants: &["write"] },
    see: &["https://man7.org/linux/man-pages/man4/full.4.html", "drivers/char/mem.c: write_full()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["write", "writev", "pwrite64", "pwritev"], Errno::ENOSPC)?;
    let is = |p: &&Place| p.kind == PlaceKind::CharDevice && p.rdev == FULL;
    let place = case.places().find(is)?;
    Claim {
        deciders: DECIDERS,
        callers: &["vfs_write", "ksys_write", "vfs_writev", "do_iter_write"],
        state: Some(true),
        sentence: format!(
            "{} is the device c 1:7, /dev/full: every write to it fails so, and no disk is full.",
            place.path
        ),
        knob: knob(KnobKind::File, "device", place.path.clone()),
        evidence: vec![lies(place)],
        missing: vec![],
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![fix(
        "now",
        format!("ls -lL {path}"),
        "who is meant to write there? /dev/null is c 1 3; send the output elsewhere",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact};

    #[test]
    fn the_devices_number_tells() {
        let wrote = |rdev: &str| {
            let mut i = incident("write", Errno::ENOSPC, vec![]);
            let mut at = place("fd", "/dev/log", "rw");
            (at.kind, at.rdev) = (PlaceKind::CharDevice, rdev.into());
            i.facts.push(Fact::Place(at));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(wrote("1:7"), Some(Confidence::Proven));
        assert_eq!(wrote("1:3"), None);
    }
}
