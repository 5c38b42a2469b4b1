//! A path, or one name in it, is longer than the kernel or the file system takes.

use super::case::signs::{Claim, fix, knob};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, spaced};

const ENAMETOOLONG: Errno = Errno(libc::ENAMETOOLONG);
/// File systems that compare a name with their own limit, and what copies a path from the caller.
const DECIDERS: &[&str] = &[
    "simple_lookup",
    "ext4_lookup",
    "btrfs_lookup",
    "xfs_vn_lookup",
    "fuse_lookup_name",
    "ovl_lookup",
    "getname_flags",
    "do_getname",
    "strncpy_from_user",
];
/// Of those, the ones that look at one name.
const LOOKUPS: &[&str] =
    &["simple_lookup", "ext4_lookup", "btrfs_lookup", "xfs_vn_lookup", "fuse_lookup_name", "ovl_lookup"];
const ROLES: &[&str] = &[
    "pathname",
    "path",
    "newpath",
    "oldpath",
    "linkpath",
    "target",
    "source",
    "new_root",
    "put_old",
    "from_pathname",
    "to_pathname",
];
/// `NAME_MAX` and `PATH_MAX` (linux/limits.h).
const NAME: u64 = 255;
const PATH: u64 = 4095;

pub(super) static CAUSE: Cause = Cause {
    slug: "path-too-long",
    title: "a path or a name in it is too long",
    about: "\
ENAMETOOLONG, \"File name too long\", means one of two limits: a single name of more than 255 bytes (bytes, not characters: names in UTF-8 have
fewer; 143 on ecryptfs, 255 UTF-16 units on vfat), or a path of more than 4095. Archives and caches with long names, deep node_modules
and encrypted home folders meet it. Neither can be raised.",
    shows_as: &[("openat", "ENAMETOOLONG"), ("mkdir", "ENAMETOOLONG"), ("rename", "ENAMETOOLONG"), ("mount", "ENAMETOOLONG")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "opens a name of 256 bytes and a path of 4096", risk: "none: nothing is made", variants: &["name", "path"] },
    see: &["path_resolution(7); linux/limits.h: NAME_MAX, PATH_MAX", "fs/namei.c: getname_flags()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let path = ROLES
        .iter()
        .find_map(|role| case.failure().text_arg(role).filter(|p| longest(p) > 143 || p.ends_with('…')))?;
    if errno != ENAMETOOLONG {
        return None;
    }
    let cut = path.ends_with('…');
    let name = longest(path);
    let state = (name > NAME).then_some(true);
    let (limit, used, words) = match state {
        Some(_) => (
            NAME,
            Some(name),
            format!("A name in this path has {} bytes, and file systems take {NAME}.", spaced(name)),
        ),
        None if case.verdict(LOOKUPS).is_some() => (
            NAME,
            None,
            format!(
                "A name in this path is longer than its file system takes, which is {NAME} bytes on most."
            ),
        ),
        None if cut => (
            PATH,
            None,
            format!(
                "A name in the path of this {call} has more than {NAME} bytes, or the path more than {PATH}."
            ),
        ),
        None => (
            NAME,
            Some(name),
            format!("A name in this path has {} bytes, more than this file system takes.", spaced(name)),
        ),
    };
    let mut proof = Claim {
        deciders: DECIDERS,
        callers: &[],
        state,
        sentence: words,
        knob: knob(KnobKind::Other, if limit == NAME { "NAME_MAX" } else { "PATH_MAX" }, String::new()),
        evidence: vec![format!("the path's longest name has {} bytes as far as it was read", spaced(name))],
        missing: Vec::new(),
    }
    .prove(case)?;
    (proof.limit, proof.usage, proof.unit) = (Some(limit), used, "bytes".into());
    Some(proof)
}

/// Bytes of the longest name; the mark of a cut string is not counted.
fn longest(path: &str) -> u64 {
    path.trim_end_matches('…').split('/').map(str::len).max().unwrap_or(0) as u64
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![fix(
        "now",
        "a shorter name, or cd into the folder and use a relative path",
        "only the path given to one call is limited, not how deep folders lie",
        "none needed",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{decided_by, incident, judge_with, set_args};
    use crate::model::Confidence;

    #[test]
    fn names_and_paths() {
        let finding = |path: &str| {
            let mut i = incident("openat", ENAMETOOLONG, vec![]);
            set_args(&mut i, &[("pathname", path)], &[]);
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        let text = format!("{}…", "x".repeat(256));
        assert_eq!(finding(&text), Some((Confidence::Proven, "NAME_MAX".into())));
        assert_eq!(
            finding(&format!("{}…", "a/".repeat(128))),
            Some((Confidence::Possible, "PATH_MAX".into()))
        );
        assert_eq!(finding("/etc/passwd"), None);
    }

    /// The probe reads 255 bytes, which a name may have: who refused says whether it was the name or the path.
    #[test]
    fn of_a_path_that_was_cut_the_function_tells_which() {
        let mut i = incident("openat", ENAMETOOLONG, vec![]);
        set_args(&mut i, &[("pathname", &format!("{}…", "n".repeat(255)))], &[]);
        let of = |decider: &str| {
            let path = decided_by(decider);
            CAUSE.judge(&Case { incident: &i, path: Some(&path) }).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(of("simple_lookup"), Some((Confidence::Likely, "NAME_MAX".into())));
        assert_eq!(of("getname_flags"), Some((Confidence::Likely, "PATH_MAX".into())));
        assert_eq!(of("sb_permission"), None);
    }
}
