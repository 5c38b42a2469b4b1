//! A memory cgroup reached its limit, and the kernel killed a process in it.

use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::memory::MEMORY_MAX;
use crate::model::{Confidence, FailureKind, Killer, Knob, KnobKind, OomWitness, Reading, Remedy, spaced};

pub(super) static CAUSE: Cause = Cause {
    slug: "memory-max",
    title: "a memory cgroup is full and the OOM killer ended a process (memory.max)",
    about: "\
A container ends with exit code 137 (128 + SIGKILL) and says nothing: no system call fails. A charge to a
memory cgroup that would pass memory.max (v1: memory.limit_in_bytes) first reclaims; when nothing is left to
reclaim, mem_cgroup_out_of_memory() picks a process of that cgroup and sends it SIGKILL. malloc() does not
fail, because memory is charged when it is touched.

It surprises because 137 looks like any `kill -9`, because the victim need not be the one that asked or the
container's main process (then the container runs on, damaged), because page cache, tmpfs files and kernel
memory count too, and because the limit may be an ancestor's: a pod's, a slice's, not the container's own.",
    shows_as: &[("killed", "SIGKILL")],
    deciders: &["mem_cgroup_out_of_memory", "try_charge_memcg"],
    reads: &[&MEMORY_MAX],
    rivals: &[Rival {
        name: "the whole machine was out of memory",
        ruled_out_by: "the kernel's lock on the memory cgroup it served, or its log, which names that cgroup",
        stands: whole_machine,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes a cgroup that may hold 16 MiB, and lets a process in it touch four times as much",
        risk: "none: only the process that was made for it can be chosen, because the limit is its cgroup's own",
        variants: &["own"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files",
        "mm/memcontrol.c: try_charge_memcg(), mem_cgroup_oom(); mm/oom_kill.c: __oom_kill_process()",
    ],
};

/// What the OOM killer said, if it was the one.
struct Oom<'a> {
    cgroup: Option<&'a str>,
    witness: Option<OomWitness>,
    asked: &'a str,
}

fn oom<'a>(case: &Case<'a>) -> Option<Oom<'a>> {
    match &case.incident.failure.kind {
        FailureKind::Killed { by: Killer::Oom { cgroup, witness, asked }, .. } => {
            Some(Oom { cgroup: cgroup.as_deref(), witness: *witness, asked })
        }
        _ => None,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let oom = oom(case)?;
    if oom.witness.is_some() && oom.cgroup.is_none() {
        // No cgroup was served: the machine itself was out of memory.
        return None;
    }
    let reading = level(case, &oom)?;
    let mut missing = Vec::new();
    let confidence = match (oom.cgroup.is_some(), reading.exceeded(), reading.hits) {
        (true, Some(true), _) => Confidence::Proven,
        // v1 has more limits that end in a kill: of memory and swap, and of kernel memory.
        (true, _, _) if oom.witness == Some(OomWitness::Log) && !is_v1(case) => Confidence::Proven,
        // What other processors hold back of their charges may come home between the refused charge and the
        // kill, so the usage is often a little lower by then; the counter of refusals does not fall. But it
        // counts every refusal since the cgroup was made, so far below the limit it says nothing of this one.
        (true, _, Some(1..)) if nearly_full(reading) => Confidence::Proven,
        (true, _, _) => {
            missing.push("a reading that shows the overflow: memory was freed before the kill".into());
            Confidence::Likely
        }
        (false, _, _) => Confidence::Likely,
    };
    Some(Proof {
        confidence,
        sentence: sentence(case, reading),
        knob: Knob { kind: KnobKind::Cgroup, name: knob(case).into(), path: file(case, reading) },
        limit: reading.ceiling,
        usage: reading.usage,
        unit: "bytes".into(),
        evidence: evidence(case, reading, &oom),
        missing,
    })
}

/// The level that was out of memory: the one the kernel locked; else the nearest that was full, because a
/// charge goes up from the task's own cgroup and stops at the first that refuses (mm/page_counter.c
/// `page_counter_try_charge`).
fn level<'a>(case: &Case<'a>, oom: &Oom<'_>) -> Option<&'a Reading> {
    let mut all = case.incident.failure.readings.iter().filter(|r| r.limit == MEMORY_MAX.id);
    match oom.cgroup {
        Some(path) => all.find(|r| r.scope == path),
        None => all.find(|r| nearly_full(r) && r.hits.is_none_or(|hits| hits > 0)),
    }
}

/// Full but for what may have come home since the charge was refused: see `explain`.
fn nearly_full(r: &Reading) -> bool {
    let (Some(usage), Some(ceiling)) = (r.usage, r.ceiling) else { return false };
    usage >= ceiling - ceiling / 16
}

fn whole_machine(case: &Case<'_>) -> Option<String> {
    let oom = oom(case)?;
    oom.cgroup.is_none().then(|| "the whole machine may have been out of memory: neither a lock nor the kernel's log shows whose it was".into())
}

/// Whether the memory controller is on v1 here.
fn is_v1(case: &Case<'_>) -> bool {
    case.failure().task.cgroups.iter().any(|c| c.hierarchy == "memory")
}

fn knob(case: &Case<'_>) -> &'static str {
    if is_v1(case) { "memory.limit_in_bytes" } else { MEMORY_MAX.id }
}

fn file(case: &Case<'_>, reading: &Reading) -> String {
    let mount = if is_v1(case) { "/sys/fs/cgroup/memory" } else { "/sys/fs/cgroup" };
    format!("{mount}{}/{}", reading.scope, knob(case))
}

/// Whether the full cgroup lies above the container's own.
fn is_ancestor(case: &Case<'_>, reading: &Reading) -> bool {
    let own = case.incident.container.as_ref().and_then(|c| c.cgroup.as_deref());
    own.is_some_and(|own| own.len() > reading.scope.len() && own.starts_with(&reading.scope))
}

fn sentence(case: &Case<'_>, reading: &Reading) -> String {
    let task = &case.failure().task;
    let whose = match &case.incident.container {
        Some(c) if is_ancestor(case, reading) => {
            format!("{}, an ancestor of {}'s cgroup,", reading.scope, c.label())
        }
        Some(c) => format!("the cgroup of {}", c.label()),
        None => format!("the cgroup {}", reading.scope),
    };
    let limit = reading.ceiling.map_or_else(|| "its limit".into(), size);
    format!(
        "The OOM killer ended {} (pid {}): {whose} may hold {limit} ({}) and could free nothing.",
        task.comm,
        task.pid,
        knob(case)
    )
}

/// `67108864` as `64 MiB`; what does not divide stays exact.
fn size(bytes: u64) -> String {
    for (unit, name) in [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes >= unit && bytes.is_multiple_of(unit) {
            return format!("{} {name}", spaced(bytes / unit));
        }
    }
    format!("{} bytes", spaced(bytes))
}

fn evidence(case: &Case<'_>, reading: &Reading, oom: &Oom<'_>) -> Vec<String> {
    let task = &case.failure().task;
    let mut lines = Vec::new();
    if let (Some(usage), Some(ceiling)) = (reading.usage, reading.ceiling) {
        let (usage, ceiling) = (spaced(usage), spaced(ceiling));
        lines.push(format!("at that instant {} held {usage} of {ceiling} bytes", reading.scope));
    }
    match oom.witness.filter(|_| oom.cgroup.is_some()) {
        Some(OomWitness::Lock) => {
            lines.push(format!("the kernel held the OOM lock of {} while it killed", reading.scope));
        }
        Some(OomWitness::Log) => {
            lines.push(format!(
                "the kernel's log: oom-kill:constraint=CONSTRAINT_MEMCG, oom_memcg={}",
                reading.scope
            ));
        }
        None => {}
    }
    lines.push(format!(
        "oom:mark_victim named thread {} of {}; {} asked for memory",
        task.tid, task.comm, oom.asked
    ));
    if let Some(hits) = reading.hits.filter(|hits| *hits > 0) {
        lines.push(format!("out of memory {} times since that cgroup was made", spaced(hits)));
    }
    lines
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = proof.limit.unwrap_or(0);
    let file = &proof.knob.path;
    let folder = file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut out = vec![Remedy {
        when: "now".into(),
        command: format!("echo {} > {file}", limit.saturating_mul(2)),
        effect: "while this cgroup exists; what it then holds is missing elsewhere on the machine".into(),
        undo: format!("echo {limit} > {file}"),
    }];
    let engine = case.incident.container.as_ref().map(|c| (c.engine.as_str(), c.label()));
    if let Some(("docker" | "podman", label)) = engine {
        let engine = engine.map_or("docker", |(engine, _)| engine);
        out.push(Remedy {
            when: "for good".into(),
            command: format!("{engine} update --memory {} {label}", limit.saturating_mul(2)),
            effect: "for this container, across restarts".into(),
            undo: format!("{engine} update --memory {limit} {label}"),
        });
    }
    out.push(Remedy {
        when: "find the leak".into(),
        command: format!("cat {folder}/memory.stat"),
        effect:
            "anon is the program's own memory, shmem its tmpfs files, file its page cache: only the last \
                 goes away by itself"
                .into(),
        undo: "nothing to undo".into(),
    });
    out
}

#[cfg(test)]
#[path = "memory_max_tests.rs"]
mod tests;
