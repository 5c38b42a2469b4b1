//! All 65,535 numbers of memory cgroups are taken, mostly by ones that were removed long ago.

use super::case::ceiling::Ceiling;
use super::case::claim::{look, step};
use super::{Case, Cause, Fault, Proof};
use crate::limits::cgroups::MEMORY_IDS;
use crate::model::{Confidence, Errno, Fact, Reading, Remedy, spaced};

static IDS: Ceiling = Ceiling {
    limit: &MEMORY_IDS,
    deciders: &[
        "mem_cgroup_alloc",
        "mem_cgroup_css_alloc",
        "mem_cgroup_id_alloc",
        "mem_cgroup_private_id_alloc",
    ],
    callers: &[
        "css_create",
        "cgroup_apply_control_enable",
        "cgroup_mkdir",
        "cgroup_create",
        "kernfs_iop_mkdir",
        "vfs_mkdir",
        "idr_alloc",
        "cgroup_apply_control",
    ],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "memcg-ids",
    title: "all numbers of memory cgroups are taken (dying cgroups)",
    about: "\
mkdir(2) of a cgroup fails with ENOSPC (EBUSY on kernels since 6.10, where the numbers moved to another table; ENOMEM on
some), and no disk is full. mem_cgroup_alloc() in mm/memcontrol.c gives each memory cgroup one of 65,535 numbers, and a
cgroup that was removed keeps its own until the last page that it was charged for is gone: page cache of a file that other
cgroups still use, tmpfs, slab objects. Such dying cgroups are shown nowhere by name.

It surprises because `find /sys/fs/cgroup` and /proc/cgroups show a few hundred. A machine that starts containers all day
and has little memory pressure collects them for weeks; nr_dying_descendants in cgroup.stat of the root counts them.",
    shows_as: &[("mkdir", "ENOSPC"), ("mkdir", "EBUSY"), ("mkdir", "ENOMEM"), ("mkdirat", "ENOSPC"), ("mkdirat", "EBUSY")],
    deciders: &["mem_cgroup_alloc", "mem_cgroup_id_alloc", "mem_cgroup_private_id_alloc"],
    reads: &[&MEMORY_IDS],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("takes 65,535 memory cgroups of the whole machine, each with kilobytes of kernel memory per processor"),
    see: &["moby/moby#29638", "mm/memcontrol.c: mem_cgroup_alloc(), MEM_CGROUP_ID_MAX", "Documentation/admin-guide/cgroup-v2.rst: nr_dying_descendants"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let errnos = [Errno::ENOSPC, Errno::EBUSY, Errno::ENOMEM];
    errnos.iter().find_map(|e| case.denied(&["mkdir", "mkdirat"], *e))?;
    let cgroup = case.incident.facts.iter().any(|f| matches!(f, Fact::Cgroup(_)));
    let reading = case.reading(&MEMORY_IDS);
    let seen = case.verdict(IDS.deciders).is_some();
    if !cgroup && !seen {
        return None;
    }
    // Some may have gone between the refusal and the reading, and some are not counted.
    let near = reading.is_some_and(|r| r.usage.is_some_and(|used| used >= 65_000));
    let judged = match (near, reading.and_then(Reading::exceeded)) {
        (true, Some(false)) if seen => {
            Some((Confidence::Likely, "the last few hundred: they had gone when it was read"))
        }
        _ => None,
    };
    let sentence = match reading.and_then(|r| r.usage) {
        Some(used) => format!(
            "The machine has {} memory cgroups, removed ones that still hold pages among them, and can number 65 535.",
            spaced(used)
        ),
        None => "All 65 535 numbers of memory cgroups are taken.".into(),
    };
    let verdict = IDS.judge(case);
    match (verdict, judged) {
        (Some(verdict), _) => {
            let mut proof = verdict.proof(case, &IDS, sentence);
            proof.limit = proof.limit.or(Some(65_535));
            proof.usage = proof.usage.or(reading.and_then(|r| r.usage));
            Some(proof)
        }
        (None, Some((confidence, why))) => Some(Proof {
            confidence,
            sentence,
            knob: super::case::claim::knob(MEMORY_IDS.kind, MEMORY_IDS.id, MEMORY_IDS.path()),
            limit: Some(65_535),
            usage: reading.and_then(|r| r.usage),
            unit: MEMORY_IDS.unit.into(),
            evidence: vec![],
            missing: vec![why.into()],
        }),
        (None, None) => None,
    }
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "sync; echo 3 > /proc/sys/vm/drop_caches",
            "drops the page cache and slab objects that hold them; the machine reads files from disk again for a while",
            "nothing to undo",
        ),
        step(
            "for good",
            "a periodic echo 10M > /sys/fs/cgroup/memory.reclaim (since 5.19), or a newer kernel",
            "a little pressure frees the numbers of removed cgroups as it goes; since 5.8 and later many are freed sooner",
            "remove the timer",
        ),
        look(
            "grep -E 'nr_dying|nr_descendants' /sys/fs/cgroup/cgroup.stat /sys/fs/cgroup/*/cgroup.stat",
            "below which cgroup the dying ones are",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::cgroup;
    use crate::causes::case::testing::{incident, judge_with, reading};
    use crate::model::{Incident, Taken};

    fn made(errno: i32, used: u64) -> Incident {
        let mut i = incident("mkdir", Errno(errno), vec![]);
        i.readings = vec![Reading { taken: Taken::After { ns: 1 }, ..reading(&MEMORY_IDS, used, 65_535) }];
        i.facts.push(Fact::Cgroup(cgroup("c", &[("cgroup.procs", "")])));
        i
    }

    #[test]
    fn dying_ones_use_the_numbers_up() {
        let f = judge_with(&CAUSE, &made(libc::EBUSY, 65_535)).unwrap();
        assert_eq!((f.confidence, f.limit), (Confidence::Likely, Some(65_535)));
        assert!(judge_with(&CAUSE, &made(libc::ENOSPC, 65_535)).is_some());
    }

    #[test]
    fn with_numbers_left_or_elsewhere_it_is_no_case() {
        assert!(judge_with(&CAUSE, &made(libc::ENOSPC, 300)).is_none());
        assert!(judge_with(&CAUSE, &incident("mkdir", Errno::ENOSPC, vec![])).is_none());
    }
}
