//! A System V object of that key exists and is smaller than what was asked for.

use super::case::claim::{self, cite_state, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::limits::ipc::{SEMMSL, SHMMAX};
use crate::model::{Confidence, Errno, KnobKind, Reading, Remedy, spaced};

const DECIDERS: &[&str] = &["shm_more_checks", "sem_more_checks"];
const CALLERS: &[&str] = &[
    "ipcget",
    "ipcget_public",
    "ksys_shmget",
    "ksys_semget",
    "__x64_sys_shmget",
    "__x64_sys_semget",
    "ipc_check_perms",
];

/// What the sampler found of it in /proc/sysvipc.
const OBJECT: &str = "ipc object";

pub(super) static CAUSE: Cause = Cause {
    slug: "ipc-smaller",
    title: "a System V object of that key exists already, and is smaller",
    about: "\
shmget(2) or semget(2) fails with EINVAL, \"Invalid argument\", although the size is far from every limit: an object with this key \
is there, and shm_more_checks() or sem_more_checks() in ipc/ finds it smaller than what is asked for. It was left behind by an older \
run with another configuration (PostgreSQL with smaller shared_buffers, a monitoring agent, an Oracle instance), for such objects \
outlive their processes; or another program in the same IPC namespace (--ipc host, one pod) has made its key from the same path.",
    shows_as: &[("shmget", "EINVAL"), ("semget", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for more of an object than the one of that key has",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["segment", "set"],
    },
    see: &["shmget(2), semget(2), EINVAL", "ipc/shm.c: shm_more_checks(); ipc/sem.c: sem_more_checks()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["shmget", "semget"], Errno::EINVAL)?;
    let number = |name: &str| case.failure().number_arg(name);
    let (segment, key) = (call == "shmget", number("key")?);
    // IPC_PRIVATE always makes a new one, and a size of 0 is no size for that.
    let asked = number(if segment { "size" } else { "nsems" })?;
    if key == 0 || asked == 0 {
        return None;
    }
    let limit = if segment { &SHMMAX } else { &SEMMSL };
    let over = case.reading(limit).and_then(Reading::exceeded);
    if over == Some(true) {
        return None;
    }
    let has = case.value("ipc object size");
    // It has room, or there is none.
    if has.is_some_and(|has| has >= asked) || case.state(OBJECT).is_some_and(|s| s.value == "none") {
        return None;
    }
    let known = has.is_some() || over == Some(false);
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, known.then_some(true))?;
    // What is left are objects that exist; a limit that was not read is not ruled out.
    if has.is_none() {
        weighed.confidence = weighed.confidence.min(Confidence::Likely);
        weighed.missing.push("the object of that key: ipcs in its IPC namespace shows it".into());
    }
    let what = if segment { "segment" } else { "set of semaphores" };
    let size = |n: u64| if segment { format!("{} bytes", spaced(n)) } else { format!("{n} semaphores") };
    let less = has.map_or_else(|| "less than".into(), |has| format!("{}, not", size(has)));
    let sentence = format!(
        "A {what} with the key {:#010x} exists and has {less} the {} that {} asks for.",
        key as u32,
        size(asked),
        case.failure().task.comm
    );
    let kind = if segment { "shared memory segment" } else { "semaphore set" };
    let object = knob(KnobKind::Other, kind, format!("{:#010x}", key as u32));
    let proof = weighed.proof(case, DECIDERS, sentence, object).because(cite_state(case, OBJECT));
    Some(Proof {
        limit: has,
        usage: has.map(|_| asked),
        unit: if segment { "bytes" } else { "semaphores" }.into(),
        ..proof
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (pid, key) = (case.failure().task.pid, &proof.knob.path);
    let (list, remove) = if proof.knob.name == "semaphore set" { ("-s", "-S") } else { ("-m", "-M") };
    vec![
        look(
            format!("nsenter -t {pid} -i ipcs {list} | grep {key}; nsenter -t {pid} -i ipcs {list} -p"),
            "its size, owner, and who has it attached",
        ),
        step(
            "now",
            format!("nsenter -t {pid} -i ipcrm {remove} {key}"),
            "where nobody is attached any more (nattch 0): its program makes it anew",
            "cannot be undone: what it holds is lost",
        ),
        step(
            "for good",
            "docker run --ipc private …",
            "an IPC namespace of its own, whose objects go with the container",
            "docker run --ipc host",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, state, valued};

    fn judged(key: u64, size: u64, errno: Errno) -> Option<Confidence> {
        let args = [("key", key), ("size", size), ("shmflg", 0o666)];
        let i = valued("shmget", errno, &args, &[], vec![over(&SHMMAX, 0, 1 << 20, size)]);
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_key_that_is_taken_is_likely_and_a_size_above_the_limit_is_another_cause() {
        assert_eq!(judged(0x77, 4096, Errno::EINVAL), Some(Confidence::Likely));
        assert_eq!(judged(0x77, 1 << 21, Errno::EINVAL), None);
        assert_eq!(judged(0, 4096, Errno::EINVAL), None, "IPC_PRIVATE");
        assert_eq!(judged(0x77, 4096, Errno::EACCES), None);
    }

    #[test]
    fn the_object_itself_proves_it_or_refutes_it() {
        let seen = |size: &str| {
            let args = [("key", 0x77), ("size", 8192), ("shmflg", 0o666)];
            let mut i = valued("shmget", Errno::EINVAL, &args, &[], vec![over(&SHMMAX, 0, 1 << 20, 8192)]);
            i.facts.push(state("ipc object size", "key 0x00000077", size));
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.limit))
        };
        assert_eq!(seen("4096"), Some((Confidence::Proven, Some(4096))));
        assert_eq!(seen("8192"), None);
    }
}
