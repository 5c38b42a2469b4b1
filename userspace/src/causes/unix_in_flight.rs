//! A user has sent too many descriptors that nobody received.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::IN_FLIGHT;
use crate::model::{Errno, Remedy};

const CEILING: Ceiling = Ceiling {
    limit: &IN_FLIGHT,
    deciders: &["too_many_unix_fds", "unix_attach_fds", "unix_prepare_fpl"],
    callers: &[
        "unix_scm_to_skb",
        "unix_stream_sendmsg",
        "unix_dgram_sendmsg",
        "____sys_sendmsg",
        "___sys_sendmsg",
        "sock_sendmsg",
        "__sock_sendmsg",
        "scm_fp_copy",
        "__scm_send",
    ],
};

const CALLS: &[&str] = &["sendmsg", "sendmmsg"];

const ETOOMANYREFS: Errno = Errno(libc::ETOOMANYREFS);

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-in-flight",
    title: "a user has sent too many descriptors that nobody received (RLIMIT_NOFILE)",
    about: "\
sendmsg(2) with SCM_RIGHTS fails with ETOOMANYREFS, \"Too many references: cannot splice\". Descriptors that were sent over unix
sockets and not received yet count for their sender's user, in all its processes and containers; too_many_unix_fds() compares
them with RLIMIT_NOFILE of the sender, unless it has CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the first user namespace.

It surprises because the receiver, who does not read, is the disease, and the sender gets the error.",
    shows_as: &[("sendmsg", "ETOOMANYREFS"), ("sendmmsg", "ETOOMANYREFS")],
    deciders: &["too_many_unix_fds", "unix_attach_fds", "unix_prepare_fpl"],
    reads: &[&IN_FLIGHT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("it takes a user of its own and a thousand descriptors in flight; the limit is that of RLIMIT_NOFILE, which has a fault"),
    see: &[
        "unix(7), ETOOMANYREFS",
        "net/unix/af_unix.c: unix_attach_fds()",
        "net/core/scm.c: __scm_send()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, ETOOMANYREFS)?;
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let sentence = format!(
        "The user has {used} descriptors in flight over unix sockets, and RLIMIT_NOFILE of the sender allows {most}."
    );
    let mut proof = judged.proof(case, &CEILING, sentence);
    proof.knob.name = "RLIMIT_NOFILE".into();
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut all =
        vec![remedies::look("ss -xp", "sockets whose receive queue stands still: their owner does not read")];
    let double = proof.limit.unwrap_or(1024).saturating_mul(2).to_string();
    all.extend(remedies::rlimit("NOFILE", "-n", &double, "raises what may be in flight, too"));
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
        let full = over(&IN_FLIGHT, 9, 9, 1);
        assert_eq!(judged("sendmsg", ETOOMANYREFS, full), Some(Confidence::Proven));
        assert_eq!(judged("sendmsg", ETOOMANYREFS, over(&IN_FLIGHT, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_reading_it_is_only_possible() {
        let i = valued("sendmsg", ETOOMANYREFS, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("sendmsg", Errno::ENOENT), ("getpid", ETOOMANYREFS)] {
            assert_eq!(judged(call, errno, over(&IN_FLIGHT, 9, 9, 1)), None, "{call}");
        }
    }
}
