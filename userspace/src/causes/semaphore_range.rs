//! A System V semaphore would go past the largest value there is, or is not one of its set.

use super::case::claim::{self, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const ERANGE: Errno = Errno(libc::ERANGE);
const EFBIG: Errno = Errno(libc::EFBIG);
const OPERATIONS: &[&str] = &["semop", "semtimedop"];
const DECIDERS: &[&str] = &[
    "perform_atomic_semop",
    "perform_atomic_semop_slow",
    "semctl_setval",
    "semctl_main",
    "__do_semtimedop",
    "do_semtimedop",
];
const CALLERS: &[&str] = &[
    "ksys_semctl",
    "__x64_sys_semctl",
    "__x64_sys_semop",
    "__x64_sys_semtimedop",
    "ksys_semtimedop",
    "__do_sys_semctl",
];
/// `SEMVMX`, which is `SEMAEM`, too (include/uapi/linux/sem.h).
const MOST: u64 = 32_767;
/// `SETVAL`, `SETALL` (include/uapi/linux/sem.h).
const SETVAL: u64 = 16;

pub(super) static CAUSE: Cause = Cause {
    slug: "semaphore-range",
    title: "the semaphore's value goes past 32767, or its number past its set",
    about: "\
semctl(2) with SETVAL or SETALL, or semop(2), fails with ERANGE, \"Numerical result out of range\": a System V semaphore holds \
0 to 32767 (SEMVMX, a constant of ipc/sem.c), and what a process is to get back at its end (SEM_UNDO) no more either way. semop(2) \
says EFBIG, \"File too large\", for the number of a semaphore that its set does not have. No sysctl raises either.

It surprises because the errnos speak of results and files. A value that grows means that somebody posts and nobody waits: often \
a semaphore of a crashed run that still exists, as sets outlive their processes.",
    shows_as: &[("semctl", "ERANGE"), ("semop", "ERANGE"), ("semtimedop", "ERANGE"), ("semop", "EFBIG"), ("semtimedop", "EFBIG")],
    deciders: &["semctl_setval", "perform_atomic_semop", "perform_atomic_semop_slow"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sets a semaphore above the largest value, posts one past it, and names one that is not in its set",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["set", "post", "number"],
    },
    see: &["semctl(2), ERANGE; semop(2), ERANGE, EFBIG", "ipc/sem.c: semctl_setval(), semctl_main(), perform_atomic_semop(), __do_semtimedop()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let posted = case.denied(OPERATIONS, ERANGE).is_some();
    let number = case.denied(OPERATIONS, EFBIG).is_some();
    let set = case.denied(&["semctl"], ERANGE).is_some();
    if !(posted || number || set) {
        return None;
    }
    let op = case.failure().number_arg("op").map(|op| op & 0xff);
    let value = case
        .failure()
        .number_arg("arg")
        .map(|value| value as u32 as i32)
        .filter(|_| set && op == Some(SETVAL));
    let over = value.map(|value| !(0..=MOST as i32).contains(&value));
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, over)?;
    if over.is_none() && weighed.confidence == Confidence::Possible {
        // The kernel has no other reason for these errnos here.
        weighed.confidence = Confidence::Likely;
        weighed.missing = vec!["the operations, which the caller passed by pointer".into()];
    }
    let who = &case.failure().task.comm;
    let id = case.failure().number_arg("semid").map_or_else(String::new, |id| format!(" {id}"));
    let sentence = match (value, number) {
        (Some(value), _) => {
            format!("{who} wants a semaphore of set{id} to be {value}; 0 to {MOST} is what one holds.")
        }
        (None, true) => format!("{who} names a semaphore that set{id} does not have."),
        (None, false) => format!("A semaphore of set{id} would go past {MOST}, the largest value there is."),
    };
    let name = if number { "number of semaphores in the set" } else { "SEMVMX" };
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, name, ""));
    if !number {
        proof.limit = Some(MOST);
        proof.usage = value.and_then(|value| u64::try_from(value).ok());
        proof.evidence.extend(value.map(|value| format!("the call asked for {value}")));
    }
    Some(proof)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let (pid, id) = (case.failure().task.pid, case.failure().number_arg("semid").unwrap_or(0));
    vec![
        look(
            format!("nsenter -t {pid} -i ipcs -s -i {id}"),
            "values of the set, and who acted on each last: the one that no longer waits",
        ),
        step(
            "now",
            format!("nsenter -t {pid} -i ipcrm -s {id}"),
            "where it was left behind by a run that is over; its program makes it anew",
            "cannot be undone: what was counted is lost",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};

    fn judged(call: &str, errno: Errno, op: u64, arg: u64) -> Option<Confidence> {
        let i = valued(call, errno, &[("semid", 3), ("op", op), ("arg", arg)], &[], vec![]);
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_value_above_the_largest_is_proven_and_what_is_passed_by_pointer_is_likely() {
        assert_eq!(judged("semctl", ERANGE, SETVAL, 40_000), Some(Confidence::Proven));
        assert_eq!(judged("semctl", ERANGE, SETVAL, u64::MAX), Some(Confidence::Proven), "negative");
        assert_eq!(judged("semctl", ERANGE, 17, 0x7fff_0000), Some(Confidence::Likely));
        assert_eq!(judged("semop", ERANGE, 0, 0), Some(Confidence::Likely));
        assert_eq!(judged("semop", EFBIG, 0, 0), Some(Confidence::Likely));
    }

    #[test]
    fn a_value_that_fits_and_other_errnos_are_not_claimed() {
        assert_eq!(judged("semctl", ERANGE, SETVAL, 5), None);
        assert_eq!(judged("semop", Errno(libc::E2BIG), 0, 0), None);
        assert_eq!(judged("write", EFBIG, 0, 0), None);
    }
}
