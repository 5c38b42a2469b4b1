//! A file cannot be mapped that way: how it was opened, what it is, or its mount does not allow it.

use super::case::claim::{self, cite_state, knob, look, step};
use super::case::signs::lies;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, PlaceKind, Remedy};

const DECIDERS: &[&str] = &["do_mmap"];
const CALLERS: &[&str] = &[
    "vm_mmap_pgoff",
    "ksys_mmap_pgoff",
    "__x64_sys_mmap",
    "do_mprotect_pkey",
    "__x64_sys_mprotect",
    "__x64_sys_pkey_mprotect",
    "mmap_region",
    "__mmap_region",
];
const OPENED: &str = "open for";
const IS: &str = "mapping";
const MAY: &str = "mapping may";

pub(super) static CAUSE: Cause = Cause {
    slug: "mapping-rights",
    title: "the file was not opened for such a mapping, or cannot be mapped",
    about: "\
mmap(2) of a file fails with EACCES, \"Permission denied\", although the file's mode allows everything: what counts is how the \
descriptor was opened. Every mapping reads, so one of a file opened with O_WRONLY is refused; a shared one with PROT_WRITE takes \
O_RDWR (log and index files, databases, Python's mmap module with its default access), and an append-only file (chattr +a) cannot be \
mapped so at all. do_mmap() in mm/mmap.c asks.

It also settles there what the mapping may ever become: mprotect(2) says EACCES, in do_mprotect_pkey(), for PROT_WRITE on a shared \
mapping of a file that was opened for reading or sealed against writing (F_SEAL_FUTURE_WRITE), and for PROT_EXEC on one of a file \
from a noexec mount. Pages read only by a private mapping may be made writable; nobody else sees that.

ENODEV, \"No such device\", has to do with no device: folders, pipes, sockets and most files of /proc and /sys cannot be mapped.",
    shows_as: &[("mmap", "EACCES"), ("mmap", "ENODEV"), ("mprotect", "EACCES"), ("pkey_mprotect", "EACCES")],
    deciders: &["do_mmap", "do_mprotect_pkey"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "maps a file of a tmpfs of its own otherwise than it was opened",
        risk: "none: it happens in a mount namespace of its own",
        variants: &["read-only", "write-only", "protect", "noexec", "folder"],
    },
    see: &[
        "mmap(2), EACCES, ENODEV; mprotect(2), EACCES; proc_pid_smaps(5), VmFlags",
        "mm/mmap.c: do_mmap(); mm/mprotect.c: do_mprotect_pkey()",
    ],
};

/// What is against it: whether it was seen, the sentence, and what to change.
struct Against {
    state: Option<bool>,
    sentence: String,
    name: &'static str,
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let against = match (call, errno) {
        ("mmap" | "mmap2", Errno::EACCES) => opened(case)?,
        ("mmap" | "mmap2", Errno(libc::ENODEV)) => unmappable(case)?,
        ("mprotect" | "pkey_mprotect", Errno::EACCES) => kept(case)?,
        _ => return None,
    };
    let weighed = claim::weigh(case, DECIDERS, CALLERS, against.state)?;
    let place = case.place("fd");
    let path = place.map(|p| p.path.clone()).or_else(|| Some(case.state(MAY)?.of.clone()));
    let cited = [OPENED, IS, MAY, "file seals"].iter().filter_map(|name| cite_state(case, name));
    Some(
        weighed
            .proof(case, &[], against.sentence, knob(KnobKind::File, against.name, path.unwrap_or_default()))
            .because(place.map(lies).into_iter().chain(cited)),
    )
}

/// The file's path, or words for it.
fn file<'a>(case: &Case<'a>) -> &'a str {
    case.place("fd").map(|p| p.path.as_str()).filter(|p| !p.is_empty()).unwrap_or("the file")
}

fn number(case: &Case<'_>, name: &str) -> u64 {
    case.failure().number_arg(name).unwrap_or(0)
}

fn of_file(case: &Case<'_>) -> bool {
    number(case, "flags") & libc::MAP_ANONYMOUS as u64 == 0
}

/// EACCES of do_mmap(), in its order.
fn opened(case: &Case<'_>) -> Option<Against> {
    if !of_file(case) {
        return None;
    }
    let shared = number(case, "flags") & libc::MAP_TYPE as u64 != libc::MAP_PRIVATE as u64;
    let writes = shared && number(case, "prot") & libc::PROT_WRITE as u64 != 0;
    let mode = case.state(OPENED).map(|s| s.value.as_str());
    let path = file(case);
    let append = case.place("fd").is_some_and(|p| p.append_only);
    let (state, sentence, name) = match mode {
        Some("reading") if writes => (
            Some(true),
            format!("{path} was opened for reading only: a shared mapping of it cannot be written to."),
            "O_RDWR",
        ),
        Some("writing") => (
            Some(true),
            format!("{path} was opened for writing only: every mapping reads as well."),
            "O_RDWR",
        ),
        Some("both") if writes && append => (
            Some(true),
            format!("{path} is append-only: a shared mapping could change what is there."),
            "append-only",
        ),
        Some(_) => return None,
        None if writes => {
            (None, format!("{path} was not opened for reading and writing, or is append-only."), "O_RDWR")
        }
        None => (None, format!("{path} was opened for writing only: every mapping reads as well."), "O_RDWR"),
    };
    Some(Against { state, sentence, name })
}

/// ENODEV: the file has no operation to map it.
fn unmappable(case: &Case<'_>) -> Option<Against> {
    if !of_file(case) {
        return None;
    }
    let place = case.place("fd");
    let path = file(case);
    let (state, what) = match place.map(|p| p.kind) {
        Some(PlaceKind::Folder) => (Some(true), "a folder"),
        // fifo_open() and sockets have no mmap operation on any kernel.
        Some(PlaceKind::Other) => (Some(true), "a pipe or a socket"),
        _ => (None, "a file that its file system or driver does not map"),
    };
    let on = place.and_then(|p| p.fstype()).map_or_else(String::new, |t| format!(" ({t})"));
    Some(Against { state, sentence: format!("{path}{on} cannot be mapped: it is {what}."), name: "file" })
}

/// Devices and the kernel's own files may forbid their mappings what they like (`vm_flags_clear()` in their mmap).
fn is_driven(path: &str) -> bool {
    let device = path.starts_with("/dev/") && !path.starts_with("/dev/shm/");
    device || !path.starts_with('/') || path.starts_with("/proc/") || path.starts_with("/sys/")
}

/// EACCES of mprotect(2): the mapping may not become that.
fn kept(case: &Case<'_>) -> Option<Against> {
    let prot = number(case, "prot");
    let may = case.state(MAY)?;
    let lacks = |bit: i32, word: &str| prot & bit as u64 != 0 && !may.value.contains(word);
    let path = if may.of.is_empty() { "The mapping" } else { may.of.as_str() };
    let or = if is_driven(path) { ", or its driver does not allow it" } else { "" };
    let (sentence, name) = if lacks(libc::PROT_WRITE, "write") && may.of.starts_with("/memfd:") {
        (
            format!(
                "{path} was mapped read-only, or is sealed against writing: its mapping cannot be made writable."
            ),
            "F_SEAL_FUTURE_WRITE",
        )
    } else if lacks(libc::PROT_WRITE, "write") {
        (
            format!("{path} was opened for reading only{or}: its shared mapping cannot be made writable."),
            "O_RDWR",
        )
    } else if lacks(libc::PROT_EXEC, "execute") {
        (format!("{path} lies on a mount with noexec{or}: its mapping cannot be made executable."), "noexec")
    } else if lacks(libc::PROT_READ, "read") {
        (format!("{path} may not be read by its mapping."), "O_RDWR")
    } else {
        return None;
    };
    Some(Against { state: Some(true), sentence, name })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = if proof.knob.path.is_empty() { "FILE" } else { proof.knob.path.as_str() };
    match proof.knob.name.as_str() {
        "noexec" => vec![step(
            "now",
            "mount -o remount,bind,exec MOUNT",
            "whoever may write there may run what was written; inside a user namespace the flag is locked",
            "mount -o remount,bind,noexec MOUNT",
        )],
        "append-only" => vec![step(
            "now",
            format!("chattr -a {path}"),
            "what it holds may be changed then, not only added to",
            format!("chattr +a {path}"),
        )],
        "file" => vec![step(
            "for good",
            "read(2) it, or copy it to a regular file first",
            "what is made at the moment of reading has no pages that could be mapped",
            "none needed",
        )],
        _ => vec![
            look(format!("ls -l {path}; lsattr {path}"), "whether it could be opened for both at all"),
            step(
                "for good",
                "open it with O_RDWR, or map it with MAP_PRIVATE where changes are not to reach the file",
                "in Python mmap.mmap(…, access=mmap.ACCESS_READ) for a file that is open for reading",
                "none needed",
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, place, state, valued};
    use crate::model::{Confidence, Fact, Incident};

    fn call(name: &str, errno: i32, prot: i32, flags: i32) -> Incident {
        let args = [("prot", prot as u64), ("flags", flags as u64), ("fd", 3)];
        valued(name, Errno(errno), &args, &[], vec![])
    }

    fn opened_for(mode: &str, prot: i32, flags: i32) -> Option<(Confidence, String)> {
        let mut i = call("mmap", libc::EACCES, prot, flags);
        i.facts.push(state(OPENED, "", mode));
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.sentence))
    }

    #[test]
    fn how_the_file_was_opened_is_held_against_the_mapping() {
        let writes = libc::PROT_READ | libc::PROT_WRITE;
        let (confidence, sentence) = opened_for("reading", writes, libc::MAP_SHARED).unwrap();
        assert_eq!(confidence, Confidence::Proven);
        assert!(sentence.contains("reading only"), "{sentence}");
        assert_eq!(opened_for("reading", writes, libc::MAP_PRIVATE), None);
        assert_eq!(opened_for("reading", libc::PROT_READ, libc::MAP_SHARED), None);
        assert!(
            opened_for("writing", libc::PROT_READ, libc::MAP_PRIVATE).unwrap().1.contains("writing only")
        );
        assert_eq!(opened_for("both", writes, libc::MAP_SHARED), None, "something else refused it");
        assert_eq!(opened_for("reading", writes, libc::MAP_SHARED | libc::MAP_ANONYMOUS), None);
        let unseen = judge_with(&CAUSE, &call("mmap", libc::EACCES, writes, libc::MAP_SHARED));
        assert_eq!(unseen.map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn an_append_only_file_is_told_apart() {
        let mut i = call("mmap", libc::EACCES, libc::PROT_WRITE, libc::MAP_SHARED);
        i.facts.push(state(OPENED, "", "both"));
        let mut at = place("fd", "/var/log/x", "rw");
        at.append_only = true;
        i.facts.push(Fact::Place(at));
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "append-only");
    }

    #[test]
    fn what_a_mapping_may_become_was_settled_when_it_was_made() {
        let kept = |may: &str, prot: i32| {
            let mut i = call("mprotect", libc::EACCES, prot, 0);
            i.facts.push(state(MAY, "/srv/data", may));
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(kept("read", libc::PROT_WRITE), Some((Confidence::Proven, "O_RDWR".into())));
        assert_eq!(kept("read write", libc::PROT_EXEC), Some((Confidence::Proven, "noexec".into())));
        assert_eq!(kept("read write execute", libc::PROT_EXEC), None);
        assert_eq!(judge_with(&CAUSE, &call("mprotect", libc::EACCES, libc::PROT_WRITE, 0)), None);
    }

    #[test]
    fn a_driver_may_be_the_one() {
        assert!(is_driven("anon_inode:[perf_event]") && is_driven("/dev/dri/card0"));
        assert!(!is_driven("/dev/shm/x") && !is_driven("/srv/data"));
    }

    #[test]
    fn folders_cannot_be_mapped() {
        let mut i = call("mmap", libc::ENODEV, libc::PROT_READ, libc::MAP_SHARED);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
        i.facts.push(Fact::Place(place("fd", "/srv", "rw")));
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Proven));
    }
}
