//! A folder that the overlay's options name is not there, or is no folder.

use super::case::overlays::{self, Overlay};
use super::case::signs::{fix, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Place, PlaceKind, Remedy};

const DECIDERS: &[&str] = &[];
const ERRNOS: &[Errno] = &[Errno::ENOENT, Errno(libc::ENOTDIR), Errno::EINVAL];
const WORDS: &[&str] = &["failed to resolve", "is not a directory"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-layer-missing",
    title: "a folder of the overlay is not there",
    about: "\
mount(2) of an overlay fails with ENOENT, and the target is there: one of lowerdir, upperdir and workdir is not. A layer was removed by hand or by a
clean-up that raced with a start, the storage folder was moved, a colon or comma in a path is not escaped by a backslash,
or a symbolic link of the engine's short names (overlay2/l/…) dangles. The kernel's log says which: \"failed to resolve\".",
    shows_as: &[("mount", "ENOENT"), ("mount", "ENOTDIR"), ("fsconfig", "ENOENT")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay whose lower folder is not there", risk: "none: in a mount namespace of its own", variants: &["lower", "work"] },
    see: &["fs/overlayfs/params.c: ovl_mount_dir_noesc()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, ERRNOS, WORDS)?;
    let errno = case.failure().syscall()?.1;
    if refused.options.is_some_and(|o| o.cut) {
        return None;
    }
    let fits = |p: &&Place| match errno {
        Errno::ENOENT => matches!(p.kind, PlaceKind::Absent | PlaceKind::NoFolder),
        _ => p.exists() && p.kind != PlaceKind::Folder,
    };
    let gone = refused.options.and_then(|o| o.places.iter().find(fits));
    if gone.is_none() && refused.said.is_none() {
        return None;
    }
    let sentence = match gone {
        Some(p) if errno == Errno::ENOENT => format!("{} {} of the overlay is not there.", p.role, p.path),
        Some(p) => format!("{} {} of the overlay is no folder.", p.role, p.path),
        None => "A folder that the overlay's options name could not be resolved.".into(),
    };
    let knob = match gone.map(|p| p.role.as_str()) {
        Some("upperdir") => "upperdir",
        Some("workdir") => "workdir",
        _ => "lowerdir",
    };
    let evidence = gone.map(lies).into_iter().collect();
    Overlay {
        deciders: DECIDERS,
        state: gone.map(|_| true),
        sentence,
        knob,
        path: gone.map(|p| p.path.clone()).unwrap_or_default(),
        evidence,
    }
    .prove(case, &refused)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "look",
            format!("namei -l {}", proof.knob.path),
            "the first part that is not there; a dangling link shows",
            "reads only",
        ),
        fix(
            "now",
            "docker rmi IMAGE && docker pull IMAGE",
            "a lost layer comes back with the image; an upper folder that is lost is lost: start a new container",
            "none",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::place;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn the_folder_is_named() {
        let gone = Place { kind: PlaceKind::Absent, ..place("lowerdir", "/l2", "rw") };
        let options = OverlayOptions {
            lowers: 2,
            places: vec![place("lowerdir", "/l", "rw"), gone],
            ..OverlayOptions::default()
        };
        let f = overlays::finding(&CAUSE, Errno::ENOENT, options.clone(), &[]).unwrap();
        assert_eq!((f.confidence, f.knob.path.as_str()), (Confidence::Proven, "/l2"));
        let cut = OverlayOptions { cut: true, ..options };
        assert_eq!(overlays::finding(&CAUSE, Errno::ENOENT, cut, &[]), None, "the options were cut");
    }
}
