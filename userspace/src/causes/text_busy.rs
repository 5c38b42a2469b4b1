//! A program that runs must not be written to, and one that is written to must not be started.

use super::case::modes::path;
use super::case::rights::{object, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "text-busy",
    title: "the program is running, or still being written",
    about: "\
ETXTBSY, \"Text file busy\". Opening a program's file for writing fails while any process runs it, in whatever \
container: an update that copies over the old file. The other way round execve(2) fails while somebody has the file open \
for writing: a build step starts what it has just written, and a child that was forked meanwhile still holds the \
descriptor (the race of golang/go#22315). Shared libraries are not guarded, and interpreters of scripts are, not the \
scripts.",
    shows_as: &[("open", "ETXTBSY"), ("openat", "ETXTBSY"), ("execve", "ETXTBSY"), ("truncate", "ETXTBSY")],
    deciders: &[
        "get_write_access",
        "deny_write_access",
        "exe_file_deny_write_access",
        "do_dentry_open",
        "do_open_execat",
    ],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens for writing a program that runs, or starts one that is open for writing",
        risk: "none: a program of its own in a temporary folder",
        variants: &["running", "writing"],
    },
    see: &[
        "https://man7.org/linux/man-pages/man2/open.2.html",
        "include/linux/fs.h: get_write_access(), deny_write_access(); fs/exec.c: do_open_execat()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (name, errno) = case.failure().syscall()?;
    if errno != Errno(libc::ETXTBSY) {
        return None;
    }
    let swap = ["swapon", "swapoff"].contains(&name);
    if swap {
        return None;
    }
    let exec = name.starts_with("execve");
    let found = object(case);
    let holders = found.map(|o| if exec { &o.writing } else { &o.running }).filter(|list| !list.is_empty());
    let file = path(case);
    let mut missing = Vec::new();
    let (confidence, who) = match holders {
        Some(list) => (Confidence::Proven, list.join(", ")),
        // No other state of a file gives this errno to these calls.
        None if case.verdict(CAUSE.deciders).is_some() => {
            (Confidence::Proven, "a process that is gone".to_owned())
        }
        None => {
            missing.push("the process that holds it".into());
            (Confidence::Likely, "somebody".to_owned())
        }
    };
    let (sentence, knob) = if exec {
        (format!("{file} cannot be started while {who} has it open for writing."), "open descriptor")
    } else {
        (format!("{file} cannot be written to while {who} runs it."), "running program")
    };
    let mut evidence: Vec<String> = found
        .filter(|_| holders.is_some())
        .map(|o| format!("{} ms after it {who} held {}", o.after_ns / 1_000_000, o.path))
        .into_iter()
        .collect();
    evidence.extend(
        case.verdict(CAUSE.deciders).map(|v| format!("{} said no (found by {})", v.function, v.method)),
    );
    Some(Proof {
        confidence,
        sentence,
        knob: Knob { kind: KnobKind::File, name: knob.into(), path: file },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let exec = case.failure().syscall().is_some_and(|(name, _)| name.starts_with("execve"));
    let (command, effect) = if exec {
        (
            format!("close {path} everywhere before it is started"),
            "write under another name, close, rename; fork with the descriptor marked O_CLOEXEC, and try again when it \
             fails",
        )
    } else {
        (
            format!("cp NEW {path}.new && mv {path}.new {path}"),
            "the running program keeps the old file, the next start takes the new one",
        )
    };
    vec![Remedy { when: "for good".into(), command, effect: effect.into(), undo: String::new() }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, with_object};
    use crate::model::PathObject;

    #[test]
    fn who_runs_it_and_who_writes_it() {
        let running = PathObject { running: vec!["sleep (9)".into()], ..file("/bin/app", 0o755) };
        let f = judge_with(&CAUSE, &with_object("openat", Errno(libc::ETXTBSY), running.clone())).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "running program"));
        assert!(f.sentence.contains("sleep (9)"));
        let f = judge_with(&CAUSE, &with_object("execve", Errno(libc::ETXTBSY), running)).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Likely, "open descriptor"));
        assert_eq!(judge_with(&CAUSE, &with_object("openat", Errno::EACCES, file("/x", 0o755))), None);
    }
}
