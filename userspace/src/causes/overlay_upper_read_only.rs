//! The upper folder may not be written to, and overlay says EINVAL.

use super::case::overlays::{self, Overlay, about};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &["ovl_get_upper", "ovl_parse_layer", "ovl_do_parse_layer"];
const WORDS: &[&str] = &["upper fs is r/o", "is readonly", "is read-only"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-upper-read-only",
    title: "upperdir lies on a read-only mount",
    about: "\
mount(2) of an overlay fails with EINVAL, not EROFS, when the mount or the file system of upperdir is read-only: a disk that the kernel made
read-only after errors, a volume mounted with :ro, the root of a read-only host (/usr, ostree). The text blames the options.",
    shows_as: &[("mount", "EINVAL"), ("mount", "EROFS"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay whose upper folder lies on a read-only tmpfs", risk: "none: in a mount namespace of its own", variants: &["mount"] },
    see: &["fs/overlayfs/super.c: ovl_get_upper(); fs/overlayfs/params.c: ovl_mount_dir_check()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EINVAL, Errno(libc::EROFS)], WORDS)?;
    let upper = refused.options.and_then(|o| o.place("upperdir"));
    let read_only = upper.and_then(|p| Some(p.flag("ro")? || p.option("ro")?));
    if refused.said.is_none() && (read_only != Some(true) || !refused.options.is_some_and(overlays::sound)) {
        return None;
    }
    let path = upper.map_or("its upperdir", |p| p.path.as_str());
    let point = upper.and_then(|p| p.mount.as_ref()).map(|m| m.point.clone()).unwrap_or_default();
    let sentence = format!("upperdir {path} lies on a read-only mount ({point}); overlay must write there.");
    Overlay {
        deciders: DECIDERS,
        state: read_only,
        sentence,
        knob: "ro",
        path: point,
        evidence: about(upper),
    }
    .prove(case, &refused)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let errors =
        case.overlay().and_then(|o| o.place("upperdir")).is_some_and(|p| p.option("ro") == Some(true));
    let effect = if errors {
        "the file system itself is read-only: after errors check it first (dmesg, fsck)"
    } else {
        "the mount alone is read-only; its file system is not"
    };
    vec![
        fix(
            "now",
            format!("mount -o remount,rw {}", proof.knob.path),
            effect,
            &format!("mount -o remount,ro {}", proof.knob.path),
        ),
        fix(
            "or",
            "lowerdir=A:B without upperdir and workdir",
            "if the overlay need not be written to",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::place;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn the_mount_or_the_file_system() {
        let finding = |flags: &str| {
            let options = OverlayOptions {
                lowers: 1,
                places: vec![place("upperdir", "/u", flags)],
                ..OverlayOptions::default()
            };
            overlays::finding(&CAUSE, Errno::EINVAL, options, &[]).map(|f| f.confidence)
        };
        assert_eq!(finding("ro,relatime"), Some(Confidence::Proven));
        assert_eq!(finding("rw,relatime"), None);
    }
}
