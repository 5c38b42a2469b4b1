//! A process or user may not lock more memory.

use super::case::claim::{knob, weigh};
use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::MEMLOCK;
use crate::model::{Confidence, Errno, Reading, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &MEMLOCK,
    deciders: &[
        "do_mlock",
        "can_do_mlock",
        "bpf_map_charge_init",
        "bpf_charge_memlock",
        "__io_account_mem",
        "io_account_mem",
        "user_shm_lock",
        "mlock_future_check",
        "mlock_future_ok",
        "bpf_prog_charge_memlock",
    ],
    callers: &[
        "__x64_sys_mlock",
        "__x64_sys_mlock2",
        "__x64_sys_mlockall",
        "__do_sys_mlockall",
        "do_mmap",
        "array_map_alloc",
        "map_create",
        "find_and_alloc_map",
        "io_uring_create",
        "io_uring_setup",
        "io_sqe_buffers_register",
        "__do_sys_mremap",
        "do_mremap",
        "vma_to_resize",
        "mremap_to",
        "__x64_sys_bpf",
        "__sys_bpf",
        "htab_map_alloc",
        "bpf_prog_load",
    ],
};

const IPC_LOCK: u64 = 1 << 14;
/// CAP_BPF or CAP_SYS_ADMIN.
const BPF: u64 = 1 << 39 | 1 << 21;

/// How it shows itself.
const FACES: &[(&[&str], Errno)] = &[
    (&["mlock", "mlock2", "mlockall", "io_uring_setup", "io_uring_register", "shmctl"], Errno::ENOMEM),
    (&["mlock", "mlock2", "mlockall", "mmap", "bpf"], Errno::EPERM),
    (&["mmap", "mremap", "mlock"], Errno::EAGAIN),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-memlock",
    title: "a process or user may not lock more memory (RLIMIT_MEMLOCK)",
    about: "\
mlock(2) fails with ENOMEM, \"Cannot allocate memory\" (with EPERM when the limit is 0); mmap(MAP_LOCKED) and mremap(2) with EAGAIN;
io_uring_setup(2) and io_uring_register(2) with ENOMEM; bpf(2) before 5.11 with EPERM, although the caller is root; mmap(2) of a
perf buffer with EPERM. Memory is not short: do_mlock() in mm/mlock.c compares the locked pages of the process, the others what
the user has locked, with RLIMIT_MEMLOCK, 64 KiB or 8 MiB by default. CAP_IPC_LOCK is exempt, which containers do not have.

It surprises because each face has another errno, and because rings and BPF maps count at all. GPUs, RDMA, DPDK, Elasticsearch
and BPF tools need it unlimited.",
    shows_as: &[("mlock", "ENOMEM"), ("mlock", "EPERM"), ("mlockall", "ENOMEM"), ("mmap", "EAGAIN"), ("mremap", "EAGAIN"), ("io_uring_setup", "ENOMEM"), ("io_uring_register", "ENOMEM"), ("shmctl", "ENOMEM"), ("shmctl", "EPERM"), ("bpf", "EPERM")],
    deciders: &["do_mlock", "can_do_mlock", "bpf_map_charge_init", "bpf_charge_memlock", "__io_account_mem", "io_account_mem", "user_shm_lock", "mlock_future_check", "mlock_future_ok", "bpf_prog_charge_memlock"],
    reads: &[&MEMLOCK],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers its own RLIMIT_MEMLOCK, gives up CAP_IPC_LOCK and locks more",
        risk: "none: the limit is that of a process which ends at once",
        variants: &["mlock", "zero"],
    },
    see: &[
        "getrlimit(2), RLIMIT_MEMLOCK",
        "mm/mlock.c: do_mlock(), can_do_mlock()",
        "kernel/bpf/syscall.c before 5.11: bpf_charge_memlock()",
        "mlock(2), ENOMEM, EPERM",
    ],
};

/// SHM_LOCK (shmctl(2)): nothing but user_shm_lock() says ENOMEM there.
fn segment(case: &Case<'_>) -> Option<Proof> {
    const SHM_LOCK: u64 = 11;
    let forbidden = case.denied(&["shmctl"], Errno::EPERM).is_some();
    if !forbidden && case.denied(&["shmctl"], Errno::ENOMEM).is_none() {
        return None;
    }
    if case.failure().number_arg("op")? & 0xff != SHM_LOCK || case.capable(IPC_LOCK) == Some(true) {
        return None;
    }
    let state = case.capable(IPC_LOCK).map(|has| !has);
    let weighed = weigh(case, CEILING.deciders, &["ksys_shmctl", "shmctl_do_lock", "shmem_lock"], state)?;
    let who = &case.failure().task.comm;
    if forbidden {
        // The segment may be another user's instead (shmctl_do_lock()).
        let sentence = format!(
            "{who} may not lock the segment: RLIMIT_MEMLOCK is 0 or the segment is another user's, and it lacks CAP_IPC_LOCK."
        );
        let proof =
            weighed.proof(case, CEILING.deciders, sentence, knob(MEMLOCK.kind, MEMLOCK.id, MEMLOCK.path()));
        return Some(proof.at_most(Confidence::Likely, "whose the segment is (ipcs -m)"));
    }
    let sentence = format!(
        "{who} may not lock the whole segment: RLIMIT_MEMLOCK is less than that, and it lacks CAP_IPC_LOCK. Memory is not short."
    );
    Some(weighed.proof(case, CEILING.deciders, sentence, knob(MEMLOCK.kind, MEMLOCK.id, MEMLOCK.path())))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = segment(case) {
        return Some(proof);
    }
    let (call, errno) = case.failure().syscall()?;
    let face = FACES.iter().any(|(calls, said)| *said == errno && calls.contains(&call));
    let shown = case.reading(&MEMLOCK).and_then(Reading::exceeded) == Some(true);
    // bpf(2) asks for privilege first; its memory is charged to everybody, but only before 5.11.
    let unprivileged =
        case.value("kernel.unprivileged_bpf_disabled") != Some(0) && case.capable(BPF) != Some(true);
    let never = if call == "bpf" { unprivileged } else { case.capable(IPC_LOCK) == Some(true) };
    // These errnos have many causes: only a full reading or the function itself points here.
    if !face || never || !shown && case.verdict(CEILING.deciders).is_none() {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = words(case, &used, &most);
    Some(judged.proof(case, &CEILING, sentence))
}

fn words(case: &Case<'_>, used: &str, most: &str) -> String {
    match case.failure().syscall() {
        Some(("mlock" | "mlock2" | "mlockall", errno)) if errno == Errno::EPERM => {
            "RLIMIT_MEMLOCK is 0, and the task has no CAP_IPC_LOCK.".into()
        }
        _ => format!(
            "{used} bytes are or would be locked, and RLIMIT_MEMLOCK allows {most}. Memory is not short."
        ),
    }
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let mut all = remedies::rlimit(
        "MEMLOCK",
        "-l",
        "-1",
        "for the container's processes; locked memory cannot be swapped or reclaimed",
    );
    all.extend(remedies::capability("CAP_IPC_LOCK", "the container may lock as much as its cgroup allows"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[], &[], vec![reading])).map(|f| f.confidence)
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&MEMLOCK, 0, 4096, 1048576);
        assert_eq!(judged("mlock", Errno::ENOMEM, full), Some(Confidence::Proven));
        assert_eq!(judged("mlock", Errno::ENOMEM, over(&MEMLOCK, 0, 8388608, 1048576)), None);
    }

    #[test]
    fn faces_with_other_errnos() {
        for (call, errno) in [("mlock", Errno::EPERM), ("mmap", Errno::EAGAIN)] {
            assert_eq!(judged(call, errno, over(&MEMLOCK, 0, 0, 4096)), Some(Confidence::Proven), "{call}");
        }
        let i = valued("mlock", Errno::ENOMEM, &[], &[], vec![]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn an_unprivileged_bpf_call_is_refused_for_another_reason() {
        let judged = |capabilities| {
            let values = [("CapEff", capabilities), ("kernel.unprivileged_bpf_disabled", 2)];
            let i = valued("bpf", Errno::EPERM, &[], &values, vec![over(&MEMLOCK, 0, 4096, 1 << 20)]);
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(judged(0), None);
        assert_eq!(judged(1 << 21), Some(Confidence::Proven));
    }

    #[test]
    fn who_has_the_capability_is_not_claimed() {
        let values = [("CapEff", IPC_LOCK)];
        let i = valued("mlock", Errno::ENOMEM, &[], &values, vec![over(&MEMLOCK, 0, 4096, 1 << 20)]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("mlock", Errno::ENOENT), ("getpid", Errno::ENOMEM)] {
            assert_eq!(judged(call, errno, over(&MEMLOCK, 0, 4096, 1048576)), None, "{call}");
        }
    }
}
