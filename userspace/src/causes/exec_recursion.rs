//! Scripts whose interpreters are scripts again, too deep.

use super::case::claim::{self, knob, look, step};
use super::case::rights::{object, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, Head, KnobKind, ObjectKind, Remedy};

const ELOOP: Errno = Errno(libc::ELOOP);
const DECIDERS: &[&str] = &["exec_binprm", "search_binary_handler", "bprm_execve"];
const CALLERS: &[&str] =
    &["do_execveat_common", "__do_execve_file", "__x64_sys_execve", "__x64_sys_execveat"];
/// `exec_binprm()` (fs/exec.c): "This allows 4 levels of binfmt rewrites before failing hard."
const DEEPEST: u64 = 5;

pub(super) static CAUSE: Cause = Cause {
    slug: "exec-recursion",
    title: "the script's interpreter is a script again, and so on too often",
    about: "\
execve(2) says ELOOP, \"Too many levels of symbolic links\", where no link is involved: exec_binprm() in fs/exec.c starts the \
program that the first line of a script names, and gives up when that has happened five times in a row. It mostly is a circle: a \
wrapper that took the place of its own interpreter (/usr/bin/python replaced by a script that begins with #!/usr/bin/python), or two \
wrappers that name each other, made by an image's RUN line. binfmt_misc counts as well: an emulator that is itself of the emulated \
architecture is started by itself.",
    shows_as: &[("execve", "ELOOP"), ("execveat", "ELOOP")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "starts a script that names itself as its interpreter",
        risk: "none: a small file in a temporary folder",
        variants: &["itself"],
    },
    see: &[
        "execve(2), ELOOP; Interpreter scripts",
        "fs/exec.c: exec_binprm(); fs/binfmt_script.c: load_script()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["execve", "execveat"], ELOOP)?;
    let object = object(case)?;
    if object.kind != ObjectKind::Regular {
        return None;
    }
    let (again, first) = match &object.head {
        Some(Head::Script { interpreter, found, .. }) => {
            (*found == ObjectKind::Regular, interpreter.as_str())
        }
        // An emulator's own loop: a path that leads to a file is no circle of links.
        _ => (false, ""),
    };
    let state = again.then_some(true);
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    // The way to an interpreter's interpreter was not walked: a circle of links may lie there.
    if case.verdict(DECIDERS).is_none() && first != object.path {
        weighed.confidence = weighed.confidence.min(Confidence::Likely);
        weighed.missing.push("whether a link on the way to an interpreter leads in a circle".into());
    }
    let sentence = match first {
        "" => format!(
            "{} is started by a program that needs to be started by itself, or by one that does.",
            object.path
        ),
        first if first == object.path => format!("{} names itself as its interpreter.", object.path),
        first => format!(
            "{} is a script for {first}, which is one again, and so on more than {DEEPEST} times.",
            object.path
        ),
    };
    let cited = format!("{} ms after it {} began with #! {first}", object.after_ns / 1_000_000, object.path);
    let knob = knob(KnobKind::File, "#!", object.path.clone());
    Some(weighed.proof(case, DECIDERS, sentence, knob).because((!first.is_empty()).then_some(cited)))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let path = object(case).map_or("SCRIPT", |o| o.path.as_str());
    vec![
        look(
            format!("head -1 {path}; head -1 $(sed -n '1s/^#! *\\([^ ]*\\).*/\\1/p' {path})"),
            "the first line of each; go on until one repeats",
        ),
        step(
            "for good",
            "let the wrapper name a program that is none (#!/bin/sh), and call the other by its real path",
            "move what a wrapper replaces to another name before, and start that",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};
    use crate::model::PathObject;

    fn started(errno: Errno, interpreter: &str, found: ObjectKind) -> Option<(Confidence, String)> {
        let head = Head::Script { interpreter: interpreter.into(), found, carriage_return: false };
        let object = PathObject { head: Some(head), ..file("/usr/bin/python", 0o755) };
        judge_with(&CAUSE, &with_object("execve", errno, object)).map(|f| (f.confidence, f.sentence))
    }

    #[test]
    fn a_script_for_itself_is_proven_and_a_chain_is_likely() {
        let (confidence, sentence) = started(ELOOP, "/usr/bin/python", ObjectKind::Regular).unwrap();
        assert_eq!(confidence, Confidence::Proven);
        assert!(sentence.contains("names itself"), "{sentence}");
        let (confidence, _) = started(ELOOP, "/bin/other", ObjectKind::Regular).unwrap();
        assert_eq!(confidence, Confidence::Likely);
    }

    #[test]
    fn a_path_that_leads_in_a_circle_and_other_errnos_are_not_claimed() {
        assert!(started(Errno::ENOENT, "/bin/other", ObjectKind::Regular).is_none());
        let circle = PathObject { kind: ObjectKind::NoWay, ..file("/a", 0) };
        assert_eq!(judge_with(&CAUSE, &with_object("execve", ELOOP, circle)), None);
    }
}
