//! A netlink socket whose reader is too slow: messages were lost, and it is told so.

use super::case::claim::{self, knob, look, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::Errno;
use crate::model::{Confidence, KnobKind, Remedy, spaced};

const ENOBUFS: Errno = Errno(libc::ENOBUFS);
const DECIDERS: &[&str] = &["netlink_recvmsg"];
const CALLERS: &[&str] = &[
    "sock_recvmsg",
    "____sys_recvmsg",
    "___sys_recvmsg",
    "__sys_recvmsg",
    "__sys_recvfrom",
    "sock_read_iter",
    "__skb_recv_datagram",
    "skb_recv_datagram",
    "__skb_wait_for_more_packets",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "netlink-overrun",
    title: "a netlink socket lost messages: its reader was too slow for its buffer",
    about: "\
recvmsg(2) of a netlink socket fails with ENOBUFS, \"No buffer space available\", once, and goes on afterwards. The kernel reports \
changes (interfaces, addresses, routes, tracked connections, audit and uevents) to whoever asked for them; netlink_overrun() in \
net/netlink/af_netlink.c drops what no longer fits into the socket's receive buffer, net.core.rmem_default unless the program \
chose another, and leaves this error for the reader.

It surprises because memory is free. A node that starts many containers makes thousands of interfaces, routes and conntrack entries \
in a burst, and those that follow them (CNI agents, kube-proxy, keepalived, NetworkManager, conntrackd, udev) fall behind. What was \
lost is not sent again: the program must read everything anew.",
    shows_as: &[("recvmsg", "ENOBUFS"), ("recvfrom", "ENOBUFS")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "follows the interfaces of a network namespace of its own with a tiny buffer, without reading",
        risk: "none",
        variants: &["burst"],
    },
    see: &["netlink(7), ENOBUFS", "net/netlink/af_netlink.c: netlink_overrun(), netlink_recvmsg()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["recvmsg", "recvfrom", "recvmmsg", "read"], ENOBUFS)?;
    let socket = case.failure().socket();
    let netlink = socket.map(|s| s.family == libc::AF_NETLINK as u32);
    if netlink.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    // No other thing makes a netlink socket say so to its reader.
    let weighed = claim::weigh(case, DECIDERS, CALLERS, netlink)?;
    let room = socket.and_then(|s| s.rcvbuf);
    let size = room.map_or_else(String::new, |bytes| format!(" of {} bytes", spaced(u64::from(bytes))));
    let sentence = format!(
        "{} read its netlink socket too slowly: messages no longer fitted into its receive buffer{size} and were dropped.",
        case.failure().task.comm
    );
    let knob = knob(KnobKind::Sysctl, "net.core.rmem_max", "/proc/sys/net/core/rmem_max");
    let protocol =
        socket.map(|s| format!("at that instant it was a netlink socket of protocol {}", s.protocol));
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob).because(protocol);
    proof.confidence =
        if netlink.is_some() { proof.confidence } else { proof.confidence.min(Confidence::Likely) };
    (proof.limit, proof.unit) = (room.map(u64::from), "bytes".into());
    Some(proof)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let double = proof.limit.unwrap_or(212_992).saturating_mul(8);
    vec![
        look(
            format!("nsenter -t {pid} -n cat /proc/net/netlink"),
            "its sockets: Rmem is what waits, Drops what was lost",
        ),
        step(
            "now",
            format!("sysctl -w net.core.rmem_max={double}"),
            "programs that ask for a larger buffer (SO_RCVBUF) get one, once they are started again; with CAP_NET_ADMIN \
             SO_RCVBUFFORCE needs no sysctl",
            "sysctl -w net.core.rmem_max=<as before>",
        ),
        step(
            "now",
            format!("sysctl -w net.core.rmem_default={double}"),
            "for programs that do not ask: each new socket of the machine may then hold so much",
            "sysctl -w net.core.rmem_default=<as before>",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::{judge_with, valued};
    use crate::model::Socket;

    #[test]
    fn a_netlink_socket_is_likely_or_proven_and_others_are_not() {
        let netlink = Socket { family: libc::AF_NETLINK as u32, rcvbuf: Some(2304), ..Socket::default() };
        let f = scene("recvmsg", libc::ENOBUFS).with(netlink).judge(&CAUSE).unwrap();
        assert_eq!((f.limit, f.knob.name.as_str()), (Some(2304), "net.core.rmem_max"));
        assert!(f.confidence >= Confidence::Likely);
        assert!(scene("recvmsg", libc::ENOBUFS).udp().judge(&CAUSE).is_none());
        assert!(scene("recvmsg", libc::EAGAIN).socket(libc::AF_NETLINK, 3).judge(&CAUSE).is_none());
        assert!(
            judge_with(&CAUSE, &valued("recvmsg", ENOBUFS, &[], &[], vec![])).is_none(),
            "no socket was read"
        );
    }
}
