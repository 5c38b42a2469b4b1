//! The upper or work folder belongs to another overlay.

use super::case::overlays::{self, Overlay};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &["ovl_report_in_use"];
const WORDS: &[&str] = &["in-use as upperdir/workdir"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-in-use",
    title: "upperdir or workdir is used by another overlay",
    about: "\
mount(2) of an overlay fails with EBUSY, \"Device or resource busy\": with index=on (a default of some kernels) an upper or work folder may
belong to one overlay only, and the other may be in a mount namespace nobody looks into: one that leaked into a service with a
private mount namespace, or of a container whose removal has not come to its end. Without index=on the kernel only
warns, and results are undefined. It is no process with open files on the target.",
    shows_as: &[("mount", "EBUSY"), ("fsconfig", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts two overlays with one upper folder and index=on", risk: "none: in a mount namespace of its own", variants: &["mount"] },
    see: &["https://docs.kernel.org/filesystems/overlayfs.html#sharing-and-copying-layers", "fs/overlayfs/super.c: ovl_report_in_use()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EBUSY], WORDS)?;
    let options = refused.options;
    let taken = options.and_then(|o| o.taken.first());
    // Of other mount namespaces nothing is seen: an empty list refutes nothing.
    let state = taken.map(|_| true);
    let seen = case.verdict(DECIDERS).is_some();
    if state.is_none()
        && refused.said.is_none()
        && !seen
        && options.is_none_or(|o| o.place("upperdir").is_none())
    {
        return None;
    }
    let sentence = match taken {
        Some(taken) => format!("The overlay's folder is in use already: {taken}."),
        None => "upperdir or workdir is in use by another overlay, maybe in another mount namespace.".into(),
    };
    let path = options.and_then(|o| o.place("upperdir")).map(|p| p.path.clone()).unwrap_or_default();
    let evidence = options
        .map(|o| o.taken.iter().map(|t| format!("mounted already: {t}")).collect())
        .unwrap_or_default();
    Overlay { deciders: DECIDERS, state, sentence, knob: "upperdir", path, evidence }.prove(case, &refused)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "look",
            format!("grep -l {} /proc/*/mountinfo", proof.knob.path),
            "which processes see the other overlay",
            "reads only",
        ),
        fix(
            "now",
            "umount it there (nsenter -t PID -m umount DIR), or give this overlay folders of its own",
            "two overlays on one upper folder corrupt each other's view",
            "none",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn another_overlay_of_the_namespace() {
        let taken = OverlayOptions {
            lowers: 1,
            taken: vec!["upperdir /u of the overlay at /a".into()],
            ..OverlayOptions::default()
        };
        assert_eq!(
            overlays::finding(&CAUSE, Errno::EBUSY, taken, &[]).map(|f| f.confidence),
            Some(Confidence::Proven)
        );
        let free = OverlayOptions { lowers: 2, ..OverlayOptions::default() };
        assert_eq!(overlays::finding(&CAUSE, Errno::EBUSY, free, &[]), None, "no upper folder at all");
    }
}
