//! The kernel has no way to start such a file: another machine's program, no `#!`, no program at all.

use super::case::rights::{object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Head, Knob, KnobKind, ObjectKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "exec-format",
    title: "the file is no program for this machine",
    about: "\
execve(2) says ENOEXEC, \"Exec format error\": the first bytes of the file belong to no format that the kernel starts. \
Mostly the image was built for another architecture (arm64 on amd64, or the other way round) and no emulator is \
registered in binfmt_misc. Else it is a script without #! (a shell starts such a file itself, an engine does not), an \
empty file, a text with a byte order mark, or a Git LFS pointer in place of the program.

A folder, a device or a socket in place of the program is EACCES, \"Permission denied\" (may_open() in fs/namei.c), \
whatever its mode: an entrypoint that names a folder, or a volume that was mounted over the program.",
    shows_as: &[("execve", "ENOEXEC"), ("execveat", "ENOEXEC"), ("execve", "ELIBBAD"), ("execve", "EACCES")],
    deciders: &["load_elf_binary", "load_script", "search_binary_handler"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "starts a file that is no program, or one of another architecture",
        risk: "none: a small file in a temporary folder",
        variants: &["architecture", "text", "empty"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man2/execve.2.html",
        "fs/binfmt_elf.c: load_elf_binary(), elf_check_arch()",
        "https://docs.kernel.org/admin-guide/binfmt-misc.html",
    ],
};

/// `e_machine` (elf.h) by the names engines use.
const MACHINES: &[(u16, &str)] = &[
    (3, "386"),
    (8, "mips"),
    (20, "ppc"),
    (21, "ppc64le"),
    (22, "s390x"),
    (40, "arm"),
    (62, "amd64"),
    (183, "arm64"),
    (243, "riscv64"),
    (247, "bpf"),
    (258, "loong64"),
];

fn machine(number: u16) -> String {
    MACHINES.iter().find(|m| m.0 == number).map_or_else(|| format!("machine {number}"), |m| m.1.to_owned())
}

/// What a kernel starts: also 386 on amd64, arm on arm64, where it was built so.
fn native(number: u16, here: u16) -> bool {
    number == here || matches!((here, number), (62, 3) | (183, 40))
}

/// Why the file cannot be started, as far as its first bytes say; and the knob.
fn reason(head: &Head) -> Option<(String, &'static str, bool)> {
    match head {
        Head::Elf { machine: number, here, .. } if !native(*number, *here) => {
            let words =
                format!("is a program for {}, and this machine is {}", machine(*number), machine(*here));
            Some((words, "image platform", true))
        }
        Head::Elf { kind: 1, .. } => Some(("is an object file, not yet linked".into(), "file format", true)),
        Head::Elf { kind: 4, .. } => Some(("is a core dump".into(), "file format", true)),
        Head::Elf { machine: number, class, .. } => {
            let words = format!(
                "is an ELF file for {} ({} bit) whose headers the kernel does not accept",
                machine(*number),
                if *class == 1 { 32 } else { 64 }
            );
            Some((words, "file format", false))
        }
        Head::Empty => Some(("is empty".into(), "file format", true)),
        Head::Other(what) => Some((format!("is no program: it looks like {what}"), "file format", true)),
        Head::Script { interpreter, .. } if interpreter.is_empty() => {
            Some(("has an empty #! line".into(), "#! line", true))
        }
        Head::Script { interpreter, .. } => {
            Some((format!("is a script for {interpreter}, which cannot be started itself"), "#! line", false))
        }
        Head::Unread => None,
    }
}

/// What is no file at all cannot be started, whoever asks.
fn no_file(case: &Case<'_>) -> Option<Proof> {
    refused(case, &["execve", "execveat"], &[libc::EACCES])?;
    let found = object(case)?;
    let kind = match found.kind {
        ObjectKind::Folder => "a folder",
        ObjectKind::Character | ObjectKind::Block => "a device",
        ObjectKind::Fifo => "a pipe",
        ObjectKind::Socket => "a socket",
        _ => return None,
    };
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!("{} is {kind}, not a program.", found.path),
        knob: Knob { kind: KnobKind::File, name: "program".into(), path: found.path.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!("{} ms after it {} was {kind}", found.after_ns / 1_000_000, found.path)],
        missing: vec![],
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = no_file(case) {
        return Some(proof);
    }
    refused(case, &["execve", "execveat"], &[libc::ENOEXEC, libc::ELIBBAD])?;
    let mut missing = Vec::new();
    let found = object(case).filter(|o| o.kind == ObjectKind::Regular);
    let path = found.map_or_else(|| "the file".to_owned(), |o| o.path.clone());
    let (words, knob, sure) = match found.and_then(|o| o.head.as_ref()).and_then(reason) {
        Some(reason) => reason,
        None => {
            missing.push("the first bytes of the file".into());
            ("is of no format that this kernel starts".into(), "file format", false)
        }
    };
    let confidence = match (sure, missing.is_empty()) {
        (true, _) => Confidence::Proven,
        (false, true) => {
            missing.push("which part of the file the kernel did not accept".into());
            Confidence::Likely
        }
        (false, false) => Confidence::Possible,
    };
    Some(Proof {
        confidence,
        sentence: format!("{path} {words}."),
        knob: Knob { kind: KnobKind::File, name: knob.into(), path },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: found
            .map(|o| {
                format!("{} ms after it the first bytes of {} were read", o.after_ns / 1_000_000, o.path)
            })
            .into_iter()
            .collect(),
        missing,
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let arch = match object(case).and_then(|o| o.head.as_ref()) {
        Some(Head::Elf { here, .. }) => machine(*here),
        _ => "amd64".to_owned(),
    };
    let (command, effect) = match proof.knob.name.as_str() {
        "image platform" => (
            format!("docker pull --platform linux/{arch} IMAGE"),
            "the image for this machine, if there is one; else build it (docker buildx build --platform), or register an \
             emulator in binfmt_misc (docker run --privileged --rm tonistiigi/binfmt --install all), slow and for the \
             whole machine",
        ),
        "program" => (
            format!("ls -ld {}", proof.knob.path),
            "name the program in it: ENTRYPOINT and command of the image, and what the volumes are mounted over",
        ),
        _ => (
            "write #!/bin/sh as the very first line, without blank or byte order mark before it".into(),
            "the kernel starts it as a script; a program must be copied whole (git lfs pull)",
        ),
    };
    vec![Remedy {
        when: "for good".into(),
        command,
        effect: effect.into(),
        undo: "the image as it was".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};
    use crate::model::{Errno, PathObject};

    fn judge(head: Head, errno: i32) -> Option<(String, Confidence)> {
        let object = PathObject { head: Some(head), ..file("/app", 0o755) };
        judge_with(&CAUSE, &with_object("execve", Errno(errno), object)).map(|f| (f.knob.name, f.confidence))
    }

    fn elf(machine: u16) -> Head {
        Head::Elf { class: 2, machine, kind: 2, here: 62, interpreter: None }
    }

    #[test]
    fn another_machine_s_program_and_no_program_at_all() {
        let proven = |name: &str| Some((name.to_owned(), Confidence::Proven));
        assert_eq!(judge(elf(183), libc::ENOEXEC), proven("image platform"));
        assert_eq!(judge(Head::Empty, libc::ENOEXEC), proven("file format"));
        assert_eq!(judge(Head::Other("text without #!".into()), libc::ENOEXEC), proven("file format"));
    }

    #[test]
    fn a_folder_is_no_program() {
        let kind = |kind| {
            let object = PathObject { kind, ..file("/app", 0o755) };
            judge_with(&CAUSE, &with_object("execve", Errno::EACCES, object)).map(|f| f.confidence)
        };
        assert_eq!(kind(ObjectKind::Folder), Some(Confidence::Proven));
        assert_eq!(kind(ObjectKind::Regular), None, "mode, mount or a module: not this cause's");
        assert_eq!(kind(ObjectKind::Absent), None);
    }

    #[test]
    fn a_native_program_that_is_refused_is_not_proven_and_another_errno_not_claimed() {
        assert_eq!(judge(elf(62), libc::ENOEXEC), Some(("file format".into(), Confidence::Likely)));
        assert_eq!(judge(elf(3), libc::ENOEXEC), Some(("file format".into(), Confidence::Likely)));
        assert_eq!(judge(elf(183), libc::EACCES), None);
    }
}
