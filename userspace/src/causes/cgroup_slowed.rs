//! A cgroup that is slowed down: above memory.high, or out of its processor time.

use super::case::ceiling::cite;
use super::case::claim::{look, step};
use super::{Case, Cause, Fault, Proof};
use crate::limits::memory::{CPU_MAX, MEMORY_HIGH};
use crate::model::{Confidence, FailureKind, Knob, KnobKind, Reading, Remedy, spaced};

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-slowed",
    title: "the cgroup is slowed down (memory.high, cpu.max)",
    about: "\
A program in a container is slow or seems to hang, health checks time out, and nothing fails. Above memory.high the kernel
lets every process of the cgroup wait, up to two seconds on each return to user space, while it reclaims:
mem_cgroup_handle_over_high() in mm/memcontrol.c. With cpu.max (Kubernetes: limits.cpu) all of its threads stop when the
quota of a period is used up, until the next one begins: throttle_cfs_rq() in kernel/sched/fair.c.

It surprises because no limit is *hit* in the sense of an error: memory.max is far away, the processors of the machine are
idle. memory.events (high) and memory.pressure, cpu.stat (nr_throttled, throttled_usec) count both.",
    shows_as: &[("stall", "memory.high"), ("stall", "cpu.max")],
    deciders: &[],
    reads: &[&MEMORY_HIGH, &CPU_MAX],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a cgroup with memory.high below what its process touches: it would take a minute of waiting"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files", "https://docs.kernel.org/scheduler/sched-bwc.html", "mm/memcontrol.c: mem_cgroup_handle_over_high()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let FailureKind::Stall { what } = &case.failure().kind else { return None };
    let reading: &Reading =
        [&MEMORY_HIGH, &CPU_MAX].into_iter().find_map(|l| case.incident.readings_of(l.id).next())?;
    let moved = reading.hits.is_some_and(|hits| hits > 0);
    let sentence = format!("{} of {}: {what}.", reading.limit, reading.scope);
    Some(Proof {
        // The counter that moved while the command ran is the kernel's own word.
        confidence: if moved { Confidence::Proven } else { Confidence::Possible },
        sentence,
        knob: Knob { kind: KnobKind::Cgroup, name: reading.limit.clone(), path: reading.source.clone() },
        limit: reading.ceiling,
        usage: reading.usage,
        unit: reading.unit.clone(),
        evidence: vec![
            cite(reading),
            format!("counted {} times while the command ran", spaced(reading.hits.unwrap_or(0))),
        ],
        missing: vec![],
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (path, limit) = (&proof.knob.path, proof.limit.unwrap_or(0));
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    if proof.knob.name == CPU_MAX.id {
        return vec![
            step(
                "now",
                format!("echo max > {path}"),
                "no quota; its weight still shares the processors with others",
                format!("echo {limit} > {path}"),
            ),
            step(
                "for good",
                "a larger limits.cpu (or none, with requests.cpu alone); fewer threads at a time (GOMAXPROCS, -XX:ActiveProcessorCount)",
                "many threads use a quota up in the first milliseconds of each period",
                "set it back",
            ),
            look(format!("cat {folder}/cpu.stat"), "throttled_usec against the time that has passed"),
        ];
    }
    vec![
        step(
            "now",
            format!("echo {} > {path}", limit.saturating_mul(2)),
            "what it then holds is missing elsewhere on the machine",
            format!("echo {limit} > {path}"),
        ),
        look(
            format!("cat {folder}/memory.pressure {folder}/memory.events {folder}/memory.stat"),
            "how long processes waited; what fills it",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::called;
    use crate::causes::case::testing::{judge_with, reading};

    #[test]
    fn the_counter_that_moved_is_the_proof() {
        let mut i = called("kill", 1, 0);
        let mut r = reading(&MEMORY_HIGH, 9000, 4096);
        r.hits = Some(12);
        r.source = "/sys/fs/cgroup/a/memory.high".into();
        i.failure.readings.push(r);
        assert!(judge_with(&CAUSE, &i).is_none());
        i.failure.kind = FailureKind::Stall { what: "processes waited".into() };
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "memory.high"));
        i.failure.readings[0].hits = Some(0);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
    }
}
