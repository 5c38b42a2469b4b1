//! A symbolic link where none may be, or too many of them.

use super::case::rights::object;
use super::case::signs::{Claim, fix, knob, lies};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, ObjectKind, PlaceKind, Remedy};

const ELOOP: Errno = Errno(libc::ELOOP);
const DECIDERS: &[&str] = &[];
const CALLERS: &[&str] = &[
    "do_open",
    "may_open",
    "do_last",
    "step_into_slowpath",
    "pick_link",
    "trailing_symlink",
    "may_follow_link",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "symlink-loop",
    title: "symbolic links lead in a circle, or one is where none may be",
    about: "\
ELOOP, \"Too many levels of symbolic links\", comes after 40 links on the way of one path, which is a circle nearly always: a link to itself, or two that
name each other, as images get them when a layer replaces a folder by a link (/var/run, /lib64). It also comes at the first link when the caller
forbids links: O_NOFOLLOW, a mount with nosymfollow, RESOLVE_NO_SYMLINKS. Engines open paths so on purpose, for links in an
image could lead out of the container.",
    shows_as: &[("openat", "ELOOP"), ("openat2", "ELOOP"), ("execve", "ELOOP"), ("mount", "ELOOP")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "opens a link to itself, and a link with O_NOFOLLOW", risk: "none: in a mount namespace of its own", variants: &["circle", "nofollow"] },
    see: &["path_resolution(7); symlink(7)", "fs/namei.c: pick_link(), MAXSYMLINKS"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if errno != ELOOP || call == "epoll_ctl" || case.is_new_overlay(ELOOP) {
        return None;
    }
    let place = case.places().find(|p| p.error == Some(libc::ELOOP));
    let link = case.places().find(|p| p.kind == PlaceKind::Link);
    // Of a script whose interpreter is one again the kernel says ELOOP, too: the path itself leads to a file.
    let resolved = object(case).is_some_and(|o| o.kind == ObjectKind::Regular);
    if call.starts_with("execve") && place.is_none() && link.is_none() && resolved {
        return None;
    }
    let nofollow = call.starts_with("open")
        && case.failure().number_arg("flags").is_some_and(|f| f & libc::O_NOFOLLOW as u64 != 0);
    // Moving a mount below itself says ELOOP too, and its paths resolve.
    if call.contains("mount") && place.is_none() {
        return None;
    }
    let nosymfollow = case.places().find(|p| p.flag("nosymfollow") == Some(true));
    let path = place
        .or(link)
        .map(|p| p.path.clone())
        .or_else(|| case.failure().text_arg("pathname").map(Into::into))?;
    let (state, sentence, name) = match (place, nofollow, nosymfollow) {
        (Some(_), false, _) => (
            Some(true),
            format!("The symbolic links of {path} lead in a circle, or there are more than 40 of them."),
            "MAXSYMLINKS",
        ),
        (_, true, _) => (
            link.map(|_| true),
            format!("{path} is a symbolic link, and it was opened with O_NOFOLLOW."),
            "O_NOFOLLOW",
        ),
        (None, false, Some(p)) => (
            Some(true),
            format!("{path} leads over a symbolic link on a mount with nosymfollow ({}).", p.path),
            "nosymfollow",
        ),
        (None, false, None) if call == "openat2" => (
            forbids_links(case),
            format!(
                "{path} leads over a symbolic link, and the caller forbade links (openat2, RESOLVE_NO_SYMLINKS)."
            ),
            "RESOLVE_NO_SYMLINKS",
        ),
        (None, false, None) => (None, format!("{path} leads over too many symbolic links."), "MAXSYMLINKS"),
    };
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence,
        knob: knob(KnobKind::Other, name, path),
        evidence: place.or(link).map(lies).into_iter().collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

/// RESOLVE_NO_SYMLINKS (linux/openat2.h), where the caller's structure was read.
fn forbids_links(case: &Case<'_>) -> Option<bool> {
    (case.value("open_how.resolve")? & 4 != 0).then_some(true)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![fix(
        "look",
        format!("namei -l {}", proof.knob.path),
        "shows each link on the way; in the container or below its root",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Place};

    #[test]
    fn a_circle_and_a_forbidden_link() {
        let finding = |kind, error, flags: i32| {
            let mut i = incident("openat", ELOOP, vec![]);
            set_args(&mut i, &[("pathname", "/a")], &[("flags", flags as u64)]);
            i.facts.push(Fact::Place(Place { kind, error, ..place("pathname", "/a", "rw") }));
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(
            finding(PlaceKind::Unreachable, Some(libc::ELOOP), 0),
            Some((Confidence::Proven, "MAXSYMLINKS".into()))
        );
        assert_eq!(
            finding(PlaceKind::Link, None, libc::O_NOFOLLOW),
            Some((Confidence::Proven, "O_NOFOLLOW".into()))
        );
    }
}
