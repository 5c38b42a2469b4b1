//! A process may not have more address space.

use super::case::{
    ceiling::{Ceiling, Judged},
    remedies,
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::AS;
use crate::model::{Confidence, Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &AS,
    deciders: &["may_expand_vm"],
    callers: &[
        "mmap_region",
        "__mmap_region",
        "do_mmap",
        "vma_to_resize",
        "mremap_to",
        "move_vma",
        "do_mremap",
        "vm_mmap_pgoff",
        "ksys_mmap_pgoff",
        "__mmap_prepare",
        "__mmap_setup",
        "__do_sys_mremap",
        "check_prep_vma",
        "remap_is_valid",
    ],
};

const CALLS: &[&str] = &["mmap", "mremap", "shmat"];

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-as",
    title: "a process may not have more address space (RLIMIT_AS)",
    about: "\
mmap(2), mremap(2), malloc(3) or the start of a thread fails with ENOMEM, \"Cannot allocate memory\", while memory is free and the
cgroup has room: may_expand_vm() in mm/mmap.c compares the virtual memory of the process with RLIMIT_AS (ulimit -v). Reserved
and mapped memory counts, used or not: Go, Java, Node and sanitizers reserve far more than they use.",
    shows_as: &[("mmap", "ENOMEM"), ("mremap", "ENOMEM"), ("shmat", "ENOMEM")],
    deciders: &["may_expand_vm"],
    reads: &[&AS],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers its own RLIMIT_AS and maps more",
        risk: "none: the limit is that of a process which ends at once",
        variants: &[],
    },
    see: &[
        "getrlimit(2), RLIMIT_AS",
        "mm/mmap.c: may_expand_vm()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::ENOMEM)?;
    // ENOMEM has many causes: without a reading or the function itself nothing points here.
    if case.reading(&AS).is_none() && case.verdict(CEILING.deciders).is_none() {
        return None;
    }
    let judged = CEILING.judge(case).or_else(|| unsized_segment(case))?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "{} has {used} bytes of address space, and RLIMIT_AS allows {most}. Memory is not short.",
        case.failure().task.comm
    );
    Some(judged.proof(case, &CEILING, sentence))
}

/// shmat(2) names a segment and no size: how much it would have added is not known, so that room refutes nothing.
fn unsized_segment<'a>(case: &Case<'a>) -> Option<Judged<'a>> {
    case.denied(&["shmat"], Errno::ENOMEM)?;
    let limited = case.reading(&AS)?.ceiling.is_some_and(|most| most < i64::MAX as u64);
    let elsewhere = case.decided_elsewhere(CEILING.deciders).is_some_and(|f| !CEILING.callers.contains(&f));
    (limited && !elsewhere).then(|| Judged {
        confidence: Confidence::Possible,
        reached: None,
        missing: vec!["the size of the segment (ipcs -m)".into()],
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let enough = remedies::enough(case.reading(&AS), proof).to_string();
    let mut all = remedies::rlimit("AS", "-v", &enough, "for the container's processes");
    all.push(remedies::step(
        "for good",
        "limit memory by the cgroup (docker run --memory …) instead",
        "counts what is used, not what is reserved",
        "none",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::Reading;

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[], &[], vec![reading])).map(|f| f.confidence)
    }

    #[test]
    fn a_segment_has_a_size_that_is_not_in_the_call() {
        let unsized_one = |ceiling| Reading { adds: None, ..over(&AS, 4096, ceiling, 0) };
        let judged = |ceiling| {
            judge_with(&CAUSE, &valued("shmat", Errno::ENOMEM, &[], &[], vec![unsized_one(ceiling)]))
                .map(|f| f.confidence)
        };
        assert_eq!(judged(1 << 26), Some(Confidence::Possible));
        assert_eq!(judged(u64::MAX), None);
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&AS, 900, 1000, 200);
        assert_eq!(judged("mmap", Errno::ENOMEM, full), Some(Confidence::Proven));
        assert_eq!(judged("mmap", Errno::ENOMEM, over(&AS, 700, 1000, 200)), None);
    }

    #[test]
    fn the_way_out_is_enough_for_what_was_asked() {
        let i = valued("mmap", Errno::ENOMEM, &[], &[], vec![over(&AS, 900, 1000, 5000)]);
        let found = judge_with(&CAUSE, &i).unwrap();
        assert!(found.remedy[0].command.contains("--as=11800"), "{:?}", found.remedy[0]);
    }

    #[test]
    fn without_a_reading_it_is_not_claimed() {
        let i = valued("mmap", Errno::ENOMEM, &[], &[], vec![]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("mmap", Errno::ENOENT), ("getpid", Errno::ENOMEM)] {
            assert_eq!(judged(call, errno, over(&AS, 900, 1000, 200)), None, "{call}");
        }
    }
}
