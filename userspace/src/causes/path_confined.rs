//! The caller forbade ways that the path takes (openat2).

use super::case::claim::{self, knob, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const EXDEV: Errno = Errno(libc::EXDEV);
const ELOOP: Errno = Errno(libc::ELOOP);
const DECIDERS: &[&str] = &[
    "nd_jump_root",
    "handle_dots",
    "follow_dotdot",
    "follow_dotdot_rcu",
    "nd_jump_link",
    "traverse_mounts",
    "__traverse_mounts",
    "handle_mounts",
    "choose_mountpoint",
];
const CALLERS: &[&str] = &[
    "path_openat",
    "path_init",
    "link_path_walk",
    "walk_component",
    "step_into",
    "pick_link",
    "complete_walk",
    "do_filp_open",
    "do_sys_openat2",
    "__do_sys_openat2",
    "__x64_sys_openat2",
    "open_last_lookups",
    "do_file_open",
];
/// What openat2(2) was asked to keep to, read where the caller passed it.
const ASKED: &str = "open_how.resolve";
/// `RESOLVE_*` (linux/openat2.h).
const NO_XDEV: u64 = 1;
const NO_MAGICLINKS: u64 = 2;
const NO_SYMLINKS: u64 = 4;
const BENEATH: u64 = 8;

pub(super) static CAUSE: Cause = Cause {
    slug: "path-confined",
    title: "the path leads out of what the caller keeps to (openat2)",
    about: "\
openat2(2) fails with EXDEV, \"Invalid cross-device link\", and nothing is linked across devices: with RESOLVE_BENEATH the path, by \
.., a symbolic link or a leading slash, would lead out of the folder it began in; with RESOLVE_NO_XDEV it would cross into another \
mount. ELOOP, \"Too many levels of symbolic links\", is the first link at all (RESOLVE_NO_SYMLINKS) or a link of /proc that is none \
of text (RESOLVE_NO_MAGICLINKS).

Engines open what lies in images and volumes so (runc and libpathrs, containerd, systemd, Kubernetes' subPath), for a link in an \
image could lead to the host. An absolute link in a volume (/data/current -> /data/v2), or one that climbs with .., is refused \
there, while ls in the container shows nothing wrong.",
    shows_as: &[("openat2", "EXDEV"), ("openat2", "ELOOP")],
    deciders: &["nd_jump_root", "nd_jump_link", "handle_mounts"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens a link out of its folder, another mount, and a link, each while forbidding it",
        risk: "none: in a mount namespace of its own",
        variants: &["beneath", "mount", "magic"],
    },
    see: &["openat2(2), RESOLVE_BENEATH, RESOLVE_NO_XDEV, RESOLVE_NO_MAGICLINKS", "fs/namei.c: nd_jump_root(), nd_jump_link(), handle_mounts()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let crosses = case.denied(&["openat2"], EXDEV).is_some();
    if !crosses && case.denied(&["openat2"], ELOOP).is_none() {
        return None;
    }
    let asked = case.value(ASKED);
    let path = case.failure().text_arg("pathname").unwrap_or("the path");
    let who = case.who();
    let has = |bit: u64| asked.is_some_and(|bits| bits & bit != 0);
    let (state, name, sentence) = match (crosses, asked) {
        (true, _) if has(BENEATH) && !has(NO_XDEV) => (
            Some(true),
            "RESOLVE_BENEATH",
            format!("{path} leads out of the folder that {who} keeps to, by .., a link or a leading slash."),
        ),
        (true, _) if has(NO_XDEV) && !has(BENEATH) => (
            Some(true),
            "RESOLVE_NO_XDEV",
            format!("{path} leads into another mount, and {who} forbade that."),
        ),
        (true, None | Some(_)) if asked.is_none() || has(BENEATH | NO_XDEV) => (
            None,
            "RESOLVE_BENEATH",
            format!("{path} leads out of the folder or the mount that {who} keeps to."),
        ),
        (false, _) if has(NO_MAGICLINKS) && !has(NO_SYMLINKS) => (
            None,
            "RESOLVE_NO_MAGICLINKS",
            format!("{path} leads over a link of /proc to an open file or folder, and {who} forbade those."),
        ),
        // Of plain links the cause of all links knows more.
        _ => return None,
    };
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    weighed.confidence = weighed.confidence.max(Confidence::Likely);
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, name, path))
            .because(asked.map(|bits| format!("at that instant {ASKED} was {bits:#x}"))),
    )
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "find it",
            format!("namei -l {}", proof.knob.path),
            "each folder and link on the way, in the container or below its root",
            "reads only",
        ),
        step(
            "for good",
            "make the link relative and keep it inside the image or volume (ln -sr TARGET LINK)",
            "v2 instead of /data/v2; what lies on another mount is named by its own path",
            "ln -sf OLD-TARGET LINK",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, set_args, valued};

    fn opened(errno: Errno, asked: Option<u64>) -> Option<(Confidence, String)> {
        let values: Vec<_> = asked.map(|bits| (ASKED, bits)).into_iter().collect();
        let mut i = valued("openat2", errno, &[], &values, vec![]);
        set_args(&mut i, &[("pathname", "current")], &[]);
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn what_was_forbidden_is_named() {
        let some = |c, name: &str| Some((c, name.to_string()));
        assert_eq!(opened(EXDEV, Some(8)), some(Confidence::Proven, "RESOLVE_BENEATH"));
        assert_eq!(opened(EXDEV, Some(1)), some(Confidence::Proven, "RESOLVE_NO_XDEV"));
        assert_eq!(opened(EXDEV, None), some(Confidence::Likely, "RESOLVE_BENEATH"));
        assert_eq!(opened(ELOOP, Some(2)), some(Confidence::Likely, "RESOLVE_NO_MAGICLINKS"));
    }

    #[test]
    fn plain_links_and_other_calls_are_not_claimed() {
        assert_eq!(opened(ELOOP, Some(4)), None);
        assert_eq!(opened(EXDEV, Some(0)), None);
        assert_eq!(judge_with(&CAUSE, &valued("rename", EXDEV, &[], &[], vec![])), None);
    }
}
