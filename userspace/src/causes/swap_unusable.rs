//! What swapon(2) was given cannot hold swap.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Place, PlaceKind, Remedy};

const DECIDERS: &[&str] =
    &["read_swap_header", "claim_swapfile", "setup_swap_extents", "generic_swapfile_activate"];
const CALLERS: &[&str] = &["swap_activate"];

/// Files of these types have no blocks of their own below them (no `read_folio`, no `bmap`): include/linux/fs.h.
const WITHOUT_BLOCKS: &[&str] =
    &["tmpfs", "ramfs", "overlay", "proc", "sysfs", "devtmpfs", "squashfs", "fuse", "virtiofs", "9p"];

pub(super) static CAUSE: Cause = Cause {
    slug: "swap-unusable",
    title: "what swapon was given cannot hold swap",
    about: "\
swapon(2) fails with EINVAL, \"Invalid argument\", which stands for four things. The file or device has no signature of mkswap(8) \
(the kernel's log: \"Unable to find swap-space signature\"). The file has holes, as truncate(1) and on some file systems fallocate(1) \
leave them (\"swapfile has holes\"). The file lies on a file system that has no blocks to swap to: tmpfs, or the overlay that is a \
container's root. Or it is no file and no block device at all.

It surprises in containers because the same commands work on the host. Swap is the machine's: a container that may do this at all \
(CAP_SYS_ADMIN) makes it for everybody.",
    shows_as: &[("swapon", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks to swap to a file on a tmpfs",
        risk: "none: it is refused before anything is changed",
        variants: &["tmpfs"],
    },
    see: &["https://man7.org/linux/man-pages/man2/swapon.2.html", "mm/swapfile.c: read_swap_header(), claim_swapfile(); mm/page_io.c: generic_swapfile_activate()"],
};

/// Why, as the log and the place have it, and the name of what is to be changed.
fn reason(case: &Case<'_>, place: Option<&Place>) -> Option<(String, &'static str)> {
    let path = place.map_or("it", |p| p.path.as_str());
    let kind = place.map(|p| p.kind);
    let fstype = place.filter(|p| p.kind == PlaceKind::File).and_then(Place::fstype);
    if case.said(&["Unable to find swap-space signature", "Unable to handle swap header"]).is_some() {
        Some((format!("{path} has no swap signature: mkswap was not run on it."), "swap signature"))
    } else if case.said(&["swapfile has holes"]).is_some() {
        Some((format!("{path} has holes, and swap needs every block of its file."), "holes"))
    } else if let Some(fstype) = fstype.filter(|t| WITHOUT_BLOCKS.contains(t)) {
        Some((
            format!("{path} lies on {fstype}, which has no blocks of its own to swap to."),
            "file system type",
        ))
    } else if kind.is_some_and(|k| !matches!(k, PlaceKind::File | PlaceKind::BlockDevice | PlaceKind::Link)) {
        Some((format!("{path} is neither a file nor a block device."), "kind of the file"))
    } else {
        None
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["swapon"], Errno::EINVAL)?;
    let place = case.place("path");
    let why = reason(case, place);
    let mut evidence: Vec<String> = place.map(lies).into_iter().collect();
    let words = ["swap-space", "swap header", "swapfile"];
    evidence.extend(case.said(&words).map(|line| format!("the kernel's log said then: {line}")));
    let state = why.as_ref().map(|_| true);
    let (sentence, name) = why.unwrap_or_else(|| {
        (
            "What it was given has no signature, has holes, or lies where nothing can be swapped to.".into(),
            "swap signature",
        )
    });
    let path = place.map_or_else(String::new, |p| p.path.clone());
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::File, name, path),
        evidence,
        missing: vec![],
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let command = match proof.knob.name.as_str() {
        "swap signature" => format!("mkswap {path}"),
        "holes" => format!("dd if=/dev/zero of={path} bs=1M count=SIZE && mkswap {path}"),
        _ => "make the swap file on the host, on ext4 or xfs".into(),
    };
    vec![fix(
        "now",
        command,
        "what the file or device holds is lost; swap is the whole machine's",
        "swapoff FILE",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact, Incident, Mounting};

    fn asked(fstype: &str, said: &str) -> Incident {
        let mut i = incident("swapon", Errno::EINVAL, vec![]);
        let mut at = place("path", "/swap", "rw");
        at.kind = PlaceKind::File;
        at.mount.as_mut().unwrap().fstype = fstype.into();
        i.facts.push(Fact::Place(at));
        let said = Some(said.to_string()).filter(|s| !s.is_empty()).into_iter().collect();
        i.facts.push(Fact::Mounting(Mounting { said, ..Mounting::default() }));
        i
    }

    #[test]
    fn the_log_and_the_file_system_tell_them_apart() {
        let judged = |i: &Incident| judge_with(&CAUSE, i).map(|f| (f.confidence, f.knob.name));
        let proven = |name: &str| Some((Confidence::Proven, name.to_string()));
        assert_eq!(judged(&asked("ext4", "Unable to find swap-space signature")), proven("swap signature"));
        assert_eq!(judged(&asked("ext4", "swapon: swapfile has holes")), proven("holes"));
        assert_eq!(judged(&asked("overlay", "")), proven("file system type"));
        assert_eq!(judged(&asked("ext4", "")).map(|j| j.0), Some(Confidence::Possible));
        assert_eq!(judged(&incident("swapon", Errno::EPERM, vec![])), None);
    }
}
