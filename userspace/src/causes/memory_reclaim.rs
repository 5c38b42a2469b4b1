//! A cgroup could not give back as much memory as it was asked to.

use super::case::claim::{self, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["memory_reclaim", "user_proactive_reclaim"];
const CALLERS: &[&str] = &[
    "cgroup_file_write",
    "kernfs_fop_write_iter",
    "vfs_write",
    "ksys_write",
    "__x64_sys_write",
    "try_to_free_mem_cgroup_pages",
];
const FILES: &[&str] = &["memory.reclaim"];

pub(super) static CAUSE: Cause = Cause {
    slug: "memory-reclaim",
    title: "the cgroup could not give back so much memory",
    about: "\
Writing a size to memory.reclaim fails with EAGAIN, \"Resource temporarily unavailable\": memory_reclaim() in mm/memcontrol.c frees \
what it can, and says so when that was less than asked for. What is left is in use: memory of programs without swap to put it to, \
locked or shared pages, page cache that is being written. Engines and agents (senpai, oomd, Kubernetes' memory QoS, CRIU) call it in \
advance, and mostly take the answer for a hint. What was freed stays freed.",
    shows_as: &[("write", "EAGAIN")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None(
        "it takes a cgroup with the memory controller of version 2, which not every machine hands on",
    ),
    see: &[
        "https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files",
        "mm/memcontrol.c: memory_reclaim()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["write", "pwrite64"], Errno::EAGAIN)?;
    let name = case.failure().file().map(|file| file.name.as_str());
    let file = name.filter(|name| FILES.iter().any(|file| name.rsplit('/').next() == Some(file)));
    if file.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    // Nothing else makes a write to that file say so.
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, file.map(|_| true))?;
    if file.is_none() {
        weighed.confidence = weighed.confidence.min(Confidence::Likely);
    }
    let sentence = format!(
        "{} asked a cgroup to give memory back, and less than that could be freed: the rest is in use.",
        case.failure().task.comm
    );
    Some(weighed.proof(
        case,
        DECIDERS,
        sentence,
        knob(KnobKind::Cgroup, "memory.reclaim", file.unwrap_or_default()),
    ))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        look(
            "grep -E '^(anon|file|shmem|unevictable|slab) ' memory.stat; cat memory.swap.current memory.swap.max",
            "in the cgroup's folder: what it holds, and whether there is swap for it",
        ),
        step(
            "now",
            "ask for less, in several writes",
            "each frees what it can, and the sum counts",
            "nothing to undo",
        ),
        step(
            "for good",
            "swap or zswap for the cgroup (memory.swap.max)",
            "memory of programs can only be freed by putting it elsewhere",
            "echo 0 > memory.swap.max",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, written_to};

    fn judged(errno: Errno, name: &str) -> Option<Confidence> {
        let mut i = incident("write", errno, vec![]);
        written_to(&mut i, name, 0x6367_7270, "1G");
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn only_that_file_and_that_errno() {
        assert!(judged(Errno::EAGAIN, "memory.reclaim") >= Some(Confidence::Likely));
        assert_eq!(judged(Errno::EAGAIN, "memory.max"), None);
        assert_eq!(judged(Errno::EINVAL, "memory.reclaim"), None);
    }
}
