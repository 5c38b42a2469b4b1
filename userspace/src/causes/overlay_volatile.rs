//! The overlay's work folder is that of a volatile overlay, which may not be used again.

use super::case::overlays::{self, Overlay};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &["ovl_workdir_cleanup", "ovl_workdir_cleanup_recurse"];
const WORDS: &[&str] = &["incompat feature"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-volatile",
    title: "a volatile overlay used these folders before",
    about: "\
An overlay fails with EINVAL although its options and folders are in order. The option volatile (podman build and buildah use it, \
containerd's snapshots may) leaves out every sync, and the kernel marks the work folder, in WORKDIR/work/incompat/volatile, so that \
nobody takes its upper folder for whole after a crash: ovl_workdir_cleanup() in fs/overlayfs/readdir.c refuses each later mount with \
the same workdir, even after a clean umount, and even with volatile again. Only the log names the feature.",
    shows_as: &[("mount", "EINVAL"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "mounts a volatile overlay, unmounts it, and mounts it once more",
        risk: "none: in a mount namespace of its own",
        variants: &["again"],
    },
    see: &[
        "https://docs.kernel.org/filesystems/overlayfs.html#volatile-mount",
        "fs/overlayfs/readdir.c: ovl_workdir_cleanup_recurse(); fs/overlayfs/super.c: ovl_create_volatile_dirty()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EINVAL], WORDS)?;
    let work = refused.options.and_then(|o| o.place("workdir"));
    if refused.said.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    let path = work.map(|p| p.path.clone()).unwrap_or_default();
    let sentence = match work {
        Some(work) => format!(
            "The workdir {} was that of a volatile overlay, which may be mounted once only.",
            work.path
        ),
        None => {
            "The overlay's workdir was that of a volatile overlay, which may be mounted once only.".into()
        }
    };
    Overlay {
        deciders: DECIDERS,
        state: None,
        sentence,
        knob: "volatile",
        path,
        evidence: overlays::about(work),
    }
    .prove(case, &refused)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let work = if proof.knob.path.is_empty() { "WORKDIR" } else { proof.knob.path.as_str() };
    vec![
        fix(
            "now",
            format!("rm -r {work}/work/incompat/volatile"),
            "if the machine did not crash since: what was written is whole then, and the folders may be used again",
            "mkdir it again",
        ),
        fix(
            "for good",
            "throw the upper folder away after a crash, or mount without volatile",
            "what the page cache held is lost with a crash, and nothing tells which files it was",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::place;
    use crate::model::{Confidence, OverlayOptions};

    fn judged(errno: Errno, said: &[&str]) -> Option<(Confidence, String)> {
        let places = vec![place("upperdir", "/u", "rw"), place("workdir", "/w", "rw")];
        let options = OverlayOptions { lowers: 1, places, ..OverlayOptions::default() };
        overlays::finding(&CAUSE, errno, options, said).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn the_kernels_word_is_needed() {
        let said = "overlayfs: overlay with incompat feature 'work/incompat/volatile' cannot be mounted";
        assert_eq!(judged(Errno::EINVAL, &[said]), Some((Confidence::Proven, "volatile".into())));
        assert_eq!(judged(Errno::EINVAL, &[]), None);
        assert_eq!(judged(Errno::EINVAL, &["overlayfs: missing 'lowerdir'"]), None);
        assert_eq!(judged(Errno::EBUSY, &[said]), None);
    }
}
