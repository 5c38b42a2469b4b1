//! A file or folder has as many hard links as its file system can count.

use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, spaced};

const EMLINK: Errno = Errno(libc::EMLINK);
const CALLS: &[&str] = &["link", "linkat", "mkdir", "mkdirat", "rename", "renameat", "renameat2"];
const DECIDERS: &[&str] = &[];

/// `EXT4_LINK_MAX`, `XFS_MAXLINK`, `BTRFS_LINK_MAX`, f2fs (F2FS_LINK_MAX), minix, ext2.
const MOST: &[(&str, u64)] = &[
    ("ext4", 65_000),
    ("ext3", 32_000),
    ("ext2", 32_000),
    ("xfs", 2_147_483_647),
    ("btrfs", 65_535),
    ("f2fs", 4_294_967_295),
    ("minix", 250),
    ("ubifs", 65_535),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "links-max",
    title: "too many hard links",
    about: "\
EMLINK, \"Too many links\", from link(2), mkdir(2) or rename(2): the file, or the folder that would get one more subfolder, has as many links as its file
system counts: 65 000 on ext4, 65 535 on btrfs, 32 000 on ext2 and ext3. Deduplicating stores (ostree, package caches, image stores that hard-link
equal files, empty files above all) get there; it is neither disk nor inodes.",
    shows_as: &[("link", "EMLINK"), ("linkat", "EMLINK"), ("mkdir", "EMLINK")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a tmpfs counts without limit, and a disk would get 65 000 links"),
    see: &["link(2), EMLINK", "fs/namei.c: vfs_link(); fs/ext4/ext4.h: EXT4_LINK_MAX"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, EMLINK)?;
    let place = if call.starts_with("link") {
        case.place("oldpath")
    } else {
        case.place("pathname").or_else(|| case.place("newpath"))
    };
    let most =
        place.and_then(|p| p.fstype()).and_then(|t| MOST.iter().find(|row| row.0 == t)).map(|row| row.1);
    let used = place.map(|p| p.links);
    let state = used.zip(most).and_then(|(used, most)| (used >= most).then_some(true));
    let path = place.map_or("it", |p| p.path.as_str());
    let words = most.map_or_else(
        || "its file system counts no more".into(),
        |m| format!("its file system counts {} at most", spaced(m)),
    );
    let mut proof = Claim {
        deciders: DECIDERS,
        callers: &["do_linkat", "filename_linkat", "do_mkdirat"],
        state,
        sentence: format!(
            "{path} has {} links, and {words}.",
            used.map_or_else(|| "too many".into(), spaced)
        ),
        knob: knob(KnobKind::Other, "LINK_MAX", path),
        evidence: place.map(lies).into_iter().collect(),
        missing: Vec::new(),
    }
    .prove(case)?;
    (proof.limit, proof.usage, proof.unit) = (most, used, "links".into());
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![fix(
        "now",
        format!("cp --reflink=auto {} NEW", proof.knob.path),
        "a copy instead of one more link, and link to that",
        "rm NEW",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place};
    use crate::model::{Confidence, Fact, Place};

    #[test]
    fn the_count_reaches_what_the_type_allows() {
        let finding = |links| {
            let mut i = incident("link", EMLINK, vec![]);
            let mut p = Place { links, ..place("oldpath", "/x", "rw") };
            p.mount.as_mut().unwrap().fstype = "ext4".into();
            i.facts.push(Fact::Place(p));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(finding(65_000), Some(Confidence::Proven));
        assert_eq!(finding(3), Some(Confidence::Possible));
    }
}
