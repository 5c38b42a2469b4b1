//! The kernel does not promise so much memory.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::commit::COMMIT_LIMIT;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &COMMIT_LIMIT,
    deciders: &["__vm_enough_memory"],
    callers: &[
        "security_vm_enough_memory_mm",
        "mmap_region",
        "__mmap_region",
        "copy_process",
        "security_task_alloc",
        "copy_creds",
        "dup_mmap",
        "dup_mm",
        "kernel_clone",
        "mprotect_fixup",
        "vma_to_resize",
        "mremap_to",
        "move_vma",
        "expand_vma",
        "shmem_acct_size",
        "__shmem_file_setup",
        "newseg",
        "ipcget",
        "ipcget_new",
        "ksys_shmget",
        "cap_vm_enough_memory",
        "do_mmap",
        "do_mprotect_pkey",
        "__mmap_prepare",
        "__mmap_setup",
        "vm_mmap_pgoff",
        "ksys_mmap_pgoff",
    ],
};

const CALLS: &[&str] = &["mmap", "mremap", "mprotect", "clone", "clone3", "fork", "vfork", "brk", "shmget"];

const COMMIT: (&str, &str) = ("vm.overcommit_memory", "/proc/sys/vm/overcommit_memory");

pub(super) static CAUSE: Cause = Cause {
    slug: "overcommit",
    title: "the kernel does not promise so much memory (vm.overcommit_memory)",
    about: "\
mmap(2), mremap(2) or fork(2) fails with ENOMEM, \"Cannot allocate memory\", while free shows memory that nobody uses: databases and
Redis that fork to save, Go and Java programs that reserve much. __vm_enough_memory() in mm/util.c adds up what all programs
were promised. With vm.overcommit_memory = 2 the sum must stay below CommitLimit (swap plus vm.overcommit_ratio percent of
memory, or vm.overcommit_kbytes); with 0, the default, only one request that is larger than all memory and swap is refused.

It surprises because promised memory is not used memory: Committed_AS in /proc/meminfo is what counts, and it counts all
containers of the host.",
    shows_as: &[("mmap", "ENOMEM"), ("mremap", "ENOMEM"), ("mprotect", "ENOMEM"), ("clone", "ENOMEM"), ("clone3", "ENOMEM"), ("fork", "ENOMEM"), ("vfork", "ENOMEM"), ("brk", "ENOMEM"), ("shmget", "ENOMEM")],
    deciders: &["__vm_enough_memory"],
    reads: &[&COMMIT_LIMIT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "https://docs.kernel.org/mm/overcommit-accounting.html",
        "mm/util.c: __vm_enough_memory()",
        "proc_meminfo(5), CommitLimit",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOMEM)?;
    // Mode 1 promises everything.
    if case.value(COMMIT.0) == Some(1) {
        return None;
    }
    if case.reading(&COMMIT_LIMIT).is_none() && case.verdict(CEILING.deciders).is_none() {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = match case.value(COMMIT.0) {
        Some(0) => format!("{used} bytes were asked for at once, more than all memory and swap ({most})."),
        _ => format!(
            "{used} bytes are promised to programs, and the limit of promises is {most}; free memory does not count."
        ),
    };
    let mut proof = judged.proof(case, &CEILING, sentence);
    (proof.knob.name, proof.knob.path) = (COMMIT.0.into(), COMMIT.1.into());
    Some(proof)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = remedies::sysctl(
        COMMIT.0,
        "1",
        None,
        "for the whole machine: promises everything, and kills when memory runs out",
    );
    all.push(remedies::step(
        "now",
        "sysctl -w vm.overcommit_ratio=90",
        "more may be promised in mode 2",
        "sysctl -w vm.overcommit_ratio=50",
    ));
    all.push(remedies::look(
        "grep -E 'Commit' /proc/meminfo; ps -eo vsz,rss,comm --sort=-vsz | head",
        "who was promised most",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, mode: u64, readings: Vec<Reading>) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, Errno::ENOMEM, &[], &[(COMMIT.0, mode)], readings))
            .map(|f| f.confidence)
    }

    #[test]
    fn a_sum_above_the_limit_is_proven() {
        assert_eq!(judged("mmap", 2, vec![over(&COMMIT_LIMIT, 90, 100, 20)]), Some(Confidence::Proven));
        assert_eq!(judged("clone", 2, vec![over(&COMMIT_LIMIT, 90, 100, 20)]), Some(Confidence::Proven));
        assert_eq!(judged("mmap", 2, vec![over(&COMMIT_LIMIT, 90, 100, 10)]), None);
    }

    #[test]
    fn a_machine_that_promises_everything_is_not_claimed_nor_is_an_unknown_one() {
        assert_eq!(judged("mmap", 1, vec![over(&COMMIT_LIMIT, 90, 100, 20)]), None);
        assert_eq!(judged("mmap", 0, vec![]), None);
    }

    #[test]
    fn the_knob_is_the_mode() {
        let i = valued("mmap", Errno::ENOMEM, &[], &[(COMMIT.0, 2)], vec![over(&COMMIT_LIMIT, 90, 100, 20)]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, COMMIT.0);
    }
}
