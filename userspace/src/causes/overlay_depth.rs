//! Overlays on overlays, one too deep.

use super::case::overlays::{self, Overlay};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

/// `FILESYSTEM_MAX_STACK_DEPTH` (include/linux/fs.h).
const DEEPEST: u64 = 2;
const DECIDERS: &[&str] = &["ovl_get_lowerstack", "ovl_get_layers"];
const WORDS: &[&str] = &["maximum fs stacking depth exceeded"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-depth",
    title: "overlays lie too deep in each other",
    about: "\
An overlay over an overlay over an overlay is refused with EINVAL: file systems may be stacked two deep (FILESYSTEM_MAX_STACK_DEPTH, a
constant; ecryptfs counts too). A container in a container in a container, each with overlay roots, or a build tool that
overlays the root of its own container, gets there. It is not the options, which mount(8) and engines blame.",
    shows_as: &[("mount", "EINVAL"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay over an overlay over an overlay", risk: "none: in a mount namespace of its own", variants: &["mount"] },
    see: &["fs/overlayfs/super.c: ovl_get_lowerstack(); include/linux/fs.h: FILESYSTEM_MAX_STACK_DEPTH"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EINVAL], WORDS)?;
    let depth = refused.options.map(|o| o.depth);
    let whole = refused.options.is_none_or(overlays::sound);
    let state = depth.map(|d| d >= DEEPEST);
    if refused.said.is_none() && (state != Some(true) || !whole || upper_on_overlay(&refused)) {
        return None;
    }
    let evidence = depth
        .map(|d| {
            format!("{d} overlays lie in each other below its lower folders, and this would be one more")
        })
        .into_iter()
        .collect();
    let sentence =
        format!("File systems may be stacked {DEEPEST} deep, and this overlay would be one deeper.");
    let mut proof = Overlay {
        deciders: DECIDERS,
        state,
        sentence,
        knob: "FILESYSTEM_MAX_STACK_DEPTH",
        path: String::new(),
        evidence,
    }
    .prove(case, &refused)?;
    proof.limit = Some(DEEPEST);
    proof.usage = depth.map(|d| d + 1);
    proof.unit = "levels".into();
    Some(proof)
}

/// That is checked before.
fn upper_on_overlay(refused: &overlays::Refused<'_>) -> bool {
    refused.options.and_then(|o| o.place("upperdir")).and_then(|p| p.fstype()) == Some("overlay")
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "now",
            "docker run -v /var/lib/docker …",
            "a volume for the inner engine's storage: its layers lie on the disk, not on the outer overlay",
            "start it without the volume",
        ),
        fix(
            "or",
            "dockerd --storage-driver vfs; podman --storage-driver vfs; fuse-overlayfs",
            "no kernel overlay in the inner one; slower and larger",
            "the driver it had",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn two_are_allowed() {
        let options = |depth| OverlayOptions { lowers: 1, depth, ..OverlayOptions::default() };
        let finding = |d, said: &[&str]| {
            overlays::finding(&CAUSE, Errno::EINVAL, options(d), said).map(|f| f.confidence)
        };
        assert_eq!(finding(2, &[]), Some(Confidence::Proven));
        assert_eq!(finding(1, &[]), None);
        assert_eq!(finding(2, &["overlayfs: maximum fs stacking depth exceeded"]), Some(Confidence::Proven));
        assert_eq!(finding(1, &["overlayfs: maximum fs stacking depth exceeded"]), Some(Confidence::Likely));
    }
}
