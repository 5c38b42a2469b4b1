//! A process may not have more private memory.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::DATA;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &DATA,
    deciders: &[],
    callers: &[
        "may_expand_vm",
        "mmap_region",
        "__mmap_region",
        "do_mmap",
        "vma_to_resize",
        "mremap_to",
        "move_vma",
        "mprotect_fixup",
        "do_mprotect_pkey",
        "vm_mmap_pgoff",
        "ksys_mmap_pgoff",
        "__mmap_prepare",
        "__mmap_setup",
    ],
};

const CALLS: &[&str] = &["mmap", "mremap", "mprotect"];

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-data",
    title: "a process may not have more private memory (RLIMIT_DATA)",
    about: "\
mmap(2), mprotect(2), brk(2) or malloc(3) fails with ENOMEM, \"Cannot allocate memory\", while memory is free: since 4.7
may_expand_vm() in mm/mmap.c holds all private writable memory of a process against RLIMIT_DATA (ulimit -d), not only the heap
that brk(2) grows, as older manuals say.",
    shows_as: &[("mmap", "ENOMEM"), ("mremap", "ENOMEM"), ("mprotect", "ENOMEM")],
    deciders: &[],
    reads: &[&DATA],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers its own RLIMIT_DATA and maps more",
        risk: "none: the limit is that of a process which ends at once",
        variants: &[],
    },
    see: &[
        "getrlimit(2), RLIMIT_DATA",
        "mm/mmap.c: may_expand_vm()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOMEM)?;
    // ENOMEM has many causes: without a reading nothing points here.
    case.reading(&DATA)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "{} has {used} bytes of private writable memory, and RLIMIT_DATA allows {most}. Memory is not short.",
        case.failure().task.comm
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let enough = remedies::enough(case.reading(&DATA), proof).to_string();
    remedies::rlimit("DATA", "-d", &enough, "for the container's processes")
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
        let full = over(&DATA, 900, 1000, 200);
        assert_eq!(judged("mmap", Errno::ENOMEM, full), Some(Confidence::Proven));
        assert_eq!(judged("mmap", Errno::ENOMEM, over(&DATA, 700, 1000, 200)), None);
    }

    #[test]
    fn without_a_reading_it_is_not_claimed() {
        let i = valued("mmap", Errno::ENOMEM, &[], &[], vec![]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("mmap", Errno::ENOENT), ("getpid", Errno::ENOMEM)] {
            assert_eq!(judged(call, errno, over(&DATA, 900, 1000, 200)), None, "{call}");
        }
    }
}
