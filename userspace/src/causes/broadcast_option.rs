//! A broadcast address, on a socket that did not ask for it.

use super::case::net::{self, REACH};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Remedy, network};
use std::net::{IpAddr, Ipv4Addr};

const DECIDERS: &[&str] =
    &["udp_sendmsg", "ip4_datagram_connect", "__ip4_datagram_connect", "raw_sendmsg", "ping_v4_sendmsg"];

pub(super) static CAUSE: Cause = Cause {
    slug: "broadcast-option",
    title: "the destination is a broadcast address, and the socket has no SO_BROADCAST",
    about: "\
sendto(2) or connect(2) fails with EACCES, \"Permission denied\". The routing table says that the address is a broadcast
address, and udp_sendmsg() in net/ipv4/udp.c sends there only from a socket with the option SO_BROADCAST.

It surprises because no right is missing, and because an address becomes a broadcast address by the network's size: in a
container's /24 or /16 another one than on the host, and also the last address of a small range.",
    shows_as: &[("sendto", "EACCES"), ("sendmsg", "EACCES"), ("connect", "EACCES")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sends to the broadcast address of lo in a network namespace of its own",
        risk: "none",
        variants: &["sendto", "connect"],
    },
    see: &["socket(7), SO_BROADCAST", "udp(7)", "net/ipv4/udp.c: udp_sendmsg()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(REACH, Errno::EACCES)?;
    let socket = case.failure().socket().filter(|s| s.is_internet() && !s.is_stream())?;
    if socket.may_broadcast() {
        return None;
    }
    let limited = case.failure().internet().is_some_and(|(ip, _)| ip == IpAddr::V4(Ipv4Addr::BROADCAST));
    let route = case.state(network::ROUTE).map(|s| s.value == "broadcast");
    let state = if limited { Some(true) } else { route };
    let mut weight = net::weigh(case, DECIDERS, state, "whether the address is a broadcast address there")?;
    if state.is_none() {
        weight.confidence = weight.confidence.min(Confidence::Likely);
    }
    let sentence = format!(
        "{} is a broadcast address in this network namespace, and the socket was not given SO_BROADCAST.",
        net::destination(case)
    );
    let mut evidence = vec!["at that instant the socket had no SO_BROADCAST (sock.sk_flags)".into()];
    evidence.extend(net::cite_all(case, &[network::ROUTE]));
    Some(weight.proof(sentence, net::other("SO_BROADCAST"), evidence))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "for good",
        "setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &one, sizeof one)",
        "in the program, before it sends; or name an address of one machine, if no broadcast was meant",
        "leave it out",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Socket;

    #[test]
    fn a_broadcast_route_without_the_option_is_proven() {
        let s = || scene("sendto", libc::EACCES).to("127.255.255.255:9");
        assert_eq!(s().udp().state(network::ROUTE, "broadcast").confidence(&CAUSE), Some(Confidence::Proven));
        assert!(s().udp().state(network::ROUTE, "unicast").judge(&CAUSE).is_none());
        let with = Socket { family: 2, kind: 2, flags: 1 << 6, ..Socket::default() };
        assert!(s().with(with).state(network::ROUTE, "broadcast").judge(&CAUSE).is_none());
    }

    #[test]
    fn a_prohibited_route_is_not_claimed() {
        let s = scene("sendto", libc::EACCES).udp().to("192.0.2.1:9");
        assert!(s.state(network::ROUTE, "EACCES").judge(&CAUSE).is_none());
    }
}
