//! The seccomp filters of a task have more instructions together than there may be.

use super::case::claim::{self, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Fact, KnobKind, Remedy};

const DECIDERS: &[&str] = &["seccomp_attach_filter"];
const CALLERS: &[&str] = &[
    "seccomp_set_mode_filter",
    "do_seccomp",
    "prctl_set_seccomp",
    "__x64_sys_seccomp",
    "__do_sys_seccomp",
    "__x64_sys_prctl",
    "__do_sys_prctl",
];
/// `MAX_INSNS_PER_PATH` (kernel/seccomp.c): 256 KiB of instructions of 8 bytes; each filter counts for 4 more.
const MOST: u64 = 32_768;
/// They are counted as the kernel translated them, which is up to four for one of the program's own
/// (net/core/filter.c `bpf_convert_filter()`), and the one that was to come may have `BPF_MAXINSNS` of them.
const TRANSLATED: u64 = 4;
const OF_ONE: u64 = 4096;
const PR_SET_SECCOMP: u64 = 22;

pub(super) static CAUSE: Cause = Cause {
    slug: "seccomp-filters-max",
    title: "too many seccomp filters are stacked on the process",
    about: "\
seccomp(2), or prctl(PR_SET_SECCOMP), fails with ENOMEM, \"Cannot allocate memory\", and memory is free. A process keeps every \
filter that it or one of its ancestors ever installed, and seccomp_attach_filter() in kernel/seccomp.c lets them have 32768 \
instructions together, with four more for each filter. Each level brings its own: the engine's profile, systemd's \
SystemCallFilter, a browser's or Flatpak's sandbox, a program that restarts itself by execve(2) and installs its filter again each \
time. There is no sysctl for it, and no filter can be taken back.",
    shows_as: &[("seccomp", "ENOMEM"), ("prctl", "ENOMEM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "installs filters that allow everything until no more may be",
        risk: "none: they go with the process",
        variants: &["stack"],
    },
    see: &["seccomp(2), ENOMEM", "kernel/seccomp.c: seccomp_attach_filter(), MAX_INSNS_PER_PATH"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["seccomp", "prctl"], Errno::ENOMEM)?;
    if call == "prctl" && case.failure().number_arg("op") != Some(PR_SET_SECCOMP) {
        return None;
    }
    let count = case.failure().task.filters.filter(|f| f.mode == 2).map(|f| u64::from(f.count));
    let installed = lengths(case);
    let most = (installed.unwrap_or(count.unwrap_or(0) * OF_ONE) + OF_ONE) * TRANSLATED;
    if count == Some(0) || (count.is_some() || installed.is_some()) && most <= MOST {
        return None;
    }
    let long =
        installed.is_some_and(|sum| sum * TRANSLATED >= MOST / 2) || installed.is_none() && count >= Some(4);
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, None)?;
    if long && weighed.confidence == Confidence::Possible {
        weighed.confidence = Confidence::Likely;
    }
    weighed.missing = vec!["the length of each filter: real want of memory says the same".into()];
    let filters = count.map_or_else(|| "its".to_string(), |count| format!("{count} seccomp"));
    let sentence = format!(
        "{} has {filters} filters on it, and with this one they would have more than {MOST} instructions together.",
        case.failure().task.comm
    );
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, "MAX_INSNS_PER_PATH", ""));
    (proof.limit, proof.unit) = (Some(MOST), "instructions".into());
    proof.evidence.extend(count.map(|count| format!("at that instant {count} filters were on the task")));
    proof.evidence.extend(
        installed.map(|sum| format!("its filters have {sum} instructions before they are translated")),
    );
    Some(proof)
}

/// The instructions of the filters that are there, as they were installed.
fn lengths(case: &Case<'_>) -> Option<u64> {
    case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Seccomp(s) if s.unread.is_none() => Some(s.answers.iter().map(|a| a.length as u64).sum()),
        _ => None,
    })
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        look(
            format!("grep Seccomp_filters /proc/{pid}/status /proc/*/status | sort -t: -k3 -n | tail"),
            "how many each process has: find the level at which they grow",
        ),
        step(
            "for good",
            "install the filter once, before the first execve, and not again after a restart of itself",
            "Seccomp_filters of /proc/self/status tells a program whether it has one",
            "none needed",
        ),
        step(
            "now",
            "docker run --security-opt seccomp=unconfined …",
            "leaves out the engine's own filter; what it protected from is possible",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Filters;

    fn judged(call: &str, errno: Errno, op: u64, count: u32) -> Option<Confidence> {
        let mut i = valued(call, errno, &[("op", op)], &[], vec![]);
        i.failure.task.filters = Some(Filters { mode: 2, count, inherited: false });
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn many_filters_are_likely_and_few_are_not_the_reason() {
        assert_eq!(judged("seccomp", Errno::ENOMEM, 0, 9), Some(Confidence::Likely));
        assert_eq!(judged("prctl", Errno::ENOMEM, PR_SET_SECCOMP, 40), Some(Confidence::Likely));
        assert_eq!(judged("seccomp", Errno::ENOMEM, 0, 3), Some(Confidence::Possible));
        assert_eq!(judged("seccomp", Errno::ENOMEM, 0, 0), None, "the first one always fits");
        assert_eq!(judged("prctl", Errno::ENOMEM, 8, 40), None);
        assert_eq!(judged("seccomp", Errno::EINVAL, 0, 40), None);
    }
}
