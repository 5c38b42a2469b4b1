//! A memory file that was sealed.

use super::case::{
    claim, remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Knob, KnobKind, Remedy};

const SWITCH: Switch = Switch {
    name: "F_GET_SEALS",
    exempt: 0,
    exempts: "",
    deciders: &["shmem_write_begin", "shmem_setattr", "shmem_fallocate", "memfd_add_seals", "memfd_fcntl"],
    callers: &[
        "generic_perform_write",
        "shmem_file_write_iter",
        "__generic_file_write_iter",
        "vfs_write",
        "ksys_write",
        "notify_change",
        "do_truncate",
        "do_sys_ftruncate",
        "vfs_fallocate",
        "do_fcntl",
        "generic_file_write_iter",
        "do_ftruncate",
    ],
};

/// include/uapi/linux/fcntl.h.
const F_ADD_SEALS: u64 = 1033;
const SEAL: u64 = 1;
const SHRINK: u64 = 2;
const GROW: u64 = 4;
/// F_SEAL_WRITE and F_SEAL_FUTURE_WRITE.
const WRITE: u64 = 8 | 16;

pub(super) static CAUSE: Cause = Cause {
    slug: "memfd-sealed",
    title: "a memory file is sealed (memfd_create, F_ADD_SEALS)",
    about: "\
write(2), ftruncate(2), fallocate(2) or mmap(2) of a memory file (memfd_create(2), shared with graphics, sandboxes, and by runc for its own
binary) fails with EPERM, \"Operation not permitted\", even for root: somebody has sealed it with fcntl(F_ADD_SEALS). shmem_write_begin(),
shmem_setattr() and shmem_fallocate() in mm/shmem.c ask for the seals. A seal cannot be taken back; the file can only be copied.

Sealing itself fails, too: EPERM where F_SEAL_SEAL forbids more seals, which a file has from its beginning that was made without
MFD_ALLOW_SEALING, and where the descriptor is not open for writing; EBUSY, \"Device or resource busy\", for F_SEAL_WRITE while
somebody has the file mapped writable; EINVAL on a file that is in no memory.",
    shows_as: &[
        ("write", "EPERM"),
        ("ftruncate", "EPERM"),
        ("fallocate", "EPERM"),
        ("mmap", "EPERM"),
        ("fcntl", "EPERM"),
        ("fcntl", "EBUSY"),
    ],
    deciders: &["shmem_write_begin", "shmem_setattr", "shmem_fallocate", "memfd_add_seals", "memfd_fcntl"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "seals a memory file of its own and writes to it",
        risk: "none: the file ends with its process",
        variants: &["write", "shrink", "seal", "map", "mapped"],
    },
    see: &[
        "memfd_create(2), fcntl(2): F_ADD_SEALS",
        "mm/shmem.c: shmem_write_begin(), shmem_setattr(); mm/memfd.c: memfd_add_seals()",
    ],
};

const BUSY: &[&str] =
    &["memfd_wait_for_pins", "shmem_wait_for_pins", "do_fcntl", "__x64_sys_fcntl", "__do_sys_fcntl"];

/// F_ADD_SEALS with F_SEAL_WRITE: memfd_wait_for_pins() and mapping_deny_writable() say EBUSY.
fn mapped(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["fcntl", "fcntl64"], Errno(libc::EBUSY))?;
    let number = |name: &str| case.failure().number_arg(name);
    (number("op")? == F_ADD_SEALS && number("arg")? & WRITE != 0).then_some(())?;
    let weighed = claim::weigh(case, SWITCH.deciders, BUSY, Some(true))?;
    let sentence = "The memory file cannot be sealed against writing: it is mapped writable, or its pages are pinned by somebody.";
    let knob = claim::knob(KnobKind::File, "writable mapping", "/proc/<pid>/maps");
    Some(weighed.proof(case, SWITCH.deciders, sentence.into(), knob))
}

/// F_ADD_SEALS on a file that would take one: memfd_add_seals() asks before that how it was opened.
fn unwritable(case: &Case<'_>) -> Option<Proof> {
    let weighed = claim::weigh(case, SWITCH.deciders, SWITCH.callers, Some(true))?;
    let sentence = "The memory file can be sealed only through a descriptor that is open for writing.";
    let knob = claim::knob(KnobKind::File, "O_RDWR", "/proc/<pid>/fdinfo/<fd>");
    Some(weighed.proof(case, SWITCH.deciders, sentence.into(), knob))
}

/// A shared mapping that could be written to.
fn shared(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["mmap", "mmap2"], Errno::EPERM)?;
    let number = |name: &str| case.failure().number_arg(name);
    let writes = number("prot")? & libc::PROT_WRITE as u64 != 0
        && number("flags")? & libc::MAP_TYPE as u64 != libc::MAP_PRIVATE as u64;
    let seals = case.value("file seals").filter(|seals| seals & WRITE != 0 && writes)?;
    let weighed = claim::weigh(case, &["shmem_mmap", "memfd_check_seals_mmap"], MAPPERS, Some(true))?;
    let sentence = "The memory file is sealed against writing: it cannot be mapped writable and shared.";
    let knob = claim::knob(KnobKind::File, "F_GET_SEALS", "/proc/<pid>/fd/<fd>");
    let proof = weighed.proof(case, SWITCH.deciders, sentence.into(), knob);
    Some(proof.because([format!("its seals are {seals:#x} (fcntl F_GET_SEALS, read again)")]))
}

const MAPPERS: &[&str] =
    &["do_mmap", "mmap_region", "__mmap_region", "vm_mmap_pgoff", "ksys_mmap_pgoff", "__x64_sys_mmap"];

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = mapped(case).or_else(|| shared(case)) {
        return Some(proof);
    }
    let call =
        case.denied(&["write", "pwrite64", "writev", "ftruncate", "fallocate", "fcntl"], Errno::EPERM)?;
    let memory_file = case.failure().file().map(|file| file.name.starts_with("memfd:"));
    let sealing = case.failure().number_arg("op").is_some_and(|op| op == F_ADD_SEALS);
    if memory_file == Some(false) || call == "fcntl" && !sealing || memory_file.is_none() && call != "fcntl" {
        return None;
    }
    let forbidding = match call {
        "ftruncate" => SHRINK | GROW,
        "fallocate" => WRITE | GROW,
        "fcntl" => SEAL,
        _ => WRITE | GROW,
    };
    let seals = case.value("file seals");
    if seals.is_some_and(|s| s & forbidding == 0) {
        return if call == "fcntl" { unwritable(case) } else { None };
    }
    let elsewhere = case.decided_elsewhere(SWITCH.deciders).filter(|f| !SWITCH.callers.contains(f));
    let sure = seals.is_some() && elsewhere.is_none();
    Some(Proof {
        confidence: if sure { Confidence::Proven } else { Confidence::Likely },
        sentence: if call == "fcntl" {
            "The memory file takes no more seals: F_SEAL_SEAL was set, or it was made without MFD_ALLOW_SEALING."
        } else {
            "The memory file is sealed: nobody may change it that way any more, not even root."
        }
        .into(),
        knob: Knob { kind: KnobKind::File, name: "F_ADD_SEALS".into(), path: "/proc/<pid>/fd/<fd>".into() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: seals.map(|s| format!("its seals were {s:#x} at that instant")).into_iter().collect(),
        missing: if seals.is_some() { vec![] } else { vec!["the seals of the file".into()] },
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.name == "writable mapping" {
        return vec![
            claim::look(
                format!(
                    "grep -l 'rw-s.*memfd:' /proc/[0-9]*/maps; grep memfd: /proc/{}/maps",
                    case.failure().task.pid
                ),
                "who has it mapped: mostly the caller itself",
            ),
            claim::step(
                "for good",
                "munmap(2) it first, or seal with F_SEAL_FUTURE_WRITE (since 5.1)",
                "the latter leaves mappings that are there, and forbids new ones and write(2)",
                "a seal cannot be taken back",
            ),
        ];
    }
    vec![remedies::step(
        "for good",
        "copy it into a new memory file, or do not seal it with that seal",
        "a seal cannot be taken back",
        "none",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::{Arg, ArgValue, FailureKind, FileKind, OpenFile};

    fn judged(call: &str, name: &str, seals: u64) -> Option<Confidence> {
        let mut i = valued(call, Errno::EPERM, &[], &[("file seals", seals)], vec![]);
        let file = OpenFile {
            kind: FileKind::Regular,
            name: name.into(),
            device: String::new(),
            magic: 0x0102_1994,
            inode: 1,
            folder: 1,
        };
        if let FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            args.push(Arg { name: "fd".into(), value: ArgValue::Descriptor { raw: 3, file } });
        }
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_seal_that_forbids_it_is_proven_and_others_are_not_claimed() {
        assert_eq!(judged("write", "memfd:x", 8), Some(Confidence::Proven));
        assert_eq!(judged("write", "memfd:x", 2), None);
        assert_eq!(judged("ftruncate", "memfd:x", 2), Some(Confidence::Proven));
    }

    #[test]
    fn a_descriptor_without_writing_seals_nothing() {
        let told = |seals: u64| {
            let args = [("op", F_ADD_SEALS), ("arg", 8)];
            judge_with(&CAUSE, &valued("fcntl", Errno::EPERM, &args, &[("file seals", seals)], vec![]))
                .map(|f| f.knob.name)
        };
        assert_eq!(told(0), Some("O_RDWR".into()));
        assert_eq!(told(SEAL), Some("F_ADD_SEALS".into()));
    }

    #[test]
    fn mappings_and_seals_exclude_each_other() {
        let busy = |op: u64, seals: u64| {
            let i = valued("fcntl", Errno(libc::EBUSY), &[("op", op), ("arg", seals)], &[], vec![]);
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(busy(F_ADD_SEALS, 8), Some((Confidence::Proven, "writable mapping".into())));
        assert_eq!((busy(F_ADD_SEALS, 2), busy(1031, 8)), (None, None));
        let map = |prot: i32, flags: i32, seals: u64| {
            let args = [("prot", prot as u64), ("flags", flags as u64), ("fd", 3)];
            judge_with(&CAUSE, &valued("mmap", Errno::EPERM, &args, &[("file seals", seals)], vec![]))
                .map(|f| f.confidence)
        };
        assert_eq!(map(libc::PROT_WRITE, libc::MAP_SHARED, 8), Some(Confidence::Proven));
        assert_eq!(map(libc::PROT_WRITE, libc::MAP_PRIVATE, 8), None);
        assert_eq!(map(libc::PROT_WRITE, libc::MAP_SHARED, 2), None);
    }

    #[test]
    fn another_file_is_not_claimed() {
        assert_eq!(judged("write", "data", 8), None);
    }
}
