//! More lower folders than overlay takes.

use super::case::overlays::{self, Overlay};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, OverlayOptions, Remedy, spaced};

/// `OVL_MAX_STACK` (fs/overlayfs/ovl_entry.h or params.h).
const MOST: u64 = 500;
const DECIDERS: &[&str] = &["ovl_parse_param_lowerdir", "ovl_lower_dir"];
const WORDS: &[&str] = &["too many lower directories", "too many lower layers"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-layers-max",
    title: "the overlay has more than 500 lower folders",
    about: "\
mount(2) of an overlay fails with EINVAL, or with ENOMEM on 5.10 although memory is free: an overlay takes at most 500 lower folders
(OVL_MAX_STACK), a constant of the kernel. Images built with one layer per command and snapshotters that keep each commit
as a layer get there; engines have their own, lower limit (docker: 127 layers), so it is mostly a tool that mounts layers itself.",
    shows_as: &[("mount", "EINVAL"), ("mount", "ENOMEM"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay of 501 empty folders on a tmpfs", risk: "none: in a mount namespace of its own", variants: &["mount"] },
    see: &["fs/overlayfs: OVL_MAX_STACK, ovl_parse_param_lowerdir()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EINVAL, Errno::ENOMEM], WORDS)?;
    let lowers = refused.options.map(|o: &OverlayOptions| o.lowers);
    let state = lowers.map(|n| n > MOST);
    if state == Some(false) && refused.said.is_none() || state.is_none() && refused.said.is_none() {
        return None;
    }
    let count = lowers.filter(|n| *n > MOST).map_or_else(|| "more than that".into(), spaced);
    let evidence =
        lowers.map(|n| format!("its options name {} lower folders", spaced(n))).into_iter().collect();
    let sentence = format!("An overlay takes at most {MOST} lower folders, and this one names {count}.");
    let mut proof =
        Overlay { deciders: DECIDERS, state, sentence, knob: "OVL_MAX_STACK", path: String::new(), evidence }
            .prove(case, &refused)?;
    proof.limit = Some(MOST);
    proof.usage = lowers;
    proof.unit = "lower folders".into();
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![fix(
        "for good",
        "docker build --squash … ; or COPY --from a finished stage",
        "fewer layers: join commands into one RUN, flatten the image (docker export | docker import)",
        "keep the old tag",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Confidence;

    #[test]
    fn five_hundred_is_allowed() {
        let options = |lowers| OverlayOptions { lowers, ..OverlayOptions::default() };
        let finding = |errno, n| overlays::finding(&CAUSE, errno, options(n), &[]).map(|f| f.confidence);
        assert_eq!(finding(Errno::EINVAL, 501), Some(Confidence::Proven));
        assert_eq!(finding(Errno::ENOMEM, 505), Some(Confidence::Proven));
        assert_eq!(finding(Errno::EINVAL, 500), None);
        assert_eq!(finding(Errno::ENOENT, 505), None);
    }
}
