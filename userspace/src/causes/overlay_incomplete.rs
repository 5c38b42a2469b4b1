//! The options of an overlay lack something, or exclude each other.

use super::case::overlays::{self, Overlay};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, OverlayOptions, Remedy};

const DECIDERS: &[&str] = &[];
const WORDS: &[&str] = &[
    "missing 'lowerdir'",
    "missing 'workdir'",
    "at least 2 lowerdir",
    "without lowerdir",
    "empty lowerdir",
    "conflicting options",
    "conflicting lowerdir",
    "cannot specify",
    "no lowerdir",
    "regular lower layers",
    "colon",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-incomplete",
    title: "the overlay's options are incomplete or exclude each other",
    about: "\
An overlay fails with EINVAL because lowerdir is missing, because there is an upperdir and no workdir, because without upperdir there is
one lower folder only (older kernels want two), or because options exclude each other: metacopy=on with redirect_dir=off,
nfs_export=on with index=off. With the new calls each option is a call of its own, and the one that creates the
superblock fails, so that nothing points to the option.",
    shows_as: &[("mount", "EINVAL"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay without lowerdir, or without workdir", risk: "none: nothing is mounted", variants: &["lowerdir", "workdir"] },
    see: &["https://docs.kernel.org/filesystems/overlayfs.html", "fs/overlayfs/super.c: ovl_fill_super(); fs/overlayfs/params.c: ovl_fs_params_verify()"],
};

/// What the options lack for sure.
fn lack(options: &OverlayOptions) -> Option<&'static str> {
    match (options.lowers, options.place("upperdir"), options.place("workdir")) {
        _ if options.cut => None,
        (0, ..) => Some("lowerdir"),
        (_, Some(_), None) => Some("workdir"),
        _ => None,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EINVAL], WORDS)?;
    let lacks = refused.options.and_then(lack);
    let line = refused.said.unwrap_or_default();
    if lacks.is_none() && refused.said.is_none() {
        return None;
    }
    let knob = match lacks {
        Some(option) => option,
        None if line.contains("workdir") => "workdir",
        None if line.contains("lowerdir") => "lowerdir",
        None => "overlay options",
    };
    let sentence = match (lacks, refused.said) {
        (Some(option), _) => format!("The overlay's options name no {option}."),
        (None, Some(line)) => format!(
            "The overlay's options are not complete or exclude each other: {}.",
            line.split_once(": ").map_or(line, |l| l.1)
        ),
        (None, None) => return None,
    };
    let evidence = refused
        .options
        .map(|o| {
            format!(
                "its options name {} lower folders, {} upper, {} work",
                o.lowers,
                u8::from(o.place("upperdir").is_some()),
                u8::from(o.place("workdir").is_some())
            )
        })
        .into_iter()
        .collect();
    Overlay { deciders: DECIDERS, state: lacks.map(|_| true), sentence, knob, path: String::new(), evidence }
        .prove(case, &refused)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![fix(
        "now",
        "mount -t overlay overlay -o lowerdir=LOWER,upperdir=UPPER,workdir=WORK DIR",
        "all three, with UPPER and WORK on one mount; for reading only lowerdir=A:B",
        "umount DIR",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Mounting};

    #[test]
    fn what_is_lacking_is_named() {
        let f = overlays::finding(&CAUSE, Errno::EINVAL, OverlayOptions::default(), &[]).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "lowerdir"));
        let options = OverlayOptions {
            lowers: 1,
            places: vec![place("upperdir", "/u", "rw")],
            ..OverlayOptions::default()
        };
        assert_eq!(overlays::finding(&CAUSE, Errno::EINVAL, options, &[]).unwrap().knob.name, "workdir");
        let whole = OverlayOptions { lowers: 2, ..OverlayOptions::default() };
        assert_eq!(overlays::finding(&CAUSE, Errno::EINVAL, whole, &[]), None);
    }

    #[test]
    fn of_the_new_calls_the_log_tells() {
        let mut i = incident("fsconfig", Errno::EINVAL, vec![]);
        set_args(&mut i, &[], &[("cmd", 6)]);
        assert_eq!(judge_with(&CAUSE, &i), None);
        i.facts.push(Fact::Mounting(Mounting {
            said: vec!["overlayfs: missing 'lowerdir'".into()],
            ..Mounting::default()
        }));
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "lowerdir");
    }
}
