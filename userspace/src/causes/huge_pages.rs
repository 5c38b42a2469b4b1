//! A mapping of huge pages wants more than the machine, or the cgroup, has to give.

use super::case::ceiling::{Ceiling, Judged};
use super::case::claim::{look, step};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::memory::{HUGE_PAGES, HUGETLB_MAX, HUGETLB_RSVD};
use crate::model::{Confidence, Errno, FailureKind, Knob, KnobKind, Reading, Remedy, spaced};

const CALLERS: &[&str] = &[
    "hugetlbfs_file_mmap",
    "hugetlb_reserve_pages",
    "mmap_file",
    "call_mmap",
    "mmap_region",
    "__mmap_region",
    "do_mmap",
    "vm_mmap_pgoff",
    "ksys_mmap_pgoff",
    "hugetlb_file_setup",
    "hugetlb_acct_memory",
    "newseg",
];

static POOL: Ceiling = Ceiling {
    limit: &HUGE_PAGES,
    deciders: &["gather_surplus_pages", "hugetlb_acct_memory"],
    callers: CALLERS,
};
static CGROUP: Ceiling = Ceiling {
    limit: &HUGETLB_RSVD,
    deciders: &[
        "__hugetlb_cgroup_charge_cgroup",
        "hugetlb_cgroup_charge_cgroup_rsvd",
        "page_counter_try_charge",
    ],
    callers: CALLERS,
};

const CALLS: &[&str] = &["mmap", "mmap2", "shmget"];
const MAP_HUGETLB: u64 = 0x4_0000;
const SHM_HUGETLB: u64 = 0o4000;

pub(super) static CAUSE: Cause = Cause {
    slug: "huge-pages",
    title: "there are no huge pages left (vm.nr_hugepages, hugetlb.<size>.rsvd.max, size= of a hugetlbfs)",
    about: "\
mmap(2) with MAP_HUGETLB or of a file on a hugetlbfs, or shmget(2) with SHM_HUGETLB, fails with ENOMEM while gigabytes are free. Huge pages are a pool of
their own: vm.nr_hugepages of them (0 unless somebody sets it), all reserved when a mapping is made and not when it is
touched. A cgroup has limits beside it: hugetlb.2MB.rsvd.max is asked at mmap, by __hugetlb_cgroup_charge_cgroup();
hugetlb.2MB.max only when the page is touched, and then the process gets SIGBUS. A hugetlbfs may be mounted with a size=
of its own, which is asked before the pool (hugepage_subpool_get_pages()).

It surprises databases, JVMs and DPDK in containers: the pool is the host's and shared by all, free pages may be reserved
(HugePages_Rsvd), and Kubernetes gives a pod none unless it asks for hugepages-2Mi.",
    shows_as: &[("mmap", "ENOMEM"), ("shmget", "ENOMEM"), ("fault", "SIGBUS")],
    deciders: &["gather_surplus_pages", "__hugetlb_cgroup_charge_cgroup"],
    reads: &[&HUGE_PAGES, &HUGETLB_RSVD, &HUGETLB_MAX],
    rivals: &[Rival {
        name: "RLIMIT_AS, the number of mappings, overcommit",
        ruled_out_by: "the pool or the cgroup's limit was too small for the mapping in any case, and RLIMIT_AS was not reached",
        stands: |case| {
            let full = case.incident.readings_of("RLIMIT_AS").any(|r| r.exceeded() == Some(true));
            full.then(|| "RLIMIT_AS is reached as well".into())
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "maps one more huge page than the machine has",
        risk: "none: only this process is refused something",
        variants: &["pool", "file", "mount-size"],
    },
    see: &["https://docs.kernel.org/admin-guide/mm/hugetlbpage.html", "mm/hugetlb.c: hugetlb_reserve_pages(); mm/hugetlb_cgroup.c"],
};

fn asked(case: &Case<'_>) -> bool {
    let Some(call) = case.denied(CALLS, Errno::ENOMEM) else { return false };
    match call {
        "shmget" => case.failure().number_arg("shmflg").is_some_and(|f| f & SHM_HUGETLB != 0),
        _ => {
            case.failure().number_arg("flags").is_some_and(|f| f & MAP_HUGETLB != 0)
                || case.state("hugetlbfs").is_some()
        }
    }
}

/// The first level of the cgroup that has no room.
fn full<'a>(case: &Case<'a>) -> Option<&'a Reading> {
    case.incident.readings_of(HUGETLB_RSVD.id).find(|r| r.exceeded() == Some(true))
}

/// A page that was mapped could not be had: only what is held against the limit of used pages, or the pool.
fn touched(case: &Case<'_>) -> Option<Proof> {
    let FailureKind::Fault { signal, .. } = &case.failure().kind else { return None };
    let full = |id: &'static str| case.incident.readings_of(id).find(|r| r.exceeded() == Some(true));
    let reading = full(HUGETLB_MAX.id).or_else(|| full(HUGE_PAGES.id)).filter(|_| signal == "SIGBUS")?;
    let who = &case.failure().task.comm;
    let cgroup = reading.limit == HUGETLB_MAX.id;
    let name =
        if cgroup { reading.source.rsplit('/').next().unwrap_or(HUGETLB_MAX.id) } else { HUGE_PAGES.id };
    let (kind, path) = if cgroup {
        (KnobKind::Cgroup, reading.source.clone())
    } else {
        (KnobKind::Sysctl, HUGE_PAGES.path())
    };
    Some(Proof {
        // The mapping at the address is one of huge pages, and the limit was reached: both were read while it ended.
        confidence: Confidence::Proven,
        sentence: format!(
            "{who} touched a huge page that it may not have: {name} of {} is reached ({} of {}).",
            reading.scope,
            spaced(reading.usage.unwrap_or(0)),
            spaced(reading.ceiling.unwrap_or(0))
        ),
        knob: Knob { kind, name: name.into(), path },
        limit: reading.ceiling,
        usage: reading.usage,
        unit: reading.unit.clone(),
        evidence: vec![super::case::ceiling::cite(reading)],
        missing: vec![],
    })
}

/// The file system of the file has a size, and there is less left of it than is asked for.
fn full_mount(case: &Case<'_>) -> Option<Proof> {
    const DECIDERS: &[&str] = &["hugepage_subpool_get_pages"];
    let state = case.state("hugetlbfs pages")?;
    let (free, most) = state.value.split_once(' ')?;
    let (free, most): (u64, u64) = (free.parse().ok()?, most.parse().ok()?);
    let wants = case.reading(&HUGE_PAGES)?.adds.filter(|wants| *wants > free)?;
    let elsewhere = case.decided_elsewhere(DECIDERS).filter(|f| !CALLERS.contains(f));
    let missing = elsewhere.map(|f| format!("the kernel path points to {f} instead"));
    let file = case.state("hugetlbfs").map_or("its file", |s| s.value.as_str());
    Some(Proof {
        confidence: if missing.is_some() { Confidence::Likely } else { Confidence::Proven },
        sentence: format!(
            "{} maps {wants} huge pages of {file}, and of the {} that the size= of its hugetlbfs allows {} are left.",
            case.failure().task.comm,
            spaced(most),
            spaced(free)
        ),
        knob: Knob { kind: KnobKind::MountOption, name: "size=".into(), path: file.into() },
        limit: Some(most),
        usage: Some(most.saturating_sub(free)),
        unit: HUGE_PAGES.unit.into(),
        evidence: super::case::claim::cite_state(case, "hugetlbfs pages").into_iter().collect(),
        missing: missing.into_iter().collect(),
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if matches!(case.failure().kind, FailureKind::Fault { .. }) {
        return touched(case);
    }
    if !asked(case) {
        return None;
    }
    let who = &case.failure().task.comm;
    // Charged before the pool is asked (`hugetlb_reserve_pages()`).
    if let Some(reading) = full(case) {
        let elsewhere = case.decided_elsewhere(CGROUP.deciders).filter(|f| !CALLERS.contains(f));
        let missing = elsewhere.map(|f| format!("the kernel path points to {f} instead"));
        let name = reading.source.rsplit('/').next().unwrap_or(HUGETLB_RSVD.id).to_string();
        return Some(Proof {
            // It cannot have had room: nothing that this call does lowers what others hold.
            confidence: if missing.is_some() { Confidence::Likely } else { Confidence::Proven },
            sentence: format!(
                "{who} asked for {} bytes of huge pages, and {name} of {} allows {}.",
                spaced(reading.adds.unwrap_or(0)),
                reading.scope,
                spaced(reading.ceiling.unwrap_or(0))
            ),
            knob: Knob { kind: KnobKind::Cgroup, name, path: reading.source.clone() },
            limit: reading.ceiling,
            usage: reading.usage,
            unit: "bytes".into(),
            evidence: vec![super::case::ceiling::cite(reading)],
            missing: missing.into_iter().collect(),
        });
    }
    if let Some(proof) = full_mount(case) {
        return Some(proof);
    }
    let reading = case.reading(&HUGE_PAGES);
    let sentence = match reading {
        Some(r) => format!(
            "{who} asked for {} huge pages; the machine has {}, of which {} are taken or reserved.",
            spaced(r.adds.unwrap_or(1)),
            spaced(r.ceiling.unwrap_or(0)),
            spaced(r.usage.unwrap_or(0))
        ),
        None => format!("{who} asked for huge pages, and the machine has none left."),
    };
    let mut judged: Judged<'_> = POOL.judge(case)?;
    // A pool that is smaller than the mapping never had room for it.
    if judged.confidence == Confidence::Likely
        && case.decided_elsewhere(POOL.deciders).is_none_or(|f| CALLERS.contains(&f))
        && reading.is_some_and(|r| r.adds.zip(r.ceiling).is_some_and(|(adds, most)| adds > most))
    {
        judged.confidence = Confidence::Proven;
        judged.missing.clear();
    }
    Some(judged.proof(case, &POOL, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::MountOption {
        return vec![
            step(
                "for good",
                "mount -t hugetlbfs -o size=MORE,pagesize=2M none PLACE",
                "a hugetlbfs takes no other size= while it is mounted; the machine's pool still bounds it",
                "mount it with the size before",
            ),
            look(
                format!("df -h {0}; lsof {0}", proof.knob.path),
                "what the mount allows, and who holds files of it",
            ),
        ];
    }
    if proof.knob.kind == KnobKind::Cgroup {
        let (path, limit) = (&proof.knob.path, proof.limit.unwrap_or(0));
        return vec![
            step(
                "now",
                format!("echo max > {path}"),
                "for this cgroup, while it exists; the pool's own size still bounds it",
                format!("echo {limit} > {path}"),
            ),
            step(
                "for good",
                "resources.limits: hugepages-2Mi in the pod, or --hugetlb-limit of the engine",
                "the engine sets the cgroup's limit",
                "remove it",
            ),
        ];
    }
    let limit = proof.limit.unwrap_or(0);
    vec![
        step(
            "now",
            format!("sysctl -w vm.nr_hugepages={}", limit + proof.usage.unwrap_or(0).max(16)),
            "takes that memory from everything else; may get fewer when memory is fragmented: read the sysctl again",
            format!("sysctl -w vm.nr_hugepages={limit}"),
        ),
        step(
            "for good",
            "hugepages=N on the kernel's command line",
            "allocated at boot, before memory is fragmented",
            "remove it and boot again",
        ),
        look(
            "grep -i huge /proc/meminfo; grep -l KernelPageSize.*2048 /proc/*/smaps",
            "free but reserved pages belong to others already",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::{judge_with, reading};
    use crate::model::{Incident, Taken};

    fn mapped(flags: u64, pool: (u64, u64), cgroup: Option<u64>) -> Incident {
        let mut i = called("mmap", libc::ENOMEM, flags);
        let after = Taken::After { ns: 1 };
        i.readings.push(Reading { taken: after, ..reading(&HUGE_PAGES, pool.0, pool.1) });
        if let Some(most) = cgroup {
            let source = "/sys/fs/cgroup/a/hugetlb.2MB.rsvd.max".into();
            i.readings.push(Reading {
                taken: after,
                adds: Some(2 << 20),
                source,
                ..reading(&HUGETLB_RSVD, 0, most)
            });
        }
        i
    }

    #[test]
    fn the_pool_or_the_cgroup_is_too_small() {
        let f = judge_with(&CAUSE, &mapped(MAP_HUGETLB, (0, 0), None)).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "vm.nr_hugepages"));
        let f = judge_with(&CAUSE, &mapped(MAP_HUGETLB, (0, 4), Some(0))).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "hugetlb.2MB.rsvd.max"));
    }

    #[test]
    fn a_file_on_a_hugetlbfs_needs_no_flag_and_its_mount_may_have_a_size() {
        let mut i = mapped(0, (0, 0), None);
        state(&mut i, "hugetlbfs", "/dev/hugepages/x");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "vm.nr_hugepages"));
        state(&mut i, "hugetlbfs pages", "0 4");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str(), f.limit), (Confidence::Proven, "size=", Some(4)));
    }

    #[test]
    fn a_mount_with_room_leaves_it_to_the_pool() {
        let mut i = mapped(0, (0, 0), None);
        state(&mut i, "hugetlbfs", "/dev/hugepages/x");
        state(&mut i, "hugetlbfs pages", "4 4");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "vm.nr_hugepages");
    }

    #[test]
    fn ordinary_mappings_and_room_are_no_case() {
        assert!(judge_with(&CAUSE, &mapped(0, (0, 0), None)).is_none());
        assert!(judge_with(&CAUSE, &mapped(MAP_HUGETLB, (0, 4), None)).is_none());
    }
}
