//! An upper folder was made for other lower folders.

use super::case::overlays::{self, Overlay};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const ESTALE: Errno = Errno(libc::ESTALE);
const DECIDERS: &[&str] = &["ovl_verify_set_fh"];
const WORDS: &[&str] = &["failed to verify", "stale"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-stale-layer",
    title: "upperdir was used with other lower folders before",
    about: "\
mount(2) of an overlay fails with ESTALE, \"Stale file handle\", and no network file system is involved: with index=on or nfs_export=on overlay
keeps the handle of the lower root in an attribute of upperdir, and of upperdir in the index folder of workdir. After the layers were copied,
restored from a backup, or upperdir was joined to another image, the handles do not fit any more.",
    shows_as: &[("mount", "ESTALE"), ("fsconfig", "ESTALE")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a file system with file handles that last is needed below; a tmpfs has them, but they are the same after a copy on some kernels"),
    see: &["https://docs.kernel.org/filesystems/overlayfs.html#sharing-and-copying-layers", "fs/overlayfs/namei.c: ovl_verify_set_fh()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[ESTALE], WORDS)?;
    let path = refused.options.and_then(|o| o.place("upperdir")).map(|p| p.path.clone()).unwrap_or_default();
    let sentence = format!("upperdir {path} carries the handle of other lower folders than these.");
    Overlay { deciders: DECIDERS, state: None, sentence, knob: "index", path, evidence: Vec::new() }
        .prove(case, &refused)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "now",
            "mount … -o index=off,nfs_export=off",
            "the handles are not looked at",
            "mount it as before",
        ),
        fix(
            "or",
            format!("getfattr -m trusted.overlay -d {}", proof.knob.path),
            "shows trusted.overlay.origin, which must go if the folders shall stay together (setfattr -x)",
            "reads only",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn the_log_makes_it_sure() {
        let options = OverlayOptions { lowers: 1, ..OverlayOptions::default() };
        assert_eq!(
            overlays::finding(&CAUSE, ESTALE, options.clone(), &[]).map(|f| f.confidence),
            Some(Confidence::Possible)
        );
        let said = ["overlayfs: failed to verify upper root origin"];
        assert_eq!(
            overlays::finding(&CAUSE, ESTALE, options, &said).map(|f| f.confidence),
            Some(Confidence::Proven)
        );
    }
}
