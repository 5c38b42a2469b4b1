//! The ring of a perf event is larger than the user may pin.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::commit::PERF_RING;
use crate::model::{Errno, Remedy, spaced};

const CEILING: Ceiling = Ceiling {
    limit: &PERF_RING,
    deciders: &["perf_mmap", "perf_mmap_calc_limits", "perf_mmap_rb", "perf_mmap_aux"],
    callers: &[
        "mmap_file",
        "call_mmap",
        "mmap_region",
        "__mmap_region",
        "do_mmap",
        "vm_mmap_pgoff",
        "ksys_mmap_pgoff",
        "__x64_sys_mmap",
    ],
};

const IPC_LOCK: u64 = 1 << 14;

pub(super) static CAUSE: Cause = Cause {
    slug: "perf-event-mlock",
    title: "the ring of a perf event is larger than the user may pin (kernel.perf_event_mlock_kb)",
    about: "\
perf record says \"failed to mmap with 1 (Operation not permitted)\", \"Permission error mapping pages. Consider \
increasing /proc/sys/kernel/perf_event_mlock_kb\": perf_event_open(2) went well, and mmap(2) of its descriptor fails with \
EPERM. perf_mmap() in kernel/events/core.c adds the pages to those that all rings, BPF maps before 5.11 and io_uring rings of \
the user hold. Up to kernel.perf_event_mlock_kb for each processor (512 KiB and a page by default) is free; what goes beyond \
counts against RLIMIT_MEMLOCK of the process. CAP_IPC_LOCK is exempt, and everybody is with kernel.perf_event_paranoid = -1.

It surprises because the limit is the user's and not the process's: a second profiler of the same user in another container is \
refused with a ring that the first one got.",
    shows_as: &[("mmap", "EPERM")],
    deciders: &["perf_mmap", "perf_mmap_calc_limits"],
    reads: &[&PERF_RING],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens an event of its own, lowers its RLIMIT_MEMLOCK, gives up CAP_IPC_LOCK and maps a large ring",
        risk: "none: what is mapped before ends with the process",
        variants: &["ring"],
    },
    see: &[
        "perf_event_open(2), /proc/sys/kernel/perf_event_mlock_kb",
        "https://docs.kernel.org/admin-guide/perf-security.html",
        "kernel/events/core.c: perf_mmap()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["mmap", "mmap2"], Errno::EPERM)?;
    let unlimited = case.value("kernel.perf_event_paranoid").is_some_and(|value| value as i64 == -1);
    let reading = case.reading(&PERF_RING);
    // EPERM of mmap(2) has other causes: only a ring's own reading or its function points here.
    if unlimited
        || case.capable(IPC_LOCK) == Some(true)
        || reading.is_none() && case.verdict(CEILING.deciders).is_none()
    {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let who = &case.failure().task.comm;
    let sentence = match judged.reached {
        Some(r) => format!(
            "{who} wants a ring of {} KiB; the user's rings hold {} KiB, and kernel.perf_event_mlock_kb and RLIMIT_MEMLOCK allow {} together.",
            spaced(r.adds.unwrap_or(0)),
            spaced(r.usage.unwrap_or(0)),
            spaced(r.ceiling.unwrap_or(0))
        ),
        None => format!("{who} wants a ring that is larger than its user may pin."),
    };
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let to = remedies::enough(case.reading(&PERF_RING), proof).max(2 * PERF_RING.default);
    let mut all = vec![remedies::step(
        "now",
        "perf record -m 64 …",
        "a ring of 64 pages for each processor: events may be lost where many come at once",
        "leave the option out",
    )];
    all.extend(remedies::sysctl(
        PERF_RING.id,
        &to.to_string(),
        None,
        "for each processor and user of the machine; such pages cannot be swapped",
    ));
    all.extend(remedies::rlimit(
        "MEMLOCK",
        "-l",
        "-1",
        "for the container's processes, beyond the user's share",
    ));
    all.extend(remedies::capability(
        "CAP_IPC_LOCK",
        "exempt from both; may lock as much as its cgroup allows",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(reading: Option<Reading>, capabilities: u64, paranoid: i64) -> Option<Confidence> {
        let values = [("CapEff", capabilities), ("kernel.perf_event_paranoid", paranoid as u64)];
        let i = valued("mmap", Errno::EPERM, &[], &values, reading.into_iter().collect());
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_ring_past_both_shares_is_proven() {
        assert_eq!(judged(Some(over(&PERF_RING, 0, 1032, 1040)), 0, 2), Some(Confidence::Proven));
        assert_eq!(judged(Some(over(&PERF_RING, 0, 1032, 1032)), 0, 2), None, "room");
    }

    #[test]
    fn who_is_exempt_and_other_mappings_are_not_claimed() {
        assert_eq!(judged(Some(over(&PERF_RING, 0, 1032, 1040)), IPC_LOCK, 2), None);
        assert_eq!(judged(Some(over(&PERF_RING, 0, 1032, 1040)), 0, -1), None);
        assert_eq!(judged(None, 0, 2), None);
    }
}
