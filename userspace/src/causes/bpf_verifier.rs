//! The kernel does not take a BPF program: its verifier refuses it, or it is larger than may be.

use super::case::claim::{self, cite_state, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const E2BIG: Errno = Errno(libc::E2BIG);
const DECIDERS: &[&str] = &["bpf_check", "do_check", "do_check_common", "check_cfg", "check_helper_call"];
const CALLERS: &[&str] = &["bpf_prog_load", "__sys_bpf", "__do_sys_bpf", "__x64_sys_bpf"];
/// BPF_PROG_LOAD (linux/bpf.h).
const PROG_LOAD: u64 = 5;
/// What the verifier wrote into the caller's buffer, and what the program is.
const LOG: &str = "verifier log";
const PROGRAM: &str = "bpf program";

pub(super) static CAUSE: Cause = Cause {
    slug: "bpf-verifier",
    title: "the kernel's verifier refuses the BPF program",
    about: "\
bpf(2) with BPF_PROG_LOAD fails with EACCES, \"Permission denied\", or EINVAL, \"Invalid argument\", and no right is missing: before a \
program may run, bpf_check() in kernel/bpf/verifier.c follows all its ways, and it found one that reads what was never written, leaves \
its memory, may not end, calls a helper that this kernel or this kind of program does not have, or is not understood. EACCES is what it \
says of memory and pointers, EINVAL of the rest; E2BIG, \"Argument list too long\", is more than a million steps followed, or more \
instructions than may be loaded (4096 without CAP_BPF).

It surprises with tools that carry their programs in the image (Cilium, Falco, Tetragon, Datadog, bpftrace): the kernel is the host's, \
and each version proves other things. What a newer one accepts an older one does not know yet, and an update of the host, or of the \
compiler, can break what worked. The reason is in the last lines of the verifier's log, which libbpf prints and many agents hide; where \
the caller asked for one, diag reads it out of the caller's memory.",
    shows_as: &[("bpf", "EACCES"), ("bpf", "EINVAL"), ("bpf", "E2BIG")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "loads a program that returns what it never set, or never ends",
        risk: "none: it is refused before it runs",
        variants: &["unset", "endless", "unknown"],
    },
    see: &[
        "bpf(2), BPF_PROG_LOAD; https://docs.kernel.org/bpf/verifier.html",
        "kernel/bpf/verifier.c: bpf_check(); kernel/bpf/syscall.c: bpf_prog_load()",
    ],
};

/// The line of a log that says why, without what follows it as statistics.
fn reason(log: &str) -> Option<&str> {
    log.lines().rev().map(str::trim).find(|line| {
        let counted = line.starts_with("processed ") || line.starts_with("verification time");
        let position = line.starts_with(|c: char| c.is_ascii_digit()) && line.contains(": (");
        !line.is_empty()
            && !counted
            && !position
            && !line.starts_with("stack depth")
            && !line.starts_with("max_states")
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = case.failure().syscall().filter(|(call, _)| *call == "bpf")?;
    if ![Errno::EACCES, Errno::EINVAL, E2BIG].contains(&errno)
        || case.failure().number_arg("cmd") != Some(PROG_LOAD)
    {
        return None;
    }
    let who = &case.failure().task.comm;
    let why = case.state(LOG).and_then(|log| reason(&log.value));
    let program = case.state(PROGRAM).map_or("the BPF program", |p| p.value.as_str());
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, why.map(|_| true))?;
    let sentence = match (why, errno) {
        (Some(why), _) => format!("The kernel's verifier refuses {program} of {who}: {why}"),
        (None, E2BIG) => {
            format!("{program} of {who} is larger than this kernel takes, or takes too many steps to follow.")
        }
        (None, _) => format!("The kernel's verifier refuses {program} of {who}."),
    };
    if why.is_none() {
        // The attributes themselves may be what is wrong with EINVAL; a security module says EACCES.
        weighed.confidence = if errno == Errno::EINVAL { Confidence::Possible } else { Confidence::Likely };
        weighed.missing = vec![
            "the verifier's log: the caller asked for none (log_level 0), or its memory was gone".into(),
        ];
    }
    // Attributes may be wrong before the verifier begins, and a buffer that is used again still holds older words.
    let elder = errno == Errno::EINVAL && case.verdict(DECIDERS).is_none();
    let most = if elder { Confidence::Likely } else { Confidence::Proven };
    let evidence = [PROGRAM, LOG].iter().filter_map(|name| cite_state(case, name));
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Other, "BPF verifier", "kernel/bpf/verifier.c"))
            .because(evidence)
            .at_most(most, "that the log's last words are of this very call"),
    )
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        look(
            "uname -r; bpftool feature probe kernel",
            "the kernel's version, and the helpers and kinds of programs that it has",
        ),
        step(
            "now",
            "run a version of the tool that supports this kernel, or the kernel that the tool was tested with",
            "its documentation names the versions; what loads nothing works without its BPF part, if it can be switched off",
            "the version that runs now",
        ),
        step(
            "for good",
            "bpftool -d prog load PROGRAM.o /sys/fs/bpf/test",
            "for who builds it: the whole log, instruction by instruction; compiled with -g and BTF it names the source's lines",
            "rm /sys/fs/bpf/test",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued};

    const TEXT: &str = "0: R1=ctx() R10=fp0\n0: (95) exit\nR0 !read_ok\nprocessed 1 insns (limit 1000000) max_states_per_insn 0\n";

    fn judged(cmd: u64, errno: Errno, log: &str) -> Option<(Confidence, String)> {
        let mut i = valued("bpf", errno, &[("cmd", cmd)], &[], vec![]);
        if !log.is_empty() {
            i.facts.push(state(LOG, "", log));
        }
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.sentence))
    }

    #[test]
    fn the_verifier_s_own_words_prove_it() {
        let (confidence, sentence) = judged(PROG_LOAD, Errno::EACCES, TEXT).unwrap();
        assert_eq!(confidence, Confidence::Proven);
        assert!(sentence.ends_with("R0 !read_ok"), "{sentence}");
        assert_eq!(reason("processed 3 insns\n\n"), None);
        assert_eq!(
            reason("back-edge from insn 1 to 0\nprocessed 0 insns"),
            Some("back-edge from insn 1 to 0")
        );
    }

    #[test]
    fn words_in_a_buffer_may_be_older_than_a_wrong_attribute() {
        assert_eq!(judged(PROG_LOAD, Errno::EINVAL, TEXT).map(|t| t.0), Some(Confidence::Likely));
    }

    #[test]
    fn without_a_log_it_is_less_sure() {
        assert_eq!(judged(PROG_LOAD, Errno::EACCES, "").map(|t| t.0), Some(Confidence::Likely));
        assert_eq!(judged(PROG_LOAD, Errno::EINVAL, "").map(|t| t.0), Some(Confidence::Possible));
        assert_eq!(judged(PROG_LOAD, E2BIG, "").map(|t| t.0), Some(Confidence::Likely));
        assert_eq!(judged(0, Errno::EINVAL, ""), None, "a map");
        assert_eq!(judged(PROG_LOAD, Errno::EPERM, ""), None);
    }
}
