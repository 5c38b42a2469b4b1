//! The upper folder lies on a file system that overlay cannot write through.

use super::case::overlays::{self, Overlay, about};
use super::case::signs::fix;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &["ovl_mount_dir", "ovl_mount_dir_check"];
const WORDS: &[&str] =
    &["not supported as upperdir", "not supported", "case-insensitive", "does not support"];

/// Types with a `d_real`, `d_revalidate` or hashes that `ovl_dentry_remote()` and `ovl_dentry_weird()` refuse.
const UNFIT: &[&str] = &[
    "overlay", "nfs", "nfs4", "cifs", "smb3", "fuse", "9p", "ceph", "ecryptfs", "vfat", "msdos", "exfat",
    "hfsplus", "afs", "autofs",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "overlay-upper-unsupported",
    title: "upperdir lies on a file system that overlay does not take",
    about: "\
mount(2) of an overlay fails with EINVAL because its upper folder lies on an overlay itself, the docker-in-docker classic, or on a network
or FUSE file system, on vfat, or on a folder with casefold. Overlay needs extended attributes, whiteouts and names that
nobody changes behind its back; ovl_dentry_remote() and ovl_dentry_weird() refuse such upper folders, the latter also
as lower ones. The container's root is an overlay, so that /var/lib/docker, /tmp and all that is no volume is unfit in it.",
    shows_as: &[("mount", "EINVAL"), ("fsconfig", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts an overlay whose upper folder lies on an overlay", risk: "none: in a mount namespace of its own", variants: &["mount"] },
    see: &["https://docs.kernel.org/filesystems/overlayfs.html#upper-and-lower", "fs/overlayfs/params.c: ovl_mount_dir_check()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = overlays::refused(case, &[Errno::EINVAL], WORDS)?;
    let upper = refused.options.and_then(|o| o.place("upperdir"));
    let unfit = |fstype: &str| UNFIT.contains(&fstype) || fstype.starts_with("fuse.");
    let state = upper.and_then(|p| p.fstype()).map(unfit);
    if refused.said.is_none() && (state != Some(true) || !refused.options.is_some_and(overlays::sound)) {
        return None;
    }
    let (path, fstype) = upper.map_or(("its upperdir", "a file system"), |p| {
        (p.path.as_str(), p.fstype().unwrap_or("a file system"))
    });
    let sentence = format!("upperdir {path} lies on {fstype}, which overlay cannot write through.");
    Overlay {
        deciders: DECIDERS,
        state,
        sentence,
        knob: "upperdir",
        path: path.into(),
        evidence: about(upper),
    }
    .prove(case, &refused)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "now",
            "docker run -v VOLUME:/var/lib/docker …",
            "upperdir and workdir on a volume or a tmpfs: a real file system below",
            "start it without the volume",
        ),
        fix(
            "or",
            "fuse-overlayfs, or the storage driver vfs",
            "takes more kinds of file systems; slower",
            "the driver it had",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::place;
    use crate::model::{Confidence, OverlayOptions};

    #[test]
    fn an_upper_folder_on_overlay() {
        let options = |fstype: &str| {
            let mut upper = place("upperdir", "/u", "rw");
            upper.mount.as_mut().unwrap().fstype = fstype.into();
            OverlayOptions { lowers: 1, places: vec![upper], ..OverlayOptions::default() }
        };
        assert_eq!(
            overlays::finding(&CAUSE, Errno::EINVAL, options("overlay"), &[]).map(|f| f.confidence),
            Some(Confidence::Proven)
        );
        assert_eq!(overlays::finding(&CAUSE, Errno::EINVAL, options("ext4"), &[]), None);
        assert_eq!(overlays::finding(&CAUSE, Errno::EBUSY, options("overlay"), &[]), None);
    }
}
