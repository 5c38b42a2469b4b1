//! A process may not have another mapping.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::MAX_MAP_COUNT;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &MAX_MAP_COUNT,
    deciders: &[],
    callers: &[
        "do_mmap",
        "__split_vma",
        "split_vma",
        "vma_modify",
        "vma_modify_flags",
        "mprotect_fixup",
        "do_mprotect_pkey",
        "__do_munmap",
        "do_vmi_align_munmap",
        "do_vmi_munmap",
        "__vm_munmap",
        "vms_gather_munmap_vmas",
        "move_vma",
        "mremap_to",
        "prep_move_vma",
        "do_mremap",
        "ksys_mmap_pgoff",
        "vm_mmap_pgoff",
        "mmap_region",
        "__mmap_region",
        "__mmap_prepare",
        "__mmap_setup",
        "madvise_vma_behavior",
        "madvise_update_vma",
        "mlock_fixup",
        "apply_vma_lock_flags",
        "do_mlock",
        "__do_sys_mremap",
    ],
};

const CALLS: &[&str] = &["mmap", "mremap", "mprotect", "munmap", "madvise", "pkey_mprotect", "mlock"];

pub(super) static CAUSE: Cause = Cause {
    slug: "max-map-count",
    title: "a process may not have another mapping (vm.max_map_count)",
    about: "\
mmap(2), mprotect(2), munmap(2) or mremap(2) fails with ENOMEM, \"Cannot allocate memory\", while memory is free: Elasticsearch, Java
virtual machines with many threads, databases that map files, and programs that change the protection of single pages. The
kernel allows each process vm.max_map_count mappings, 65530 by default (do_mmap() in mm/mmap.c); changing a part of one
splits it and needs one more (split_vma()).

It surprises because the value is the host's, cannot be set for one container, and free shows plenty of memory.",
    shows_as: &[("mmap", "ENOMEM"), ("mremap", "ENOMEM"), ("mprotect", "ENOMEM"), ("munmap", "ENOMEM"), ("madvise", "ENOMEM"), ("madvise", "EAGAIN"), ("pkey_mprotect", "ENOMEM"), ("mlock", "ENOMEM")],
    deciders: &[],
    reads: &[&MAX_MAP_COUNT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes mappings in a process of its own until the kernel refuses",
        risk: "some ten megabytes of kernel memory for a moment; the sysctl is not touched",
        variants: &["mmap", "mprotect"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/vm.html#max-map-count",
        "mm/mmap.c: do_mmap(); mm/vma.c: split_vma()",
        "mmap(2), ENOMEM",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    // madvise(2) says EAGAIN where the others say ENOMEM (mm/madvise.c).
    case.denied(CALLS, Errno::ENOMEM).or_else(|| case.denied(&["madvise"], Errno::EAGAIN))?;
    // ENOMEM has many causes: without a reading nothing points here.
    case.reading(&MAX_MAP_COUNT)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "{} has {used} mappings, and vm.max_map_count allows {most}. Memory is not short.",
        case.failure().task.comm
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all = remedies::double(
        &MAX_MAP_COUNT,
        proof,
        "for all processes, at once; a mapping takes about 200 bytes of kernel memory",
    );
    all.push(remedies::look(
        "wc -l /proc/<pid>/maps; awk '{print $6}' /proc/<pid>/maps | sort | uniq -c | sort -n | tail",
        "what is mapped so often",
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
        let full = over(&MAX_MAP_COUNT, 9, 9, 1);
        assert_eq!(judged("mmap", Errno::ENOMEM, full), Some(Confidence::Proven));
        assert_eq!(judged("mmap", Errno::ENOMEM, over(&MAX_MAP_COUNT, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_not_claimed() {
        let i = valued("mmap", Errno::ENOMEM, &[], &[], vec![]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("mmap", Errno::ENOENT), ("getpid", Errno::ENOMEM)] {
            assert_eq!(judged(call, errno, over(&MAX_MAP_COUNT, 9, 9, 1)), None, "{call}");
        }
    }
}
