//! A user may not have more bytes in POSIX message queues.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::MSGQUEUE;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &MSGQUEUE,
    deciders: &["mqueue_get_inode"],
    callers: &[
        "mqueue_create_attr",
        "vfs_mkobj",
        "do_mq_open",
        "__x64_sys_mq_open",
        "inc_rlimit_ucounts",
        "prepare_open",
    ],
};

const CALLS: &[&str] = &["mq_open"];

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-msgqueue",
    title: "a user may not have more bytes in POSIX message queues (RLIMIT_MSGQUEUE)",
    about: "\
mq_open(3) fails with EMFILE, \"Too many open files\", although hardly any file is open: mqueue_get_inode() in ipc/mqueue.c charges the
whole size of a new queue, used or not, to the user, and compares the sum with RLIMIT_MSGQUEUE, 819200 bytes by default. All
containers that run as that user share it (before 5.14 also across user namespaces).",
    shows_as: &[("mq_open", "EMFILE")],
    deciders: &["mqueue_get_inode"],
    reads: &[&MSGQUEUE],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers its own RLIMIT_MSGQUEUE and makes a queue",
        risk: "none: the limit is that of a process which ends at once",
        variants: &[],
    },
    see: &[
        "getrlimit(2), RLIMIT_MSGQUEUE",
        "ipc/mqueue.c: mqueue_get_inode()",
        "mq_overview(7)",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EMFILE)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence =
        format!("The queues of the user hold or would take {used} bytes, and RLIMIT_MSGQUEUE allows {most}.");
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    // `MQ_BYTES_MAX` (include/uapi/linux/mqueue.h): no less than what everybody has who did not lower it.
    let enough = remedies::enough(case.reading(&MSGQUEUE), proof).max(819_200).to_string();
    let mut all = remedies::rlimit("MSGQUEUE", "-q", &enough, "for the container's processes");
    all.push(remedies::look("ls -l /dev/mqueue", "queues that nobody unlinked"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Confidence, Reading};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        judge_with(&CAUSE, &valued(call, errno, &[], &[], vec![reading])).map(|f| f.confidence)
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&MSGQUEUE, 0, 1000, 82880);
        assert_eq!(judged("mq_open", Errno::EMFILE, full), Some(Confidence::Proven));
        assert_eq!(judged("mq_open", Errno::EMFILE, over(&MSGQUEUE, 0, 819200, 82880)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("mq_open", Errno::EMFILE, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("mq_open", Errno::ENOENT), ("getpid", Errno::EMFILE)] {
            assert_eq!(judged(call, errno, over(&MSGQUEUE, 0, 1000, 82880)), None, "{call}");
        }
    }
}
