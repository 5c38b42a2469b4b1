//! A full memory cgroup from which the kernel may kill nobody: then the charge fails with an errno.

use super::case::claim::{look, step, weigh};
use super::case::tasks;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::memory::MEMORY_MAX;
use crate::model::{Confidence, Errno, Knob, KnobKind, Reading, Remedy, Taken, spaced};

const DECIDERS: &[&str] = &[
    "try_charge_memcg",
    "try_charge",
    "obj_cgroup_charge_pages",
    "__memcg_kmem_charge",
    "__memcg_kmem_charge_page",
    "memcg_charge_kernel_stack",
    "charge_memcg",
    "__mem_cgroup_charge",
    "mem_cgroup_charge",
    "mem_cgroup_try_charge_delay",
];
const CALLERS: &[&str] = &[
    "copy_process",
    "dup_task_struct",
    "kernel_clone",
    "_do_fork",
    "shmem_add_to_page_cache",
    "shmem_alloc_and_add_folio",
    "shmem_get_folio_gfp",
    "shmem_getpage_gfp",
    "shmem_write_begin",
    "generic_perform_write",
    "shmem_file_write_iter",
    "__generic_file_write_iter",
    "generic_file_write_iter",
    "vfs_write",
    "new_sync_write",
    "filemap_add_folio",
    "alloc_thread_stack_node",
    "copy_mm",
    "dup_mm",
    "copy_page_range",
    "sk_alloc",
    "__alloc_pages",
    "__alloc_pages_noprof",
];

/// What processors may hold back of their charges: 64 pages each (mm/memcontrol.c `MEMCG_CHARGE_BATCH`), for a handful.
const SLACK: u64 = 2 << 20;

/// Calls that have many other reasons to say ENOMEM: address space, overcommit, the number of mappings.
const MAPS: &[&str] = &["mmap", "mremap", "brk", "mlock", "madvise"];

/// Calls that charge memory: to write, to map, to make a task, a socket, a pipe.
const CALLS: &[&str] = &[
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "fallocate",
    "ftruncate",
    "mmap",
    "mremap",
    "brk",
    "mlock",
    "clone",
    "clone3",
    "fork",
    "vfork",
    "execve",
    "socket",
    "pipe",
    "pipe2",
    "open",
    "openat",
    "mkdir",
    "mkdirat",
    "read",
    "sendfile",
    "sendto",
    "sendmsg",
    "copy_file_range",
    "unshare",
    "bpf",
    "io_uring_setup",
    "epoll_ctl",
    "inotify_add_watch",
    "madvise",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "memory-charge",
    title: "a memory cgroup is full and no process in it may be killed (memory.max)",
    about: "\
write(2) to a tmpfs or a file, fork(2) or another call fails with ENOMEM, \"Cannot allocate memory\", while `free` shows
gigabytes. try_charge_memcg() in mm/memcontrol.c could reclaim nothing below memory.max, and the OOM killer found nobody
to kill: every process of the cgroup has oom_score_adj -1000, or the call must not wait for a kill (a fork's kernel stack,
a socket's memory). Then the charge, and with it the call, fails.

It surprises because a full memory cgroup usually kills, silently. Engines and node agents protect themselves with
oom_score_adj -1000, which their children inherit; in a fork the failed charge is turned into ENOMEM by copy_process(),
whatever it was.",
    shows_as: &[("write", "ENOMEM"), ("clone", "ENOMEM"), ("clone3", "ENOMEM"), ("fork", "ENOMEM"), ("mmap", "ENOMEM"), ("openat", "ENOMEM")],
    deciders: DECIDERS,
    reads: &[&MEMORY_MAX],
    rivals: &[Rival {
        name: "a pid namespace without its pid 1 (ENOMEM of fork)",
        ruled_out_by: "children go to the task's own pid namespace, or its pid 1 lives",
        stands: dead_namespace,
    }],
    explain,
    remedy,
    fault: Fault::None("memory-max provokes the same limit; here a process that may not be killed would have to be left behind"),
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#memory-interface-files", "mm/memcontrol.c: try_charge_memcg()", "proc_pid_oom_score_adj(5)"],
};

fn dead_namespace(case: &Case<'_>) -> Option<String> {
    case.denied(tasks::SYSCALLS, Errno::ENOMEM)?;
    let gone = case.state("pid 1 of pid_for_children").is_some_and(|s| s.value == "gone");
    gone.then(|| "pid 1 of the namespace that children go to is gone".into())
}

/// The nearest cgroup that is full, or whose counter of refusals moved.
fn full<'a>(case: &Case<'a>) -> Option<&'a Reading> {
    let all = || case.incident.readings_of(MEMORY_MAX.id);
    let nearly = |r: &&Reading| match (r.usage, r.ceiling) {
        // What other processors hold back comes home, and some was freed: see memory_max.
        (Some(used), Some(most)) => used >= most - (most / 16).min(SLACK),
        _ => false,
    };
    all().find(|r| r.exceeded() == Some(true)).or_else(|| all().find(nearly))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(CALLS, Errno::ENOMEM)?;
    let reading = full(case);
    let seen = case.verdict(DECIDERS).is_some();
    if reading.is_none() && !seen {
        return None;
    }
    // A counter of refusals that is not zero belongs to a cgroup that has been full.
    let state = reading.filter(|r| r.hits != Some(0)).map(|_| true);
    let mut weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let at_instant = reading.is_some_and(|r| r.taken == Taken::AtInstant);
    let moved = reading.is_some_and(|r| r.hits.is_some_and(|hits| hits > 0));
    if weighed.confidence == Confidence::Proven && !seen && !at_instant && !moved {
        weighed.confidence = Confidence::Likely;
        weighed.missing.push("memory.max was read after the call, not at that instant".into());
    }
    if !seen && MAPS.contains(&call) && weighed.confidence == Confidence::Proven {
        weighed.confidence = Confidence::Likely;
        weighed.missing.push("the function that decided: mappings have other limits".into());
    }
    let scope = reading.map_or("its memory cgroup", |r| r.scope.as_str());
    let number = |n: Option<u64>| n.map_or_else(|| "?".into(), spaced);
    let numbers = reading
        .map_or_else(String::new, |r| format!(" ({} of {} bytes)", number(r.usage), number(r.ceiling)));
    let sentence =
        format!("{scope} is full{numbers}, and the kernel may kill nobody there: the charge failed instead.");
    let path = reading.map_or_else(|| format!("{scope}/memory.max"), |r| r.source.clone());
    let name =
        path.rsplit('/').next().filter(|f| f.starts_with("memory.")).unwrap_or(MEMORY_MAX.id).to_string();
    let knob = Knob { kind: KnobKind::Cgroup, name, path };
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob);
    if let Some(r) = reading {
        (proof.limit, proof.usage, proof.unit) = (r.ceiling, r.usage, "bytes".into());
        proof.evidence.push(super::case::ceiling::cite(r));
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let path = &proof.knob.path;
    let limit = proof.limit.unwrap_or(0);
    vec![
        step(
            "now",
            format!("echo {} > {path}", limit.saturating_mul(2).max(1 << 20)),
            "while this cgroup exists",
            format!("echo {limit} > {path}"),
        ),
        step(
            "for good",
            "oom_score_adj of at least -999 for what may be killed (docker run --oom-score-adj, OOMScoreAdjust=)",
            "the kernel can then free memory by ending that process, and calls do not fail any more",
            "set it back to -1000",
        ),
        look(
            format!("cat {}/memory.events {}/memory.stat", parent(path), parent(path)),
            "how often it was full; anon, file, shmem and kernel say what fills it",
        ),
    ]
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, reading};
    use crate::model::Incident;

    fn refused(call: &str, used: u64, hits: u64) -> Incident {
        let mut i = incident(call, Errno::ENOMEM, vec![]);
        let mut r = reading(&MEMORY_MAX, used, 4 << 20);
        r.hits = Some(hits);
        r.taken = Taken::After { ns: 1 };
        r.scope = "/sys/fs/cgroup/a".into();
        i.readings.push(r);
        i
    }

    #[test]
    fn a_full_cgroup_that_counted_it_is_the_cause() {
        let f = judge_with(&CAUSE, &refused("write", (4 << 20) - 4096, 3)).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "memory.max"));
        assert!(judge_with(&CAUSE, &refused("clone", 4 << 20, 1)).is_some());
    }

    #[test]
    fn room_or_no_counted_refusal_is_not() {
        assert!(judge_with(&CAUSE, &refused("write", 1 << 20, 3)).is_none());
        let never = judge_with(&CAUSE, &refused("write", (4 << 20) - 4096, 0)).unwrap();
        assert_eq!(never.confidence, Confidence::Possible);
        assert!(judge_with(&CAUSE, &incident("clone", Errno::ENOMEM, vec![])).is_none());
    }
}
