//! POSIX message queues: how many, for how many messages, of which size.

use super::case::{
    ceiling::Ceiling,
    remedies,
    several::{self, Row},
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::ipc::{MQ_MSG, MQ_QUEUES, MQ_SIZE};
use crate::model::{Errno, Remedy};

const ROWS: &[Row] = &[
    Row {
        ceiling: Ceiling {
            limit: &MQ_MSG,
            deciders: &["mqueue_get_inode", "mq_attr_ok"],
            callers: &["mqueue_create_attr", "vfs_mkobj", "do_mq_open", "__x64_sys_mq_open", "prepare_open"],
        },
        calls: &["mq_open"],
        errno: Errno::EINVAL,
        words: "messages were asked for in one queue",
    },
    Row {
        ceiling: Ceiling {
            limit: &MQ_SIZE,
            deciders: &["mqueue_get_inode", "mq_attr_ok"],
            callers: &["mqueue_create_attr", "vfs_mkobj", "do_mq_open", "__x64_sys_mq_open", "prepare_open"],
        },
        calls: &["mq_open"],
        errno: Errno::EINVAL,
        words: "bytes were asked for in one message",
    },
    Row {
        ceiling: Ceiling {
            limit: &MQ_QUEUES,
            deciders: &["mqueue_create_attr"],
            callers: &["vfs_mkobj", "do_mq_open", "__x64_sys_mq_open", "prepare_open", "mqueue_create"],
        },
        calls: &["mq_open"],
        errno: Errno::ENOSPC,
        words: "message queues are in use",
    },
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mqueue-limits",
    title: "a POSIX message queue is too large, or one too many (fs.mqueue.*)",
    about: "\
mq_open(3) fails with EINVAL, \"Invalid argument\", or with ENOSPC, \"No space left on device\", and no disk is full. mq_attr_ok() in
ipc/mqueue.c compares mq_maxmsg with fs.mqueue.msg_max (10 by default) and mq_msgsize with fs.mqueue.msgsize_max (8192);
mqueue_create_attr() compares the number of queues with fs.mqueue.queues_max. Each IPC namespace has its own, and who has
CAP_SYS_RESOURCE in the first user namespace is exempt: what works on the host fails in a container.",
    shows_as: &[("mq_open", "EINVAL"), ("mq_open", "ENOSPC")],
    deciders: &["mqueue_get_inode", "mq_attr_ok", "mqueue_create_attr"],
    reads: &[&MQ_MSG, &MQ_QUEUES, &MQ_SIZE],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for more than an IPC namespace of its own allows",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["messages", "size", "queues"],
    },
    see: &[
        "mq_overview(7), /proc interfaces",
        "ipc/mqueue.c: mq_attr_ok(), mqueue_create_attr()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    several::convict(case, ROWS)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let limit =
        [&MQ_MSG, &MQ_SIZE, &MQ_QUEUES].into_iter().find(|l| l.id == proof.knob.name).unwrap_or(&MQ_MSG);
    let mut all = remedies::double(
        limit,
        proof,
        "for this IPC namespace (docker run --sysctl …); memory is bounded by RLIMIT_MSGQUEUE",
    );
    all.push(remedies::look("ls -l /dev/mqueue", "queues that nobody unlinked"));
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
        assert_eq!(judged("mq_open", Errno::EINVAL, over(&MQ_MSG, 0, 10, 1000)), Some(Confidence::Proven));
        assert_eq!(judged("mq_open", Errno::EINVAL, over(&MQ_SIZE, 0, 8192, 8193)), Some(Confidence::Proven));
        assert_eq!(judged("mq_open", Errno::ENOSPC, over(&MQ_QUEUES, 256, 256, 1)), Some(Confidence::Proven));
    }

    #[test]
    fn room_or_another_errno_is_not_claimed() {
        assert_eq!(judged("mq_open", Errno::EINVAL, over(&MQ_MSG, 0, 10, 10)), None);
        assert_eq!(judged("mq_open", Errno::EMFILE, over(&MQ_QUEUES, 256, 256, 1)), None);
        assert_eq!(judged("openat", Errno::ENOSPC, over(&MQ_QUEUES, 256, 256, 1)), None);
    }
}
