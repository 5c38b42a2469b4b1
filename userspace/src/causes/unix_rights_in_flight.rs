//! Too many descriptors are on their way through unix sockets.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::limits::rlimits::NOFILE;
use crate::model::{Errno, Knob, KnobKind, Remedy};

const DECIDERS: &[&str] = &["unix_attach_fds", "unix_scm_to_skb", "unix_prepare_fpl", "too_many_unix_fds"];
const ETOOMANYREFS: Errno = Errno(libc::ETOOMANYREFS);

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-rights-in-flight",
    title: "the user has too many descriptors on their way through unix sockets",
    about: "\
sendmsg(2) with SCM_RIGHTS fails with ETOOMANYREFS, \"Too many references: cannot splice\". Descriptors that were sent and
not yet received are counted per user, and unix_attach_fds() in net/unix/scm.c compares the count with the sender's
RLIMIT_NOFILE; who has CAP_SYS_RESOURCE or CAP_SYS_ADMIN is exempt.

It surprises because the process has few open files: the count is the user's, over all containers with that uid (user
namespaces do not split it), and it grows when a receiver (a compositor, a D-Bus or systemd fd store, a proxy) does not read.",
    shows_as: &[("sendmsg", "ETOOMANYREFS"), ("sendmmsg", "ETOOMANYREFS")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sends descriptors to itself as an ordinary user with a low RLIMIT_NOFILE, and receives none",
        risk: "none",
        variants: &["descriptors"],
    },
    see: &["unix(7), SCM_RIGHTS, ETOOMANYREFS", "getrlimit(2), RLIMIT_NOFILE", "net/unix/scm.c: too_many_unix_fds()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["sendmsg", "sendmmsg"], ETOOMANYREFS)?;
    if !net::is_local(case) {
        return None;
    }
    // A local socket has two reasons: the count, and sockets sent through sockets more than four deep, which is
    // for the kernel's own tests.
    let rights = case.failure().socket().and_then(|s| s.control_kind) == Some((libc::SOL_SOCKET as u32, 1));
    let exempt = [24, 21].iter().any(|bit| net::net_capable(case, *bit) == Some(true));
    let state = (rights && !exempt).then_some(true);
    let weight = net::weigh(case, DECIDERS, state, "whether the message carried descriptors")?;
    let sentence = format!(
        "User {} has more descriptors on their way through unix sockets than RLIMIT_NOFILE of {} allows; whoever should \
         receive them does not.",
        case.failure().task.uid,
        case.failure().task.comm
    );
    let knob = Knob { kind: KnobKind::Rlimit, name: NOFILE.id.into(), path: NOFILE.path() };
    let evidence =
        if rights { vec!["at that instant the message carried SCM_RIGHTS".into()] } else { vec![] };
    Some(weight.proof(sentence, knob, evidence))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("prlimit --pid {pid} --nofile=65536:65536"),
            "for that process; docker run --ulimit nofile=65536, LimitNOFILE= of the unit",
            "prlimit with the old numbers",
        ),
        net::remedy(
            "find the leak",
            "ss -xap",
            "sockets whose Recv-Q does not shrink: their owner does not receive",
            "reads only",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::{Confidence, Socket};

    #[test]
    fn a_message_with_descriptors_is_proven() {
        let rights =
            Socket { family: 1, kind: 1, control: 20, control_kind: Some((1, 1)), ..Socket::default() };
        let s = scene("sendmsg", libc::ETOOMANYREFS).with(rights).capabilities(0);
        let found = s.judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Proven, "RLIMIT_NOFILE"));
    }

    #[test]
    fn another_errno_is_not_claimed() {
        assert!(scene("sendmsg", libc::EMFILE).socket(libc::AF_UNIX, 1).judge(&CAUSE).is_none());
    }
}
