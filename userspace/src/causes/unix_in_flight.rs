//! A user has sent too many descriptors that nobody received.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::descriptors::IN_FLIGHT;
use crate::limits::rlimits::NOFILE;
use crate::model::{Confidence, Errno, Remedy};

const DECIDERS: &[&str] = &["too_many_unix_fds", "unix_attach_fds", "unix_prepare_fpl"];

const CEILING: Ceiling = Ceiling {
    limit: &IN_FLIGHT,
    deciders: DECIDERS,
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
/// Of one of these the kernel asks nothing (`too_many_unix_fds()`).
const SYS_ADMIN: u64 = 1 << 21;
const SYS_RESOURCE: u64 = 1 << 24;
/// `SCM_RIGHTS` (linux/socket.h).
const SCM_RIGHTS: u32 = 1;

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-in-flight",
    title: "a user has sent too many descriptors that nobody received (RLIMIT_NOFILE)",
    about: "\
sendmsg(2) with SCM_RIGHTS fails with ETOOMANYREFS, \"Too many references: cannot splice\". Descriptors that were sent over unix
sockets and not received yet count for their sender's user, in all its processes and containers (user namespaces do not split
it); too_many_unix_fds() compares them with RLIMIT_NOFILE of the sender, unless it has CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the
first user namespace.

It surprises because the process has few open files, and because the receiver, who does not read (a compositor, a D-Bus or
systemd fd store, a proxy), is the disease, while the sender gets the error.",
    shows_as: &[("sendmsg", "ETOOMANYREFS"), ("sendmmsg", "ETOOMANYREFS")],
    deciders: DECIDERS,
    reads: &[&IN_FLIGHT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sends descriptors to itself as an ordinary user with a low RLIMIT_NOFILE, and receives none",
        risk: "none",
        variants: &["descriptors"],
    },
    see: &[
        "unix(7), SCM_RIGHTS, ETOOMANYREFS",
        "getrlimit(2), RLIMIT_NOFILE",
        "net/unix/af_unix.c: too_many_unix_fds(), unix_attach_fds(); net/core/scm.c: __scm_send()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, ETOOMANYREFS)?;
    let elsewhere = case.failure().socket().is_some_and(|s| s.family != libc::AF_UNIX as u32);
    if elsewhere || case.capable(SYS_ADMIN | SYS_RESOURCE) == Some(true) {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let (used, most) = judged.numbers();
    let counted = judged.reached.is_some();
    let sentence = match counted {
        true => format!(
            "The user has {used} descriptors in flight over unix sockets, and RLIMIT_NOFILE of the sender allows {most}."
        ),
        false => format!(
            "User {} has more descriptors on their way through unix sockets than RLIMIT_NOFILE of {} allows; whoever \
             should receive them does not.",
            case.failure().task.uid,
            case.failure().task.comm
        ),
    };
    let mut proof = judged.proof(case, &CEILING, sentence);
    (proof.knob.name, proof.knob.path) = (NOFILE.id.into(), NOFILE.path());
    // The other reason are sockets that were sent through sockets, more than four deep (MAX_RECURSION_LEVEL).
    let rights = Some((libc::SOL_SOCKET as u32, SCM_RIGHTS));
    if case.failure().socket().and_then(|s| s.control_kind) == rights {
        proof.evidence.push("at that instant the message carried SCM_RIGHTS".into());
        if !counted {
            proof.confidence = proof.confidence.max(Confidence::Likely);
        }
    }
    Some(proof)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let mut all = vec![remedies::look(
        "ss -xap",
        "sockets whose receive queue (Recv-Q) stands still: their owner does not read",
    )];
    let old = proof.limit.map_or_else(|| "OLD".into(), |most| most.to_string());
    all.push(remedies::step(
        "now",
        &format!("prlimit --pid {pid} --nofile=65536:65536"),
        "for that process, which may then have more in flight, too",
        &format!("prlimit --pid {pid} --nofile={old}"),
    ));
    let double = proof.limit.unwrap_or(1024).saturating_mul(2).to_string();
    all.extend(remedies::rlimit("NOFILE", "-n", &double, "raises what may be in flight, too"));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::{judge_with, over, valued};
    use crate::model::{Reading, Socket};

    fn judged(call: &str, errno: Errno, reading: Reading) -> Option<Confidence> {
        let i = valued(call, errno, &[], &[], vec![reading]);
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn an_overflow_at_that_instant_is_proven_and_room_refutes_it() {
        let full = over(&IN_FLIGHT, 9, 9, 1);
        assert_eq!(judged("sendmsg", ETOOMANYREFS, full), Some(Confidence::Proven));
        assert_eq!(judged("sendmsg", ETOOMANYREFS, over(&IN_FLIGHT, 3, 9, 1)), None);
    }

    #[test]
    fn without_a_count_a_message_with_descriptors_is_likely_for_who_is_not_exempt() {
        let rights =
            Socket { family: 1, kind: 1, control: 20, control_kind: Some((1, 1)), ..Socket::default() };
        let s = || scene("sendmsg", libc::ETOOMANYREFS).with(rights.clone());
        let found = s().capabilities(0).judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Likely, "RLIMIT_NOFILE"));
        let bare = scene("sendmsg", libc::ETOOMANYREFS).socket(libc::AF_UNIX, 1).capabilities(0);
        assert_eq!(bare.judge(&CAUSE).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn another_errno_or_call_is_not_claimed() {
        for (call, errno) in [("sendmsg", Errno::ENOENT), ("getpid", ETOOMANYREFS)] {
            assert_eq!(judged(call, errno, over(&IN_FLIGHT, 9, 9, 1)), None, "{call}");
        }
        assert!(scene("sendmsg", libc::EMFILE).socket(libc::AF_UNIX, 1).judge(&CAUSE).is_none());
    }
}
