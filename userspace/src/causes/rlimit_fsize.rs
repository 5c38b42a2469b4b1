//! A file would grow past RLIMIT_FSIZE, or past what its file system can address.

use super::case::ceiling::cite;
use super::case::signs::{fix, knob};
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::FSIZE;
use crate::model::{Confidence, Errno, FailureKind, KnobKind, Reading, Remedy, spaced};

const EFBIG: Errno = Errno(libc::EFBIG);
const CALLS: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "pwritev2",
    "truncate",
    "ftruncate",
    "fallocate",
    "copy_file_range",
    "splice",
    "sendfile",
    "sendfile64",
    "truncate64",
    "ftruncate64",
];
const DECIDERS: &[&str] =
    &["generic_write_check_limits", "inode_newsize_ok", "generic_write_checks", "generic_write_checks_count"];

/// `MAX_NON_LFS`, and the largest file of old formats: 4 GiB - 1 on FAT.
const FAT_MOST: u64 = 0xffff_ffff;

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-fsize",
    title: "the file may not grow further (RLIMIT_FSIZE)",
    about: "\
Writing fails with EFBIG, \"File too large\", and the disk has room. The limit on the size of a file a process may write, `ulimit -f`, is reached; the kernel also
sends SIGXFSZ, which ends a program that does not ignore it (exit code 153). Engines pass it on from --ulimit fsize= or from
a daemon's own limits (systemd LimitFSIZE=). Rarer, the file system itself cannot hold so large a file: 4 GiB on vfat, 16 TiB
on ext4. A write that begins below the limit is cut short and succeeds; only the next one fails.",
    shows_as: &[("write", "EFBIG"), ("pwrite64", "EFBIG"), ("ftruncate", "EFBIG"), ("fallocate", "EFBIG"), ("splice", "EFBIG"), ("fault", "SIGXFSZ")],
    deciders: DECIDERS,
    reads: &[&FSIZE],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action { about: "writes past a limit of 4096 bytes that it gave itself", risk: "none: in a process that ends, on a tmpfs of its own", variants: &["write", "ftruncate"] },
    see: &["getrlimit(2), RLIMIT_FSIZE; write(2), EFBIG", "fs/read_write.c: generic_write_check_limits(); fs/attr.c: inode_newsize_ok()"],
};

/// The process did not ignore the signal, which the kernel sends for nothing else: siginfo of kill(2) is another.
fn by_signal(case: &Case<'_>) -> Option<Proof> {
    let FailureKind::Fault { signal, .. } = &case.failure().kind else { return None };
    let task = &case.failure().task;
    (signal == "SIGXFSZ").then(|| Proof {
        confidence: Confidence::Proven,
        sentence: format!(
            "{} (pid {}) wrote past RLIMIT_FSIZE, its limit on the size of a file, and the kernel ended it by SIGXFSZ.",
            task.comm, task.pid
        ),
        knob: knob(KnobKind::Rlimit, FSIZE.id, FSIZE.path()),
        limit: None,
        usage: None,
        unit: FSIZE.unit.into(),
        evidence: vec!["signal:signal_generate: the kernel's own SIGXFSZ, to the process that wrote".into()],
        missing: vec![],
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = by_signal(case) {
        return Some(proof);
    }
    let call = case.denied(CALLS, EFBIG)?;
    let reading = case.reading(&FSIZE);
    let exceeded = reading.filter(|r| r.ceiling != Some(u64::MAX)).and_then(Reading::exceeded);
    let unlimited = reading.is_some_and(|r| r.ceiling == Some(u64::MAX));
    let place = case.places().find(|p| p.mount.is_some());
    let fat = place.and_then(|p| p.fstype()).is_some_and(|t| matches!(t, "vfat" | "msdos"));
    let seen = case.verdict(DECIDERS);
    let mut missing = Vec::new();
    let own = unlimited || exceeded == Some(false);
    let confidence = match (exceeded, &seen) {
        // Neither the limit nor the position changes unless the process itself says so, and such a write is always refused.
        (Some(true), _) => Confidence::Proven,
        _ if own && fat && reading.and_then(|r| r.usage).is_some_and(|u| u >= FAT_MOST) => Confidence::Proven,
        _ if own => {
            missing.push("the largest file of this file system".into());
            Confidence::Possible
        }
        (_, Some(_)) => {
            missing.push("the limit and where the write would have begun".into());
            Confidence::Likely
        }
        _ => {
            missing.push("the limit and where the write would have begun: the caller was gone".into());
            Confidence::Possible
        }
    };
    let (name, kind) = if own { ("file system type", KnobKind::Other) } else { (FSIZE.id, KnobKind::Rlimit) };
    let who = case.who();
    let sentence = match (own, reading.and_then(|r| r.ceiling)) {
        (true, _) => format!(
            "The file may not grow further on {}: its type cannot address more.",
            place.and_then(|p| p.fstype()).unwrap_or("this file system")
        ),
        (false, Some(limit)) => format!(
            "{who} may write files of {} bytes at most, and this {call} would begin or end past that.",
            spaced(limit)
        ),
        (false, None) => {
            format!("{who} reached its limit on the size of a file, or that of the file system.")
        }
    };
    let mut evidence: Vec<String> = reading.map(cite).into_iter().collect();
    if let Some(v) = seen {
        evidence.push(format!("{} said no (found by {})", v.function, v.method));
    }
    Some(Proof {
        confidence,
        sentence,
        knob: knob(kind, name, if own { String::new() } else { FSIZE.path() }),
        limit: reading.and_then(|r| r.ceiling).filter(|c| *c != u64::MAX),
        usage: reading.and_then(|r| r.usage),
        unit: FSIZE.unit.into(),
        evidence,
        missing,
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::Other {
        return vec![fix(
            "for good",
            "split the file, or put it on ext4 or xfs",
            "the type's format sets the largest file",
            "none needed",
        )];
    }
    let pid = case.failure().task.pid;
    let old = proof.limit.unwrap_or(0);
    vec![
        fix(
            "now",
            format!("prlimit --pid {pid} --fsize=unlimited"),
            "for this process, if it still runs; above the hard limit CAP_SYS_RESOURCE is needed",
            &format!("prlimit --pid {pid} --fsize={old}"),
        ),
        fix(
            "for good",
            "docker run --ulimit fsize=-1 …",
            "in bytes there; for a service LimitFSIZE=infinity; find who set it: grep 'file size' /proc/PID/limits up the parents",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, reading};
    use crate::model::Taken;

    #[test]
    fn the_limit_or_the_file_system() {
        let finding = |used, most| {
            let mut i = incident("write", EFBIG, vec![]);
            i.readings = vec![Reading { taken: Taken::After { ns: 1 }, ..reading(&FSIZE, used, most) }];
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(finding(4096, 4096), Some((Confidence::Proven, "RLIMIT_FSIZE".into())));
        assert_eq!(finding(4096, u64::MAX), Some((Confidence::Possible, "file system type".into())));
        assert_eq!(judge_with(&CAUSE, &incident("write", Errno::ENOSPC, vec![])), None);
    }

    #[test]
    fn the_signal_needs_no_errno() {
        let ended_by = |signal: &str| {
            let mut i = incident("write", EFBIG, vec![]);
            let (code, signal) = ("by the kernel".into(), signal.into());
            i.failure.kind = FailureKind::Fault { signal, code, address: None, syscall: None };
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(ended_by("SIGXFSZ"), Some((Confidence::Proven, "RLIMIT_FSIZE".into())));
        assert_eq!(ended_by("SIGSYS"), None);
    }
}
