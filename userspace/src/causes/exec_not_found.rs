//! The program itself is not there: a wrong path, a link to nowhere.

use super::case::rights::{object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, ObjectKind, Remedy, State};

pub(super) static CAUSE: Cause = Cause {
    slug: "exec-not-found",
    title: "the program is not there",
    about: "\
execve(2) says ENOENT because the path leads nowhere in the root folder of the process: a typing error in CMD or \
ENTRYPOINT, a multi-stage build that did not copy the file, a volume mounted over the folder that had it, or a \
symbolic link whose target is outside of the image. A program found by name alone is looked for in each folder of \
PATH in turn, so several such failures before a success are nothing. The neighbour, a program that is there while its \
interpreter is not, has the same message.",
    shows_as: &[("execve", "ENOENT"), ("execveat", "ENOENT"), ("execve", "ENOTDIR")],
    deciders: &["do_open_execat"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "starts a program that is not there",
        risk: "none",
        variants: &["absent", "dangling"],
    },
    see: &["https://man7.org/linux/man-pages/man2/execve.2.html", "fs/exec.c: do_open_execat(); fs/namei.c"],
};

/// Functions that know what a program's first bytes mean, and look for its interpreter.
const LOADERS: &[&str] =
    &["load_elf_binary", "load_script", "load_misc_binary", "search_binary_handler", "exec_binprm"];

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["execve", "execveat"], &[libc::ENOENT, libc::ENOTDIR])?;
    if case.state(State::RAN_INSTEAD).is_some() {
        return None;
    }
    let Some(object) = object(case) else { return by_path(case) };
    let path = &object.path;
    let sentence = match object.kind {
        ObjectKind::Absent => format!("There is no {path} in its root folder."),
        ObjectKind::NoWay => {
            format!("There is no {path}: a folder on the way to it is missing or no folder.")
        }
        ObjectKind::Dangling => {
            format!("{path} is a symbolic link to something that is not there in its root folder.")
        }
        _ => return None,
    };
    Some(Proof {
        // What is not there now may have been removed since; that it is there after all would say something.
        confidence: Confidence::Proven,
        sentence,
        knob: Knob { kind: KnobKind::File, name: path.clone(), path: path.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "{} ms after it the path was looked up again from the task's root, with the same result",
            object.after_ns / 1_000_000
        )],
        missing: vec![],
    })
}

/// The process was gone before anybody looked; but the kernel was seen not to get as far as the program's own format.
fn by_path(case: &Case<'_>) -> Option<Proof> {
    let path = case.failure().text_arg("pathname")?;
    if !case.passed_through(&["path_openat"]) || case.passed_through(LOADERS) {
        return None;
    }
    Some(Proof {
        confidence: Confidence::Likely,
        sentence: format!("There is no {path} in its root folder, or a link to it leads nowhere."),
        knob: Knob { kind: KnobKind::File, name: path.into(), path: path.into() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![
            "the kernel's way ended in the search of the path, before it looked into the file".into(),
        ],
        missing: vec!["what lies at the path: the process was gone before it could be looked up".into()],
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    vec![Remedy {
        when: "for good".into(),
        command: format!("docker run --rm --entrypoint ls IMAGE -l {path}"),
        effect: "shows whether the image has it; if it has, a volume lies over it. Else copy it in, or correct CMD, \
                 ENTRYPOINT or command:"
            .into(),
        undo: String::new(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};
    use crate::model::{Errno, Fact, PathObject};

    #[test]
    fn a_process_that_is_gone_leaves_the_kernels_way() {
        let mut incident = crate::causes::case::testing::incident("execve", Errno::ENOENT, vec![]);
        crate::causes::case::testing::set_args(&mut incident, &[("pathname", "/bin/gone")], &[]);
        let judged = |functions: &[&str]| {
            let functions = functions.iter().map(|f| (*f).to_owned()).collect();
            let path = crate::model::Path { functions, ..Default::default() };
            CAUSE.judge(&Case { incident: &incident, path: Some(&path) }).map(|f| (f.confidence, f.knob.path))
        };
        let found = judged(&["do_open_execat", "path_openat", "step_into"]);
        assert_eq!(found, Some((Confidence::Likely, "/bin/gone".into())));
        assert_eq!(
            judged(&["load_script", "open_exec", "path_openat"]),
            None,
            "its interpreter is not there"
        );
        assert_eq!(judged(&[]), None);
    }

    #[test]
    fn nothing_there_is_proven_and_a_file_that_is_there_is_another_story() {
        for kind in [ObjectKind::Absent, ObjectKind::NoWay, ObjectKind::Dangling] {
            let incident =
                with_object("execve", Errno::ENOENT, PathObject { kind, ..file("/app/run", 0o755) });
            assert_eq!(judge_with(&CAUSE, &incident).unwrap().confidence, Confidence::Proven);
        }
        assert_eq!(judge_with(&CAUSE, &with_object("execve", Errno::ENOENT, file("/app/run", 0o755))), None);
        let absent = PathObject { kind: ObjectKind::Absent, ..file("/sbin/run", 0o755) };
        let mut searched = with_object("execve", Errno::ENOENT, absent);
        searched.facts.push(Fact::State(State::ran_instead("/sbin/run", "run")));
        assert_eq!(judge_with(&CAUSE, &searched), None);
        let open =
            with_object("openat", Errno::ENOENT, PathObject { kind: ObjectKind::Absent, ..file("/x", 0) });
        assert_eq!(judge_with(&CAUSE, &open), None);
    }
}
