//! A memory file that was sealed.

use super::case::{
    remedies,
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
shmem_setattr() and shmem_fallocate() in mm/shmem.c ask for the seals. A seal cannot be taken back; the file can only be copied.",
    shows_as: &[("write", "EPERM"), ("ftruncate", "EPERM"), ("fallocate", "EPERM"), ("fcntl", "EPERM")],
    deciders: &["shmem_write_begin", "shmem_setattr", "shmem_fallocate", "memfd_add_seals", "memfd_fcntl"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "seals a memory file of its own and writes to it",
        risk: "none: the file ends with its process",
        variants: &["write", "shrink", "seal"],
    },
    see: &[
        "memfd_create(2), fcntl(2): F_ADD_SEALS",
        "mm/shmem.c: shmem_write_begin(), shmem_setattr(); mm/memfd.c: memfd_add_seals()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
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
        return None;
    }
    let elsewhere = case.decided_elsewhere(SWITCH.deciders).filter(|f| !SWITCH.callers.contains(f));
    let sure = seals.is_some() && elsewhere.is_none();
    Some(Proof {
        confidence: if sure { Confidence::Proven } else { Confidence::Likely },
        sentence: "The memory file is sealed: nobody may change it that way any more, not even root.".into(),
        knob: Knob { kind: KnobKind::File, name: "F_ADD_SEALS".into(), path: "/proc/<pid>/fd/<fd>".into() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: seals.map(|s| format!("its seals were {s:#x} at that instant")).into_iter().collect(),
        missing: if seals.is_some() { vec![] } else { vec!["the seals of the file".into()] },
    })
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
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
    fn another_file_is_not_claimed() {
        assert_eq!(judged("write", "data", 8), None);
    }
}
