//! System V message queues: their number, the size of a message, the bytes of a queue.

use super::case::{
    ceiling::Ceiling,
    remedies,
    several::{self, Row},
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::ipc::{MSGMAX, MSGMNB, MSGMNI};
use crate::model::{Errno, Remedy};

const ROWS: &[Row] = &[
    Row {
        ceiling: Ceiling {
            limit: &MSGMNI,
            deciders: &["ipc_addid"],
            callers: &["newque", "ipcget", "ipcget_new", "ipcget_public", "ksys_msgget", "__x64_sys_msgget"],
        },
        calls: &["msgget"],
        errno: Errno::ENOSPC,
        words: "message queues are in use",
    },
    Row {
        ceiling: Ceiling {
            limit: &MSGMAX,
            deciders: &["do_msgsnd"],
            callers: &["ksys_msgsnd", "__x64_sys_msgsnd", "__do_sys_msgsnd"],
        },
        calls: &["msgsnd"],
        errno: Errno::EINVAL,
        words: "bytes were to be sent in one message",
    },
    Row {
        ceiling: Ceiling {
            limit: &MSGMNB,
            deciders: &["do_msgsnd"],
            callers: &["ksys_msgsnd", "__x64_sys_msgsnd", "__do_sys_msgsnd"],
        },
        calls: &["msgsnd"],
        errno: Errno::EAGAIN,
        words: "bytes were to be put into one queue",
    },
];

pub(super) static CAUSE: Cause = Cause {
    slug: "kernel-msg",
    title: "System V message queues are used up (kernel.msgmni, msgmax, msgmnb)",
    about: "\
msgget(2) fails with ENOSPC, \"No space left on device\", and no disk is full; msgsnd(2) with EINVAL for a message above kernel.msgmax,
or with EAGAIN (IPC_NOWAIT) because the queue has no room: do_msgsnd() in ipc/msg.c compares the bytes in the queue with what
it was made for, kernel.msgmnb. ipc_addid() in ipc/util.c compares the number of queues with kernel.msgmni. Each IPC
namespace has its own.

It surprises because queues and their messages outlive their processes, and because raising msgmnb changes no queue that exists.",
    shows_as: &[("msgget", "ENOSPC"), ("msgsnd", "EAGAIN"), ("msgsnd", "EINVAL")],
    deciders: &["ipc_addid", "do_msgsnd"],
    reads: &[&MSGMAX, &MSGMNB, &MSGMNI],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers the three in an IPC namespace of its own",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["queues", "message", "queue"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html#msgmax-msgmnb-and-msgmni",
        "ipc/msg.c: do_msgsnd(); ipc/util.c: ipc_addid()",
        "msgget(2), msgop(2), sysvipc(7)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    several::convict(case, ROWS)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit = [&MSGMNI, &MSGMAX, &MSGMNB].into_iter().find(|l| l.id == proof.knob.name).unwrap_or(&MSGMNI);
    let mut all = remedies::double(limit, proof, "for this IPC namespace; queues that exist keep their size");
    all.push(remedies::look("ipcs -q -p; ipcs -q", "queues that nobody reads: ipcrm -q ID removes one"));
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
        assert_eq!(judged("msgget", Errno::ENOSPC, over(&MSGMNI, 1, 1, 1)), Some(Confidence::Proven));
        assert_eq!(judged("msgsnd", Errno::EINVAL, over(&MSGMAX, 0, 10, 11)), Some(Confidence::Proven));
        assert_eq!(judged("msgsnd", Errno::EAGAIN, over(&MSGMNB, 0, 64, 100)), Some(Confidence::Proven));
    }

    #[test]
    fn room_or_another_errno_is_not_claimed() {
        assert_eq!(judged("msgget", Errno::ENOSPC, over(&MSGMNI, 0, 1, 1)), None);
        assert_eq!(judged("msgsnd", Errno::EAGAIN, over(&MSGMNI, 1, 1, 1)), None);
    }
}
