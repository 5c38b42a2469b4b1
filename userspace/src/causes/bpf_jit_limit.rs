//! No more BPF programs may be compiled: errno 524.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::commit::BPF_JIT;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &BPF_JIT,
    deciders: &["bpf_jit_charge_modmem"],
    callers: &[
        "bpf_prog_select_runtime",
        "bpf_migrate_filter",
        "bpf_prepare_filter",
        "bpf_prog_create_from_user",
        "seccomp_prepare_filter",
        "seccomp_prepare_user_filter",
        "seccomp_set_mode_filter",
        "do_seccomp",
        "bpf_prog_load",
        "__sys_bpf",
        "bpf_int_jit_compile",
        "bpf_jit_binary_alloc",
        "bpf_jit_binary_pack_alloc",
        "bpf_jit_alloc_exec",
    ],
};

const CALLS: &[&str] = &["seccomp", "prctl", "bpf", "setsockopt"];

pub(super) static CAUSE: Cause = Cause {
    slug: "bpf-jit-limit",
    title: "no more BPF programs may be compiled (net.core.bpf_jit_limit)",
    about: "\
Starting a container fails with \"errno 524\" or \"Unknown error 524\", ENOTSUPP, which the C library has no name for: runc loads its
seccomp filter, the kernel has to compile it, and bpf_jit_charge_modmem() in kernel/bpf/core.c finds net.core.bpf_jit_limit used
up by the filters and programs of all containers. On kernels that may interpret (CONFIG_BPF_JIT_ALWAYS_ON off) the filter works
nevertheless, only slower. Who has CAP_BPF in the first user namespace is exempt for programs of bpf(2).

It surprises because nothing is said in words, because one container that leaks filters stops all others, and because a kernel
bug (before 5.15 or so) leaked the count itself.",
    shows_as: &[("seccomp", "ENOTSUPP"), ("prctl", "ENOTSUPP"), ("bpf", "ENOTSUPP"), ("setsockopt", "ENOTSUPP")],
    deciders: &["bpf_jit_charge_modmem"],
    reads: &[&BPF_JIT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/net.html#bpf-jit-limit",
        "kernel/bpf/core.c: bpf_jit_charge_modmem()",
        "https://github.com/moby/moby/issues/45498",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOTSUPP)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "Compiled BPF programs and filters hold {used} bytes, and net.core.bpf_jit_limit allows {most}."
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = remedies::double(
        &BPF_JIT,
        proof,
        "for the whole machine, at once; bounds kernel memory that unprivileged users take",
    );
    all.push(remedies::look(
        "grep -c bpf_jit /proc/vmallocinfo; grep -H Seccomp_filters /proc/[0-9]*/status | sort -k2 -n | tail",
        "who stacks filters",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[], &[], vec![reading])).map(|f| f.confidence)
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&BPF_JIT, 9, 9, 1);
        assert_eq!(judged("seccomp", Errno::ENOTSUPP, full), Some(Confidence::Proven));
        assert_eq!(judged("seccomp", Errno::ENOTSUPP, over(&BPF_JIT, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("seccomp", Errno::ENOTSUPP, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("seccomp", Errno::ENOENT), ("getpid", Errno::ENOTSUPP)] {
            assert_eq!(judged(call, errno, over(&BPF_JIT, 9, 9, 1)), None, "{call}");
        }
    }
}
