//! System V shared memory: segments, pages, or the size of one.

use super::case::{
    ceiling::Ceiling,
    remedies,
    several::{self, Row},
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::ipc::{SHMALL, SHMMAX, SHMMNI};
use crate::model::{Errno, Remedy};

const ROWS: &[Row] = &[
    Row {
        ceiling: Ceiling {
            limit: &SHMMNI,
            deciders: &["ipc_addid"],
            callers: &["newseg", "ipcget", "ipcget_new", "ipcget_public", "ksys_shmget", "__x64_sys_shmget"],
        },
        calls: &["shmget"],
        errno: Errno::ENOSPC,
        words: "shared memory segments are in use",
    },
    Row {
        ceiling: Ceiling {
            limit: &SHMALL,
            deciders: &["newseg"],
            callers: &[
                "ipc_addid",
                "ipcget",
                "ipcget_new",
                "ipcget_public",
                "ksys_shmget",
                "__x64_sys_shmget",
            ],
        },
        calls: &["shmget"],
        errno: Errno::ENOSPC,
        words: "pages of shared memory are in use",
    },
    Row {
        ceiling: Ceiling {
            limit: &SHMMAX,
            deciders: &["newseg"],
            callers: &["ipcget", "ipcget_new", "ipcget_public", "ksys_shmget", "__x64_sys_shmget"],
        },
        calls: &["shmget"],
        errno: Errno::EINVAL,
        words: "bytes were asked for in one segment",
    },
];

pub(super) static CAUSE: Cause = Cause {
    slug: "kernel-shm",
    title: "System V shared memory is used up (kernel.shmmni, shmall, shmmax)",
    about: "\
shmget(2) fails with ENOSPC, \"No space left on device\", or EINVAL; no disk is full, and neither is /dev/shm. PostgreSQL, Oracle and
SAP use it. newseg() in ipc/shm.c compares the pages of all segments with kernel.shmall and the size of one with
kernel.shmmax (EINVAL); ipc_addid() in ipc/util.c their number with kernel.shmmni. Each IPC namespace has its own.

It surprises because segments outlive their processes, and because docker's --shm-size is about another kind, the tmpfs.",
    shows_as: &[("shmget", "EINVAL"), ("shmget", "ENOSPC")],
    deciders: &["ipc_addid", "newseg"],
    reads: &[&SHMALL, &SHMMAX, &SHMMNI],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers the three in an IPC namespace of its own",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["segments", "pages", "size"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#shmall",
        "ipc/shm.c: newseg(); ipc/util.c: ipc_addid()",
        "shmget(2), sysvipc(7)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    several::convict(case, ROWS)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = [&SHMMNI, &SHMALL, &SHMMAX].into_iter().find(|l| l.id == proof.knob.name).unwrap_or(&SHMMNI);
    let mut all = remedies::double(limit, proof, "for this IPC namespace (docker run --sysctl …)");
    all.push(remedies::look(
        "ipcs -m -p; ipcs -m -u",
        "segments whose makers are gone: ipcrm -m ID removes one",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_alone, over};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_alone(&CAUSE, call, errno, reading)
    }

    #[test]
    fn each_overflow_is_proven() {
        assert_eq!(judged("shmget", Errno::ENOSPC, over(&SHMMNI, 1, 1, 1)), Some(Confidence::Proven));
        assert_eq!(judged("shmget", Errno::ENOSPC, over(&SHMALL, 0, 2, 4)), Some(Confidence::Proven));
        assert_eq!(judged("shmget", Errno::EINVAL, over(&SHMMAX, 0, 10, 11)), Some(Confidence::Proven));
    }

    #[test]
    fn room_or_another_errno_is_not_claimed() {
        assert_eq!(judged("shmget", Errno::ENOSPC, over(&SHMALL, 0, 4, 4)), None);
        assert_eq!(judged("shmget", Errno::EINVAL, over(&SHMALL, 0, 2, 4)), None);
        assert_eq!(judged("semget", Errno::ENOSPC, over(&SHMMNI, 1, 1, 1)), None);
    }
}
