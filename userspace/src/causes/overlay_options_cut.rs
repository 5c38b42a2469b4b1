//! The options of mount(2) were cut at the end of a page.

use super::case::signs::{Claim, MountWork, fix, knob};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, spaced};

const ERRNOS: &[Errno] = &[Errno::ENOENT, Errno::EINVAL, Errno(libc::ENOTDIR), Errno(libc::ENAMETOOLONG)];
const DECIDERS: &[&str] = &["copy_mount_options"];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-options-cut",
    title: "the mount options are longer than a page and were cut",
    about: "\
An overlay of many layers with long paths fails with ENOENT, \"No such file or directory\", although each folder is there. mount(2) takes one
page of options, 4096 bytes with the final zero, and copy_mount_options() in fs/namespace.c cuts the rest silently: the last path ends in
the middle, and that is what does not exist. Upperdir and workdir may be lost as well, which gives EINVAL. Engines shorten paths
by symbolic links and by changing into the folder before they mount; tools that do not meet this at some 30 to 60 layers.
fsconfig(2) has no such limit: one call per layer.",
    shows_as: &[("mount", "ENOENT"), ("mount", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay whose option string is longer than a page", risk: "none: in a mount namespace of its own", variants: &["mount"] },
    see: &["mount(2); fs/namespace.c: copy_mount_options()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if call != "mount" || !ERRNOS.contains(&errno) || case.mount_work() != MountWork::New {
        return None;
    }
    let bytes = case.overlay().map(|o| (o.bytes, o.cut));
    let cut =
        bytes.map(|b| b.1).or_else(|| case.failure().text_arg("data").map(|data| data.ends_with('…')))?;
    if !cut {
        return None;
    }
    let seen = bytes.map_or(4095, |b| b.0);
    let mut proof = Claim {
        deciders: DECIDERS,
        callers: super::case::overlays::CHECKS,
        state: Some(true),
        sentence: "The options are longer than the page that mount(2) takes, and were cut: the last path in them is not whole.".into(),
        knob: knob(KnobKind::Other, "page size", "mount(2) options"),
        evidence: vec![format!("the option string filled the page: {} bytes and no end", spaced(seen))],
        missing: Vec::new(),
    }
    .prove(case)?;
    proof.limit = Some(4095);
    proof.unit = "bytes".into();
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "now",
            "cd LAYERS && mount -t overlay overlay -o lowerdir=1:2:3,… DIR",
            "short relative paths, or symbolic links with short names",
            "umount DIR",
        ),
        fix(
            "for good",
            "fsopen, fsconfig \"lowerdir+\" once per layer (6.8 and later; mount(8) of util-linux 2.39 and later uses it)",
            "no limit on the whole string; a newer containerd, podman or util-linux does it",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::overlays;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn only_a_full_page_was_cut() {
        let finding = |cut| {
            overlays::finding(
                &CAUSE,
                Errno::ENOENT,
                OverlayOptions { cut, bytes: 4095, ..OverlayOptions::default() },
                &[],
            )
            .map(|f| f.confidence)
        };
        assert_eq!(finding(true), Some(Confidence::Proven));
        assert_eq!(finding(false), None, "a layer that is missing");
    }
}
