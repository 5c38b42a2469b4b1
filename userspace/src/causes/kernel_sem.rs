//! System V semaphores: a number of kernel.sem is used up.

use super::case::{
    ceiling::Ceiling,
    remedies,
    several::{self, Row},
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::ipc::{SEMMNI, SEMMNS, SEMMSL, SEMOPM};
use crate::model::{Errno, Remedy};

const ROWS: &[Row] = &[
    Row {
        ceiling: Ceiling {
            limit: &SEMMNI,
            deciders: &["ipc_addid"],
            callers: &["newary", "ipcget", "ipcget_new", "ipcget_public", "ksys_semget", "__x64_sys_semget"],
        },
        calls: &["semget"],
        errno: Errno::ENOSPC,
        words: "semaphore sets are in use",
    },
    Row {
        ceiling: Ceiling {
            limit: &SEMMNS,
            deciders: &["newary"],
            callers: &[
                "ipc_addid",
                "ipcget",
                "ipcget_new",
                "ipcget_public",
                "ksys_semget",
                "__x64_sys_semget",
            ],
        },
        calls: &["semget"],
        errno: Errno::ENOSPC,
        words: "semaphores are in use",
    },
    Row {
        ceiling: Ceiling {
            limit: &SEMMSL,
            deciders: &["ksys_semget"],
            callers: &["__x64_sys_semget", "ipcget"],
        },
        calls: &["semget"],
        errno: Errno::EINVAL,
        words: "semaphores were asked for in one set",
    },
    Row {
        ceiling: Ceiling {
            limit: &SEMOPM,
            deciders: &["do_semtimedop", "__do_semtimedop"],
            callers: &["__x64_sys_semop", "__x64_sys_semtimedop", "ksys_semtimedop"],
        },
        calls: &["semop", "semtimedop"],
        errno: Errno(libc::E2BIG),
        words: "operations were asked for in one call",
    },
];

pub(super) static CAUSE: Cause = Cause {
    slug: "kernel-sem",
    title: "System V semaphores are used up (kernel.sem)",
    about: "\
semget(2) fails with ENOSPC, \"No space left on device\", or EINVAL, and semop(2) with E2BIG, \"Argument list too long\"; no disk is full.
Databases and web servers (PostgreSQL, Oracle, Apache) use them. kernel.sem holds four numbers: semaphores in one set (SEMMSL),
in all sets (SEMMNS), operations in one call (SEMOPM), and sets (SEMMNI). newary() in ipc/sem.c and ipc_addid() in ipc/util.c
compare them with what the IPC namespace holds.

It surprises because semaphores outlive their processes: after crashes ipcs -s shows sets that nobody uses. A container
has an IPC namespace, and these numbers, of its own unless it shares the host's.",
    shows_as: &[("semget", "ENOSPC"), ("semget", "EINVAL"), ("semop", "E2BIG"), ("semtimedop", "E2BIG")],
    deciders: &["ipc_addid", "newary", "ksys_semget", "do_semtimedop", "__do_semtimedop"],
    reads: &[&SEMMNI, &SEMMNS, &SEMMSL, &SEMOPM],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers kernel.sem in an IPC namespace of its own",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["sets", "semaphores", "set-size", "operations"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#sem",
        "ipc/sem.c: newary(), ksys_semget(); ipc/util.c: ipc_addid()",
        "semget(2), semop(2), sysvipc(7)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let mut proof = several::convict(case, ROWS)?;
    // All numbers stand in one file, which has the knob's name.
    (proof.knob.name, proof.knob.path) = ("kernel.sem".into(), "/proc/sys/kernel/sem".into());
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let place = match proof.unit.as_str() {
        "sets" => "sysctl -w kernel.sem='32000 1024000000 500 64000'",
        _ => "sysctl -w kernel.sem='64000 2048000000 1000 32000'",
    };
    vec![
        remedies::look("ipcs -s -p; ipcs -s -u", "sets whose makers are gone: ipcrm -s ID removes one"),
        remedies::step(
            "now",
            place,
            "for this IPC namespace (docker run --sysctl kernel.sem=…)",
            "write the old four numbers",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_alone, judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_alone(&CAUSE, call, errno, reading)
    }

    #[test]
    fn each_overflow_is_proven() {
        assert_eq!(judged("semget", Errno::ENOSPC, over(&SEMMNI, 2, 2, 1)), Some(Confidence::Proven));
        assert_eq!(judged("semget", Errno::ENOSPC, over(&SEMMNS, 0, 10, 11)), Some(Confidence::Proven));
        assert_eq!(judged("semget", Errno::EINVAL, over(&SEMMSL, 0, 10, 11)), Some(Confidence::Proven));
        assert_eq!(judged("semop", Errno(libc::E2BIG), over(&SEMOPM, 0, 500, 501)), Some(Confidence::Proven));
    }

    #[test]
    fn room_or_another_errno_is_not_claimed() {
        assert_eq!(judged("semget", Errno::ENOSPC, over(&SEMMNI, 1, 2, 1)), None);
        assert_eq!(judged("semget", Errno::EINVAL, over(&SEMMNI, 2, 2, 1)), None);
        assert_eq!(judged("shmget", Errno::ENOSPC, over(&SEMMNI, 2, 2, 1)), None);
    }

    #[test]
    fn the_knob_is_the_file_of_all_four() {
        let i = valued("semget", Errno::ENOSPC, &[], &[], vec![over(&SEMMNI, 2, 2, 1)]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().knob.name, "kernel.sem");
    }
}
