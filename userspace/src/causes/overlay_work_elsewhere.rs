//! upperdir and workdir do not lie side by side.

use super::case::overlays::{self, Overlay, about};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &["ovl_workdir_ok"];
const WORDS: &[&str] = &["must reside under the same mount", "must be separate subtrees"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-work-elsewhere",
    title: "workdir lies on another mount than upperdir, or in it",
    about: "\
mount(2) of an overlay fails with EINVAL when upperdir and workdir lie on two mounts, also two mounts of one file system, or when one contains
the other. Overlay prepares each file in workdir and renames it into upperdir, which works within one mount only. A tmpfs for
one of the two, a volume mounted right on upperdir, or a bind mount between them does it.",
    shows_as: &[("mount", "EINVAL"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay whose work folder lies on another tmpfs, or inside the upper one", risk: "none: in a mount namespace of its own", variants: &["mount", "nested"] },
    see: &["fs/overlayfs/super.c: ovl_get_workdir(), ovl_workdir_ok()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EINVAL], WORDS)?;
    let options = refused.options;
    let apart = options.and_then(|o| o.same_mount).map(|same| !same);
    let nested = options.and_then(|o| o.nested);
    let state = match (apart, nested) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    };
    let spoiled = options.is_none_or(|o| !overlays::sound(o));
    if refused.said.is_none() && (state != Some(true) || spoiled) {
        return None;
    }
    let path = |role: &str| {
        options.and_then(|o| o.place(role)).map_or_else(|| role.to_string(), |p| format!("{role} {}", p.path))
    };
    let sentence = match (nested, apart) {
        (Some(true), Some(false) | None) => format!(
            "{} and {} must be separate folders, and one contains the other.",
            path("upperdir"),
            path("workdir")
        ),
        _ => format!(
            "{} and {} lie on different mounts; overlay renames from one to the other.",
            path("upperdir"),
            path("workdir")
        ),
    };
    let evidence =
        ["upperdir", "workdir"].iter().flat_map(|r| about(options.and_then(|o| o.place(r)))).collect();
    let at = options.and_then(|o| o.place("workdir")).map(|p| p.path.clone()).unwrap_or_default();
    Overlay { deciders: DECIDERS, state, sentence, knob: "workdir", path: at, evidence }.prove(case, &refused)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let upper =
        case.overlay().and_then(|o| o.place("upperdir")).map_or("UPPER", |p| p.path.as_str()).to_string();
    vec![fix(
        "now",
        format!("workdir={upper}.work"),
        "an empty folder beside upperdir, on the same mount",
        "rm -r it after unmounting",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn apart_or_nested() {
        let finding = |same, nested| {
            let options = OverlayOptions {
                lowers: 1,
                same_mount: Some(same),
                nested: Some(nested),
                ..OverlayOptions::default()
            };
            overlays::finding(&CAUSE, Errno::EINVAL, options, &[]).map(|f| f.confidence)
        };
        assert_eq!(finding(false, false), Some(Confidence::Proven));
        assert_eq!(finding(true, true), Some(Confidence::Proven));
        assert_eq!(finding(true, false), None);
    }
}
