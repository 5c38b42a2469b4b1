//! The receiver of local datagrams does not read.

use super::case::ceiling::Ceiling;
use super::case::net::{self, SEND};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::network::{DGRAM_QUEUE, SNDBUF};
use crate::model::{Confidence, Errno, Remedy, spaced};

const CEILING: Ceiling = Ceiling {
    limit: &DGRAM_QUEUE,
    deciders: &["unix_dgram_sendmsg"],
    callers: &["unix_dgram_connect", "unix_wait_for_peer"],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-queue",
    title: "the receive queue of a unix datagram socket is full (net.unix.max_dgram_qlen)",
    about: "\
A non-blocking sendto(2) to a local datagram socket fails with EAGAIN, \"Resource temporarily unavailable\"; a blocking one
hangs. unix_dgram_sendmsg() in net/unix/af_unix.c finds as many messages in the receiver's queue as it takes:
net.unix.max_dgram_qlen of the network namespace when that socket was made (10 by default, 512 under systemd on the host,
but 10 in a new network namespace).

It surprises with syslog and the journal: programs lose log lines or hang as a whole when whoever reads /dev/log is slow
or stopped, and raising the sysctl does nothing for sockets that exist.",
    shows_as: &[("sendto", "EAGAIN"), ("sendmsg", "EAGAIN"), ("sendmmsg", "EAGAIN")],
    deciders: CEILING.deciders,
    reads: &[&DGRAM_QUEUE],
    rivals: &[Rival {
        name: "the sender's own buffer is full (SO_SNDBUF)",
        ruled_out_by: "bytes that it has on their way at that instant, and its SO_SNDBUF",
        stands: |case| match case.at_instant(&SNDBUF) {
            Some(r) if r.exceeded() == Some(false) => None,
            Some(_) => Some("the sender's own buffer was full as well".into()),
            None => Some("the sender's own buffer was not read".into()),
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sends to a local socket of its own that nobody reads",
        risk: "none",
        variants: &["unconnected", "connected"],
    },
    see: &["unix(7)", "https://docs.kernel.org/networking/ip-sysctl.html", "net/unix/af_unix.c: unix_dgram_sendmsg(), unix_recvq_full()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(SEND, Errno::EAGAIN)?;
    let socket = case.failure().socket()?;
    if socket.family != libc::AF_UNIX as u32 || !socket.is_datagram() {
        return None;
    }
    let room = case.at_instant(&SNDBUF).and_then(|r| r.exceeded()) == Some(false);
    let full = case.at_instant(&SNDBUF).and_then(|r| r.exceeded()) == Some(true);
    let mut judged = CEILING.judge(case)?;
    // Two things make such a socket say EAGAIN: with room in the sender's buffer it is the receiver's queue.
    if judged.reached.is_none() {
        judged.missing.clear();
        judged.confidence = match (room, case.verdict(CEILING.deciders)) {
            (true, Some(_)) => Confidence::Proven,
            (true, None) => Confidence::Likely,
            _ if full => return None,
            _ => Confidence::Possible,
        };
        if judged.confidence != Confidence::Proven {
            judged.missing.push("how many messages wait in the receiver's queue".into());
        }
    }
    let most = case.failure().task.net.and_then(|net| net.dgram_qlen);
    let to = case.failure().local_path().filter(|p| !p.is_empty()).unwrap_or("the receiver");
    let sentence = match (judged.reached.and_then(|r| r.usage), most) {
        (Some(used), _) => {
            format!("{} messages wait in the queue of the socket it sends to, and no more fit.", spaced(used))
        }
        (None, Some(most)) => format!(
            "The receive queue of {to} is full: it does not read, and net.unix.max_dgram_qlen ({most}) limits what may wait."
        ),
        (None, None) => format!("The receive queue of {to} is full: it does not read."),
    };
    let mut proof = judged.proof(case, &CEILING, sentence);
    if let Some(r) = case.at_instant(&SNDBUF).filter(|_| room) {
        proof.evidence.push(format!("the sender's own buffer had room: {}", super::case::ceiling::cite(r)));
    }
    proof.limit = proof.limit.or(most.map(u64::from));
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let old = proof.limit.unwrap_or(10);
    vec![
        net::remedy("now", "ss -xap | grep PATH", "shows who should read; start or unblock it", "reads only"),
        net::remedy(
            "for good",
            "sysctl -w net.unix.max_dgram_qlen=512",
            "for one network namespace (docker run --sysctl …), and for sockets made from then on: restart the receiver. It only buys time",
            &format!("sysctl -w net.unix.max_dgram_qlen={old}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::reading;

    #[test]
    fn room_in_the_own_buffer_leaves_the_receiver_s_queue() {
        let s = || scene("sendto", libc::EAGAIN).socket(libc::AF_UNIX, 2).path("/dev/log");
        let mut buffer = reading(&SNDBUF, 8000, 212_992);
        assert_eq!(s().reading(buffer.clone()).confidence(&CAUSE), Some(Confidence::Likely));
        let found = s().reading(buffer.clone()).decided("unix_dgram_sendmsg").judge(&CAUSE).unwrap();
        assert_eq!(
            (found.confidence, found.knob.name.as_str(), found.limit),
            (Confidence::Proven, DGRAM_QUEUE.id, Some(10))
        );
        buffer.usage = Some(212_992);
        assert!(s().reading(buffer).judge(&CAUSE).is_none());
    }

    #[test]
    fn the_queue_of_a_connected_receiver_is_proven_by_itself() {
        let s = scene("sendto", libc::EAGAIN).socket(libc::AF_UNIX, 2);
        let s = s.reading(reading(&DGRAM_QUEUE, 11, 11)).reading(reading(&SNDBUF, 0, 212_992));
        assert_eq!(s.confidence(&CAUSE), Some(Confidence::Proven));
    }

    #[test]
    fn streams_and_internet_sockets_are_not_claimed() {
        assert!(scene("sendto", libc::EAGAIN).socket(libc::AF_UNIX, 1).judge(&CAUSE).is_none());
        assert!(scene("sendto", libc::EAGAIN).udp().judge(&CAUSE).is_none());
    }
}
