//! Layers of an overlay contain each other.

use super::case::overlays::{self, Overlay};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const ELOOP: Errno = Errno(libc::ELOOP);
const DECIDERS: &[&str] = &["ovl_setup_trap", "ovl_get_trap_inode", "ovl_check_overlapping_layers"];
const WORDS: &[&str] = &["overlapping"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-layers-overlap",
    title: "folders of the overlay contain each other",
    about: "\
mount(2) of an overlay fails with ELOOP, \"Too many levels of symbolic links\", and no symbolic link is involved: since 5.2 a lower folder may not
be upperdir, workdir, another lower folder, or lie in one of them. A layer named twice, `lowerdir=/` with an upper
folder somewhere below it on the same mount, or a build tool that overlays a folder with its own parent does it.",
    shows_as: &[("mount", "ELOOP"), ("fsconfig", "ELOOP")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay that names one lower folder twice", risk: "none: in a mount namespace of its own", variants: &["mount"] },
    see: &["fs/overlayfs/super.c: ovl_check_layer(), ovl_setup_trap()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[ELOOP], WORDS)?;
    // The target's own path may hold a loop of links.
    if case.place("target").is_some_and(|p| !p.exists()) {
        return None;
    }
    let sentence =
        "Two folders of the overlay are the same, or one contains the other; no symbolic link is meant."
            .into();
    // That all paths of the call resolve leaves no other ELOOP.
    let resolves =
        refused.options.is_some_and(|o| !o.cut && o.lowers > 0 && o.places.iter().all(|p| p.exists()));
    Overlay {
        deciders: DECIDERS,
        state: resolves.then_some(true),
        sentence,
        knob: "lowerdir",
        path: String::new(),
        evidence: vec!["each of its folders resolves, so that no link loops".into()],
    }
    .prove(case, &refused)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![fix(
        "now",
        "name each folder once, and put upperdir and workdir outside all lower folders",
        "a bind mount of the lower folder without what lies below is a way too (mount --bind is not recursive)",
        "none needed",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::place;
    use crate::model::{Confidence, OverlayOptions, PlaceKind};

    #[test]
    fn paths_that_resolve_leave_overlap_alone() {
        let options = |kind| OverlayOptions {
            lowers: 2,
            places: vec![crate::model::Place { kind, ..place("lowerdir", "/l", "rw") }],
            ..OverlayOptions::default()
        };
        assert_eq!(
            overlays::finding(&CAUSE, ELOOP, options(PlaceKind::Folder), &[]).map(|f| f.confidence),
            Some(Confidence::Proven)
        );
        assert_eq!(
            overlays::finding(&CAUSE, ELOOP, options(PlaceKind::Unreachable), &[]).map(|f| f.confidence),
            Some(Confidence::Possible)
        );
        assert_eq!(overlays::finding(&CAUSE, Errno::EINVAL, options(PlaceKind::Folder), &[]), None);
    }
}
