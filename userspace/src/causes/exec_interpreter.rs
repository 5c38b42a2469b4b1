//! A program is there, but what the kernel must start in its place is not: `#!`, or the ELF interpreter.

use super::case::rights::{object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Head, Knob, KnobKind, ObjectKind, PathObject, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "exec-interpreter",
    title: "the program's interpreter is missing",
    about: "\
execve(2) says ENOENT, \"No such file or directory\", although the file is there: ls shows it, and it is executable. \
The name that is missing stands inside the file. A script is started by the program in its first line, #!; a \
dynamically linked program by its loader (PT_INTERP), /lib64/ld-linux-x86-64.so.2 for glibc and \
/lib/ld-musl-x86_64.so.1 for musl. A program built on Debian and copied into Alpine, a script with #!/bin/bash in an \
image without bash, or one with Windows line ends, whose interpreter is \"/bin/sh\\r\", all fail this way. The message \
names the file, never the interpreter.",
    shows_as: &[("execve", "ENOENT"), ("execveat", "ENOENT")],
    deciders: &["open_exec", "do_open_execat"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "starts a script, or a program, whose interpreter does not exist",
        risk: "none: two small files in a temporary folder",
        variants: &["script", "elf", "carriage-return"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man2/execve.2.html",
        "fs/binfmt_script.c: load_script(); fs/binfmt_elf.c: load_elf_binary()",
    ],
};

/// The interpreter that is not there, and whether the file ends its line with a carriage return.
fn lacking(object: &PathObject) -> Option<(&str, ObjectKind, bool)> {
    match object.head.as_ref()? {
        Head::Script { interpreter, found, carriage_return } => Some((interpreter, *found, *carriage_return)),
        Head::Elf { interpreter: Some((path, found)), .. } => Some((path, *found, false)),
        _ => None,
    }
}

fn is_missing(kind: ObjectKind) -> bool {
    matches!(kind, ObjectKind::Absent | ObjectKind::NoWay | ObjectKind::Dangling)
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["execve", "execveat"], &[libc::ENOENT])?;
    let object = object(case)?;
    let (interpreter, found, carriage_return) = lacking(object)?;
    if !is_missing(found) {
        return None;
    }
    let script = matches!(object.head, Some(Head::Script { .. }));
    let what = match (script, carriage_return) {
        (true, true) => "its first line ends in a carriage return (Windows line ends), so it asks for",
        (true, false) => "its first line asks for",
        (false, _) => "it is linked to be started by",
    };
    let is =
        if found == ObjectKind::Dangling { "a link to nowhere in its root" } else { "not there in its root" };
    let (file, ms) = (&object.path, object.after_ns / 1_000_000);
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!("{file} is there, but {what} {interpreter:?}, which is {is}."),
        knob: Knob {
            kind: KnobKind::File,
            name: if script { "#! line" } else { "PT_INTERP" }.into(),
            path: interpreter.to_owned(),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!(
            "{ms} ms after it {file} was a regular file that names {interpreter:?}; nothing lies there"
        )],
        missing: vec![],
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let interpreter = &proof.knob.path;
    let file = object(case).map(|o| o.path.clone()).unwrap_or_default();
    let carriage = object(case).and_then(lacking).is_some_and(|(_, _, cr)| cr);
    let (command, effect) = if carriage {
        (
            format!("sed -i 's/\\r$//' {file}"),
            "the file has Unix line ends; set text eol=lf in .gitattributes too".to_owned(),
        )
    } else if interpreter.contains("musl") {
        (
            "build against glibc, or use an Alpine base image".into(),
            "the program finds the loader it was linked for".into(),
        )
    } else if interpreter.contains("ld-linux") {
        (
            "build a static program (CGO_ENABLED=0, target musl), or use a glibc base image".into(),
            "the program finds the loader it was linked for, or needs none; Alpine's gcompat helps some"
                .into(),
        )
    } else {
        (
            format!("install {interpreter} in the image, or name another interpreter in {file}"),
            "the script is started".into(),
        )
    };
    vec![Remedy { when: "for good".into(), command, effect, undo: "the image as it was".into() }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, with_object};
    use crate::model::Errno;

    fn object(head: Head) -> PathObject {
        PathObject { head: Some(head), ..crate::causes::case::testing::file("./app", 0o755) }
    }

    fn script(found: ObjectKind, interpreter: &str) -> PathObject {
        let carriage_return = interpreter.ends_with('\r');
        object(Head::Script { interpreter: interpreter.into(), found, carriage_return })
    }

    #[test]
    fn the_missing_name_stands_in_the_file() {
        let incident = with_object("execve", Errno::ENOENT, script(ObjectKind::Absent, "/bin/bash"));
        let f = judge_with(&CAUSE, &incident).unwrap();
        assert_eq!(
            (f.confidence, f.knob.name.as_str(), f.knob.path.as_str()),
            (Confidence::Proven, "#! line", "/bin/bash")
        );
        let cr = with_object("execve", Errno::ENOENT, script(ObjectKind::Absent, "/bin/sh\r"));
        assert!(judge_with(&CAUSE, &cr).unwrap().sentence.contains("Windows"));
        let interpreter = Some(("/lib/ld-musl-x86_64.so.1".into(), ObjectKind::NoWay));
        let elf = object(Head::Elf { class: 2, machine: 62, kind: 3, here: 62, interpreter });
        let f = judge_with(&CAUSE, &with_object("execve", Errno::ENOENT, elf)).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("PT_INTERP", Confidence::Proven));
    }

    #[test]
    fn an_interpreter_that_is_there_or_a_file_that_is_not_is_another_story() {
        let there = with_object("execve", Errno::ENOENT, script(ObjectKind::Regular, "/bin/sh"));
        assert_eq!(judge_with(&CAUSE, &there), None);
        let absent = PathObject { kind: ObjectKind::Absent, head: None, ..object(Head::Empty) };
        assert_eq!(judge_with(&CAUSE, &with_object("execve", Errno::ENOENT, absent)), None);
        let refused = with_object("execve", Errno::EACCES, script(ObjectKind::Absent, "/bin/bash"));
        assert_eq!(judge_with(&CAUSE, &refused), None);
    }
}
