//! A mapped page could not be had, and the program was ended by SIGBUS: no system call failed.

use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Fact, FailureKind, FileSystem, Knob, KnobKind, Remedy, spaced};

pub(super) static CAUSE: Cause = Cause {
    slug: "sigbus",
    title: "a mapped page had no file or no room behind it (SIGBUS)",
    about: "\
A program ends with exit code 135 (128 + SIGBUS), \"Bus error\", and no system call failed: what failed is the touch of a
page of a mapped file. Two things do it. The file system had no room for the page: a file may be made larger, and
mapped, than its tmpfs has blocks, because blocks are taken when pages are touched; /dev/shm of a container has 64 MiB
unless --shm-size says otherwise, and databases, browsers and machine-learning frameworks map more. Or the file ended
before the page: somebody truncated or replaced it in place while it was mapped, as log rotation and package
upgrades do. The kernel says BUS_ADRERR to both, and to an empty pool of huge pages too.",
    shows_as: &[("fault", "SIGBUS")],
    deciders: &["shmem_fault", "filemap_fault", "hugetlb_fault"],
    reads: &[],
    // Which mapping was touched is known to nobody when the signal arrives, so nothing is proven here.
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "touches a mapped page of a file that was truncated, or of a tmpfs that is full",
        risk: "none: in a process and a mount namespace of its own",
        variants: &["full", "truncated"],
    },
    see: &["mmap(2), SIGBUS", "mm/shmem.c: shmem_fault(); mm/filemap.c: filemap_fault()", "arch/x86/mm/fault.c: do_sigbus()"],
};

/// The address, when a page could not be had.
fn touched(case: &Case<'_>) -> Option<Option<u64>> {
    match &case.incident.failure.kind {
        FailureKind::Fault { signal, code, address, .. } if signal == "SIGBUS" && code == "BUS_ADRERR" => {
            Some(*address)
        }
        _ => None,
    }
}

/// A full file system of the kind that takes its blocks when pages are touched.
fn full<'a>(case: &Case<'a>) -> Option<&'a FileSystem> {
    case.incident.facts.iter().find_map(|fact| match fact {
        Fact::FileSystem(place) => Some(place),
        _ => None,
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let address = touched(case)?;
    let who = &case.failure().task.comm;
    let mut evidence = vec![match address {
        Some(address) => format!("the kernel sent SIGBUS, BUS_ADRERR, for address {address:#x}"),
        None => "the kernel sent SIGBUS, BUS_ADRERR".into(),
    }];
    let missing = vec!["which file was mapped at that address: the process was gone".into()];
    let Some(place) = full(case) else {
        return Some(Proof {
            confidence: Confidence::Possible,
            sentence: format!(
                "{who} touched a mapped page whose file had been cut shorter, or that had no room."
            ),
            knob: Knob { kind: KnobKind::File, name: "size of the mapped file".into(), path: String::new() },
            limit: None,
            usage: None,
            unit: String::new(),
            evidence,
            missing,
        });
    };
    let kind = place.fstype.as_deref().unwrap_or("file system");
    let bytes = place.blocks.saturating_mul(place.block_size);
    evidence.push(format!(
        "{} ms after it the {kind} at {} had {} of {} blocks free (statfs)",
        place.after_ns / 1_000_000,
        place.path,
        place.blocks_free,
        place.blocks
    ));
    Some(Proof {
        confidence: Confidence::Likely,
        sentence: format!(
            "{who} touched a mapped page that the {kind} at {} has no room for: all of its {} bytes are used.",
            place.path,
            spaced(bytes)
        ),
        knob: Knob { kind: KnobKind::MountOption, name: "size=".into(), path: place.path.clone() },
        limit: Some(bytes),
        usage: Some(bytes.saturating_sub(place.blocks_free.saturating_mul(place.block_size))),
        unit: "bytes".into(),
        evidence,
        missing,
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let Some(bytes) = proof.limit else {
        return vec![Remedy {
            when: "find it".into(),
            command: "find / -xdev -newermt '-10 minutes' -type f".into(),
            effect: "in the container: files changed lately; one that is mapped must be replaced by rename(2), not in \
                     place"
                .into(),
            undo: "reads only".into(),
        }];
    };
    let (path, more, pid) = (&proof.knob.path, bytes.saturating_mul(2), case.failure().task.ppid);
    vec![
        Remedy {
            when: "now".into(),
            command: format!("nsenter -t {pid} -m mount -o remount,size={more} {path}"),
            effect: "while this mount exists; its pages count as memory of the container".into(),
            undo: format!("nsenter -t {pid} -m mount -o remount,size={bytes} {path}"),
        },
        Remedy {
            when: "for good".into(),
            command: format!("docker run --shm-size {more} …"),
            effect: "for /dev/shm; sizeLimit of an emptyDir with medium Memory in Kubernetes".into(),
            undo: "start it without the option".into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with};
    use crate::model::{Errno, FileKind, Incident};

    fn fault(signal: &str, code: &str, place: Option<FileSystem>) -> Incident {
        let mut i = incident("write", Errno(0), vec![]);
        i.failure.kind = FailureKind::Fault {
            signal: signal.into(),
            code: code.into(),
            address: Some(0x7f00_0000_1000),
            syscall: None,
        };
        i.facts = place.into_iter().map(Fact::FileSystem).collect();
        i
    }

    fn shm() -> FileSystem {
        FileSystem {
            role: "mount".into(),
            path: "/dev/shm".into(),
            object: FileKind::Folder,
            fstype: Some("tmpfs".into()),
            point: Some("/dev/shm".into()),
            options: String::new(),
            source: "shm".into(),
            overlay: None,
            upper: None,
            block_size: 4096,
            blocks: 16,
            blocks_free: 0,
            blocks_available: 0,
            files: 8,
            files_free: 3,
            reserved: Some(0),
            needs: 1,
            after_ns: 2_000_000,
        }
    }

    #[test]
    fn a_full_tmpfs_is_likely_and_named() {
        let f = judge_with(&CAUSE, &fault("SIGBUS", "BUS_ADRERR", Some(shm()))).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str(), f.limit), (Confidence::Likely, "size=", Some(65536)));
        assert!(f.sentence.contains("/dev/shm"), "{}", f.sentence);
    }

    #[test]
    fn without_one_it_is_possible_and_other_signals_are_not_claimed() {
        let f = judge_with(&CAUSE, &fault("SIGBUS", "BUS_ADRERR", None)).unwrap();
        assert_eq!(f.confidence, Confidence::Possible);
        assert!(
            judge_with(&CAUSE, &fault("SIGBUS", "BUS_MCEERR_AR", Some(shm()))).is_none(),
            "broken memory"
        );
        assert!(judge_with(&CAUSE, &fault("SIGSYS", "SYS_SECCOMP", None)).is_none());
        assert!(judge_with(&CAUSE, &incident("write", Errno::ENOSPC, vec![])).is_none());
    }
}
