//! A message does not go into the buffer of the one who wants to take it out of its queue.

use super::case::claim::{self, knob, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, spaced};

const DECIDERS: &[&str] = &["do_msgrcv", "do_mq_timedreceive"];
const CALLERS: &[&str] = &[
    "ksys_msgrcv",
    "__x64_sys_msgrcv",
    "__do_sys_msgrcv",
    "__x64_sys_mq_timedreceive",
    "__do_sys_mq_timedreceive",
];
/// What the queue was made for, as the probe read it.
const LONGEST: &str = "mq_msgsize of the queue";

pub(super) static CAUSE: Cause = Cause {
    slug: "receive-buffer",
    title: "the buffer is smaller than a message of the queue",
    about: "\
mq_receive(3) fails with EMSGSIZE, \"Message too long\", although nothing is sent: do_mq_timedreceive() in ipc/mqueue.c wants room for \
the longest message that the queue was made for (mq_msgsize, 8192 bytes where mq_open(3) gave no attributes), however short the one is \
that waits. msgrcv(2) of a System V queue fails with E2BIG, \"Argument list too long\", where the message that is next is longer than \
the buffer: do_msgrcv() in ipc/msg.c leaves it in the queue, so that every further call meets it again, unless the caller has it cut \
(MSG_NOERROR).

Both come from two programs that were built with different sizes, or from a queue that is still there from an older version, and \
outlived it.",
    shows_as: &[("mq_timedreceive", "EMSGSIZE"), ("msgrcv", "E2BIG")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "reads a queue of its own into a buffer that is too small",
        risk: "none: it happens in an IPC namespace of its own",
        variants: &["posix", "system-v"],
    },
    see: &[
        "mq_receive(3), EMSGSIZE; msgop(2), E2BIG",
        "ipc/mqueue.c: do_mq_timedreceive(); ipc/msg.c: do_msgrcv()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let posix = case.denied(&["mq_timedreceive"], Errno(libc::EMSGSIZE)).is_some();
    if !posix && case.denied(&["msgrcv"], Errno(libc::E2BIG)).is_none() {
        return None;
    }
    let room = case.failure().number_arg(if posix { "msg_len" } else { "msgsz" })?;
    let longest = case.value(LONGEST).filter(|_| posix);
    if longest.is_some_and(|longest| longest <= room) {
        return None;
    }
    let who = &case.failure().task.comm;
    let sentence = match (posix, longest) {
        (true, Some(longest)) => format!(
            "The queue was made for messages of {} bytes, and the buffer of {who} takes {}.",
            spaced(longest),
            spaced(room)
        ),
        (true, None) => format!(
            "The queue was made for longer messages than the {} bytes that the buffer of {who} takes.",
            spaced(room)
        ),
        (false, _) => format!(
            "The next message is longer than the {} bytes that the buffer of {who} takes, and stays in the queue.",
            spaced(room)
        ),
    };
    // Neither call says this errno for anything else.
    let weighed = claim::weigh(case, DECIDERS, CALLERS, Some(true))?;
    let knob = knob(KnobKind::Other, if posix { "mq_msgsize" } else { "msgsz" }, "");
    let seen = longest.map(|n| format!("at that instant mq_msgsize of the queue was {}", spaced(n)));
    let proof = weighed.proof(case, DECIDERS, sentence, knob).because(seen);
    Some(Proof { limit: Some(room), usage: longest, unit: "bytes".into(), ..proof })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    if proof.knob.name == "mq_msgsize" {
        return vec![
            step(
                "now",
                format!(
                    "nsenter -t {pid} -m -i rm /dev/mqueue/NAME, and start the program that makes the queue"
                ),
                "the queue is made anew with the sizes of this version; what waits in it is lost",
                "cannot be undone",
            ),
            step(
                "for good",
                "ask mq_getattr(3) for mq_msgsize, and take a buffer of that size",
                "works whoever made the queue",
                "none needed",
            ),
        ];
    }
    vec![step(
        "for good",
        "call msgrcv(2) with a buffer of kernel.msgmax bytes, or with MSG_NOERROR",
        "no message is longer than kernel.msgmax; with MSG_NOERROR the rest of a longer one is lost",
        "none needed",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Confidence;

    fn posix(room: u64, longest: Option<u64>, errno: i32) -> Option<(Confidence, Option<u64>)> {
        let values: Vec<(&str, u64)> = longest.map(|n| (LONGEST, n)).into_iter().collect();
        let i = valued("mq_timedreceive", Errno(errno), &[("msg_len", room)], &values, vec![]);
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.usage))
    }

    #[test]
    fn a_buffer_below_what_the_queue_was_made_for() {
        assert_eq!(posix(10, Some(512), libc::EMSGSIZE), Some((Confidence::Proven, Some(512))));
        assert_eq!(posix(10, None, libc::EMSGSIZE), Some((Confidence::Proven, None)));
        assert_eq!(posix(512, Some(512), libc::EMSGSIZE), None);
        assert_eq!(posix(10, Some(512), libc::EAGAIN), None);
    }

    #[test]
    fn a_message_that_stays_in_its_queue() {
        let of = |errno: i32| {
            let i = valued("msgrcv", Errno(errno), &[("msgsz", 10)], &[], vec![]);
            judge_with(&CAUSE, &i).map(|f| f.sentence)
        };
        assert!(of(libc::E2BIG).unwrap().contains("10 bytes"));
        assert_eq!(of(libc::ENOMSG), None);
    }
}
