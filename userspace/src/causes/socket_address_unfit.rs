//! An address that does not do for this socket: of a link that is not said, too short, or a second one.

use super::case::net;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Remedy, Socket};
use std::net::{IpAddr, Ipv6Addr};

const DECIDERS: &[&str] = &[
    "__inet_bind",
    "__inet6_bind",
    "inet_bind",
    "inet6_bind",
    "inet_bind_sk",
    "inet6_bind_sk",
    "tcp_v6_connect",
    "__ip6_datagram_connect",
    "ip6_datagram_connect",
    "udpv6_sendmsg",
];
const CALLS: &[&str] = &["bind", "connect", "sendto"];
/// As the caller passed it: the interface's index in `struct sockaddr_in6`.
const SCOPE: &str = "sin6_scope_id";
/// The least that __inet_bind() and __inet6_bind() take: sizeof(struct sockaddr_in), SIN6_LEN_RFC2133.
const SHORTEST: [(i32, u64); 2] = [(libc::AF_INET, 16), (libc::AF_INET6, 24)];

pub(super) static CAUSE: Cause = Cause {
    slug: "socket-address-unfit",
    title: "the address does not do for this socket: it lacks its interface, or the socket has one already",
    about: "\
bind(2), connect(2) or sendto(2) fails with EINVAL, \"Invalid argument\". With an IPv6 address of the link (fe80::…) the kernel has to \
know which link is meant, for every interface has such a network: __inet6_bind(), tcp_v6_connect() and their kin refuse it without \
sin6_scope_id and without a socket that is bound to an interface. In text that is the part behind the percent sign, fe80::1%eth0, \
which URLs, configuration files and resolvers like to lose, and which has to be the interface's name inside of the container's network.

bind(2) says the same of a socket that has an address already: bound before, or connected, or one that a supervisor has handed over \
(systemd's socket activation), which listens already; and of a structure that is shorter than the family's.",
    shows_as: &[("bind", "EINVAL"), ("connect", "EINVAL"), ("sendto", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "binds a socket of its own network namespace to an address of the link, twice, or to half of one",
        risk: "none",
        variants: &["link", "connect", "twice", "short"],
    },
    see: &[
        "ipv6(7), sin6_scope_id; bind(2), EINVAL; systemd.socket(5)",
        "net/ipv6/af_inet6.c: __inet6_bind(); net/ipv6/tcp_ipv6.c: tcp_v6_connect(); net/ipv4/af_inet.c: __inet_bind()",
    ],
};

/// `IPV6_ADDR_LINKLOCAL`: fe80::/10.
fn of_link(ip: &Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

fn without_interface(case: &Case<'_>, socket: &Socket) -> Option<Proof> {
    let (ip, _) = case.failure().internet()?;
    let IpAddr::V6(ip) = ip else { return None };
    if !of_link(&ip) || socket.device != 0 {
        return None;
    }
    let state = case.value(SCOPE).map(|index| index == 0);
    let weight = net::weigh(case, DECIDERS, state, "the interface that the address was given with")?;
    let sentence = format!(
        "{ip} is an address of a link, and {} did not say of which interface's: no scope id, and the socket is bound to none.",
        case.failure().task.comm
    );
    let seen =
        case.value(SCOPE).map(|index| format!("at that instant sin6_scope_id of the address was {index}"));
    let proof = weight.proof(sentence, net::other("sin6_scope_id"), seen.into_iter().collect());
    // sendto(2) asks the routing table, which may find another reason.
    let most = if case.denied(&["sendto"], Errno::EINVAL).is_some() {
        Confidence::Likely
    } else {
        Confidence::Proven
    };
    Some(proof.at_most(most, "the function that refused: a message has more that may be wrong"))
}

fn unbindable(case: &Case<'_>, socket: &Socket) -> Option<Proof> {
    case.denied(&["bind"], Errno::EINVAL)?;
    let length = case.failure().number_arg("addrlen")?;
    let (_, least) = SHORTEST.iter().find(|(family, _)| socket.family == *family as u32)?;
    if length < *least {
        let weight = net::weigh(case, DECIDERS, Some(true), "")?;
        let sentence = format!(
            "The address of {length} bytes is too short for this socket: its family takes {least} at least."
        );
        let mut proof = weight.proof(sentence, net::other("addrlen"), vec![]);
        (proof.limit, proof.usage, proof.unit) = (Some(*least), Some(length), "bytes".into());
        return Some(proof);
    }
    // A raw socket has its protocol there.
    if socket.local_port == 0 || !(socket.is_stream() || socket.is_datagram()) {
        return None;
    }
    let weight = net::weigh(case, DECIDERS, Some(true), "")?;
    let sentence = format!(
        "The socket of {} has an address already (port {}): it can be bound once only, and before it is connected.",
        case.failure().task.comm,
        socket.local_port
    );
    let seen =
        format!("at that instant the socket had the local port {} (inet_sock.inet_num)", socket.local_port);
    Some(weight.proof(sentence, net::other("bound socket"), vec![seen]))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(CALLS, Errno::EINVAL)?;
    let socket = case.failure().socket().filter(|socket| socket.is_internet())?;
    // In the order of the checks: how long, of which link, whether bound before.
    let short = unbindable(case, socket).filter(|proof| proof.knob.name == "addrlen");
    short.or_else(|| without_interface(case, socket)).or_else(|| unbindable(case, socket))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    match proof.knob.name.as_str() {
        "sin6_scope_id" => vec![
            net::remedy(
                "find it",
                &format!("nsenter -t {pid} -n ip -6 addr show scope link"),
                "the interfaces of its network namespace, each with an address of its link",
                "reads only",
            ),
            net::remedy(
                "now",
                "name the interface behind the address: fe80::1%eth0 (in a URL [fe80::1%25eth0])",
                "or take an address of a wider scope (ULA, fd00::/8), which needs none and is the same after a restart",
                "the address without it",
            ),
        ],
        "bound socket" => vec![net::remedy(
            "for good",
            "take the socket as it is: skip bind(2) where LISTEN_FDS or an inherited descriptor says that it is one",
            "or close it and make another; SO_REUSEADDR does not allow a second bind of the same socket",
            "none needed",
        )],
        _ => vec![net::remedy(
            "for good",
            "pass the whole structure: sizeof(struct sockaddr_in) or sockaddr_in6, with the family of the socket",
            "a socket of AF_INET6 takes no sockaddr_in",
            "none needed",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::{Scene, scene};
    use crate::model::Filters;

    fn with(call: &str, socket: Socket, to: &str, length: u64) -> Scene {
        let mut scene = scene(call, libc::EINVAL).with(socket).to(to).number("addrlen", length);
        scene.incident_mut().failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        scene
    }

    fn six() -> Socket {
        Socket { family: libc::AF_INET6 as u32, kind: 1, ..Socket::default() }
    }

    fn name(scene: &Scene) -> Option<(Confidence, String)> {
        scene.judge(&CAUSE).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn an_address_of_a_link_needs_its_interface() {
        let scope = "sin6_scope_id";
        let told = |value: &str, socket: Socket| {
            name(&with("connect", socket, "[fe80::1]:80", 28).state(SCOPE, value))
        };
        assert_eq!(told("0", six()), Some((Confidence::Proven, scope.into())));
        assert_eq!(told("2", six()), None, "it was said");
        assert_eq!(told("0", Socket { device: 2, ..six() }), None, "the socket is bound to an interface");
        assert_eq!(
            name(&with("bind", six(), "[fe80::1]:80", 28)),
            Some((Confidence::Possible, scope.into()))
        );
        assert_eq!(name(&with("connect", six(), "[fd00::1]:80", 28).state(SCOPE, "0")), None);
    }

    #[test]
    fn a_socket_is_bound_once_and_to_a_whole_address() {
        let four = |port: u32| Socket { family: 2, kind: 1, local_port: port, ..Socket::default() };
        let bound = with("bind", four(8080), "0.0.0.0:9090", 16);
        assert_eq!(name(&bound), Some((Confidence::Proven, "bound socket".into())));
        assert_eq!(name(&with("bind", four(0), "0.0.0.0:9090", 16)), None);
        assert_eq!(
            name(&with("bind", six(), "0.0.0.0:9090", 16)),
            Some((Confidence::Proven, "addrlen".into()))
        );
        assert_eq!(name(&with("connect", four(8080), "10.0.0.1:9090", 16)), None);
    }
}
