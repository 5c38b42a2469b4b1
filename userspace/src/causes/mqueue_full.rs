//! A message that does not go into its POSIX queue: the queue is full, or was made for smaller ones.

use super::case::{
    ceiling::Ceiling,
    remedies,
    several::{self, Row},
    switch::FILTER,
};
use super::{Case, Cause, Fault, Proof};
use crate::limits::ipc::{MQ_HELD, MQ_LENGTH};
use crate::model::{Errno, Remedy};

const CALLERS: &[&str] = &["__x64_sys_mq_timedsend", "__do_sys_mq_timedsend", "do_mq_timedsend", "wq_sleep"];

const fn full(errno: i32) -> Row {
    Row {
        ceiling: Ceiling { limit: &MQ_HELD, deciders: &["do_mq_timedsend"], callers: CALLERS },
        calls: &["mq_timedsend"],
        errno: Errno(errno),
        words: "messages wait in the queue",
    }
}

const ROWS: &[Row] = &[
    full(libc::EAGAIN),
    full(libc::ETIMEDOUT),
    Row {
        ceiling: Ceiling { limit: &MQ_LENGTH, deciders: &["do_mq_timedsend"], callers: CALLERS },
        calls: &["mq_timedsend"],
        errno: Errno(libc::EMSGSIZE),
        words: "bytes are in the message",
    },
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mqueue-full",
    title: "the POSIX message queue is full, or takes smaller messages only",
    about: "\
mq_send(3) fails with EAGAIN, \"Resource temporarily unavailable\", on a queue that was opened with O_NONBLOCK; \
mq_timedsend(3) with ETIMEDOUT, \"Connection timed out\", although no network is at work; both with EMSGSIZE, \"Message \
too long\", for more bytes than mq_msgsize. do_mq_timedsend() in ipc/mqueue.c compares the messages that wait with the \
queue's mq_maxmsg, which was settled by the mq_open(3) that made it: 10 messages of 8192 bytes where it gave no \
attributes.

It surprises because nothing is lost or broken: whoever should read the queue does not, or slower than it is written, and \
queues survive the processes that made them. Without O_NONBLOCK the writer waits in silence. Raising fs.mqueue.msg_max \
changes no queue that is there.",
    shows_as: &[("mq_timedsend", "EAGAIN"), ("mq_timedsend", "ETIMEDOUT"), ("mq_timedsend", "EMSGSIZE")],
    deciders: &["do_mq_timedsend"],
    reads: &[&MQ_HELD, &MQ_LENGTH],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "fills a queue for two messages of 128 bytes, or sends it a longer one",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["full", "timeout", "length"],
    },
    see: &["mq_send(3), EAGAIN, ETIMEDOUT, EMSGSIZE; mq_overview(7)", "ipc/mqueue.c: do_mq_timedsend()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    several::convict(case, ROWS)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let mut all = vec![remedies::look(
        "grep -l . /dev/mqueue/* | xargs grep QSIZE; lsof /dev/mqueue",
        "bytes that wait in each queue, and who has it open: the reader that is missing or slow",
    )];
    let needs = match proof.knob.name == MQ_HELD.id {
        true => format!("mq_maxmsg above {}", proof.limit.unwrap_or(MQ_HELD.default)),
        false => format!("mq_msgsize above {}", proof.limit.unwrap_or(MQ_LENGTH.default)),
    };
    all.push(remedies::step(
        "for good",
        &format!("rm /dev/mqueue/NAME; make it anew by mq_open(3) with {needs}"),
        "what waits in it is lost; the new size may need a higher fs.mqueue.msg_max or msgsize_max, and RLIMIT_MSGQUEUE",
        &format!("the same with the old attributes (nsenter -t {pid} -m -i, in a container)"),
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_alone, over};
    use crate::model::{Confidence, Reading};

    fn judged(errno: i32, reading: Reading) -> Option<Confidence> {
        judge_alone(&CAUSE, "mq_timedsend", Errno(errno), reading)
    }

    #[test]
    fn a_full_queue_and_a_long_message_are_proven() {
        assert_eq!(judged(libc::EAGAIN, over(&MQ_HELD, 10, 10, 1)), Some(Confidence::Proven));
        assert_eq!(judged(libc::ETIMEDOUT, over(&MQ_HELD, 10, 10, 1)), Some(Confidence::Proven));
        assert_eq!(judged(libc::EMSGSIZE, over(&MQ_LENGTH, 0, 128, 129)), Some(Confidence::Proven));
    }

    #[test]
    fn room_and_other_errnos_are_not_claimed() {
        assert_eq!(judged(libc::EAGAIN, over(&MQ_HELD, 9, 10, 1)), None);
        assert_eq!(judged(libc::EMSGSIZE, over(&MQ_LENGTH, 0, 128, 128)), None);
        assert_eq!(judged(libc::EBADF, over(&MQ_HELD, 10, 10, 1)), None);
    }
}
