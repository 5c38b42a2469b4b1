//! The kernel is locked down: even root may not reach into it.

use super::case::modes::path;
use super::case::rights::{Holds, Scope, holds, identity, object, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Errno, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "lockdown",
    title: "kernel lockdown forbids it",
    about: "\
EPERM to a process that is root with all capabilities on the host: with Secure Boot most distributions lock the kernel \
down (lockdown=integrity), so that root cannot change the running kernel: /dev/mem, unsigned modules, kexec of unsigned \
kernels, kprobes, writes to MSRs and to debugfs, and hibernation are refused. With confidentiality reading is refused \
too: /proc/kcore, BPF programs that read kernel memory, perf's kernel addresses. The log says \"Lockdown: PROGRAM: … is \
restricted; see man kernel_lockdown.7\". No capability and no container option helps.",
    shows_as: &[
        ("openat", "EPERM"),
        ("finit_module", "EPERM"),
        ("kexec_file_load", "EPERM"),
        ("perf_event_open", "EPERM"),
        ("bpf", "EPERM"),
        ("write", "EPERM"),
    ],
    deciders: &["lockdown_is_locked_down", "security_locked_down"],
    reads: &[],
    rivals: &[
        Rival {
            name: "a seccomp filter answered instead of the kernel",
            ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
            stands: seccomp_stands,
        },
        Rival {
            name: "the task lacks a capability that is asked for first",
            ruled_out_by: "its capabilities in the first user namespace",
            stands: unprivileged,
        },
    ],
    explain,
    remedy,
    fault: Fault::None("the level can only be raised, for the whole machine, until it boots again"),
    see: &[
        "https://man7.org/linux/man-pages/man7/kernel_lockdown.7.html",
        "security/lockdown/lockdown.c: lockdown_is_locked_down(); include/linux/security.h: enum lockdown_reason",
    ],
};

/// What each call reaches that lockdown guards: (call, words in the path, level from which it is refused).
const GUARDED: &[(&[&str], &[&str], u8)] = &[
    (&["init_module", "finit_module"], &[], 1),
    (&["kexec_load", "kexec_file_load"], &[], 1),
    (&["iopl", "ioperm"], &[], 1),
    (&["perf_event_open", "bpf"], &[], 1),
    (&["open", "openat", "openat2"], &["/dev/mem", "/dev/kmem", "/dev/port", "/dev/cpu/"], 1),
    (
        &["open", "openat", "openat2", "write"],
        &["/debug/", "kprobe_events", "uprobe_events", "/sys/kernel/tracing/"],
        1,
    ),
    (&["write", "pwrite64"], &["/sys/bus/pci/", "/sys/kernel/debug/", "/sys/power/", "/cpu/"], 1),
    (&["open", "openat", "openat2", "read"], &["/proc/kcore"], 2),
];

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (name, errno) = case.failure().syscall()?;
    if errno != Errno::EPERM {
        return None;
    }
    let seen = case
        .verdict(CAUSE.deciders)
        .map(|v| v.function.to_owned())
        .or_else(|| CAUSE.deciders.iter().find(|f| case.returned(f) == Some(-1)).map(|f| (*f).to_owned()));
    let level = identity(case).and_then(|who| who.lockdown.as_deref());
    let rank = match level {
        Some("integrity") => 1,
        Some("confidentiality") => 2,
        Some("none") => return None,
        _ => 0,
    };
    let what = object(case).and_then(|o| o.whole.clone()).unwrap_or_else(|| path(case));
    let guarded = GUARDED.iter().any(|(calls, words, from)| {
        calls.contains(&name)
            && rank >= *from
            && (words.is_empty() || words.iter().any(|word| what.contains(word)))
    });
    if seen.is_none() && !guarded {
        return None;
    }
    let mut missing = Vec::new();
    let confidence = if seen.is_some() {
        Confidence::Proven
    } else {
        missing.push(
            "lockdown's own verdict: its line in the kernel's log, or its function's return value".into(),
        );
        Confidence::Likely
    };
    let level = level.unwrap_or("on");
    let mut evidence = vec![format!("/sys/kernel/security/lockdown: {level}")];
    evidence.extend(seen.map(|function| format!("{function}() refused it")));
    Some(Proof {
        confidence,
        sentence: format!("The kernel is locked down ({level}), which refuses {name} even to root."),
        knob: Knob {
            kind: KnobKind::Lsm,
            name: "lockdown".into(),
            path: "/sys/kernel/security/lockdown".into(),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

/// CAP_SYS_RAWIO, CAP_SYS_MODULE and the rest are asked for before lockdown is.
fn unprivileged(case: &Case<'_>) -> Option<String> {
    if case.verdict(CAUSE.deciders).is_some() {
        return None;
    }
    (holds(case, "CAP_SYS_ADMIN", Scope::First) != Holds::Yes)
        .then(|| "the task is not root with all capabilities".into())
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![Remedy {
        when: "for good".into(),
        command: "boot without Secure Boot, or with lockdown=none on the kernel's command line".into(),
        effect: "root may change the running kernel again, on the whole machine; sign modules instead (mokutil), and use \
                 tracepoints where kprobes are refused"
            .into(),
        undo: "boot as before".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, judge_with, with_object};
    use crate::model::{Fact, Incident, PathObject};

    fn opened(path: &str, level: &str, caps: u64) -> Incident {
        let object = PathObject { whole: Some(path.into()), ..file(path, 0o640) };
        let mut incident = by_user(with_object("openat", Errno::EPERM, object), 0, caps);
        for fact in &mut incident.facts {
            if let Fact::Identity(who) = fact {
                who.lockdown = Some(level.into());
            }
        }
        incident
    }

    #[test]
    fn root_at_a_guarded_file_is_likely_and_a_kernel_that_is_not_locked_is_not_claimed() {
        let f = judge_with(&CAUSE, &opened("/dev/mem", "integrity", u64::MAX)).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("lockdown", Confidence::Likely));
        assert_eq!(judge_with(&CAUSE, &opened("/dev/mem", "none", u64::MAX)), None);
        assert_eq!(judge_with(&CAUSE, &opened("/proc/kcore", "integrity", u64::MAX)), None);
        assert!(judge_with(&CAUSE, &opened("/proc/kcore", "confidentiality", u64::MAX)).is_some());
        assert_eq!(judge_with(&CAUSE, &opened("/etc/passwd", "integrity", u64::MAX)), None);
    }
}
