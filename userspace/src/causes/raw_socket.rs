//! A raw or packet socket, without CAP_NET_RAW.

use super::case::net::{self, NET_RAW};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &["inet_create", "inet6_create", "packet_create", "xsk_create", "llc_ui_create"];
const SOCK_RAW: u64 = 3;
const SOCK_PACKET: u64 = 10;
const SOCK_MASK: u64 = 0xf;

pub(super) static CAUSE: Cause = Cause {
    slug: "raw-socket",
    title: "a raw or packet socket needs CAP_NET_RAW",
    about: "\
socket(2) fails with EPERM, \"Operation not permitted\". inet_create() in net/ipv4/af_inet.c (packet_create() in
net/packet/af_packet.c for AF_PACKET) asks for CAP_NET_RAW in the user namespace that owns the network namespace.

It surprises with ping, traceroute, arping, tcpdump, nmap, dhcp clients and keepalived in containers that drop the
capability: Kubernetes' restricted policy, podman (since 4.x not in its default set), and users other than root, who do
not have what --cap-add gives to root.",
    shows_as: &[("socket", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives CAP_NET_RAW up, then asks for a raw socket",
        risk: "none",
        variants: &["raw", "packet"],
    },
    see: &["capabilities(7), CAP_NET_RAW", "raw(7)", "packet(7)", "net/ipv4/af_inet.c: inet_create()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["socket"], Errno::EPERM)?;
    let failure = case.failure();
    let (family, kind) = (failure.number_arg("domain")?, failure.number_arg("type")? & SOCK_MASK);
    let (internet, packet, xdp) = (matches!(family, 2 | 10), family == 17, family == 44);
    if !(packet || xdp || internet && matches!(kind, SOCK_RAW | SOCK_PACKET)) {
        return None;
    }
    let denied = match case.returned("ns_capable") {
        Some(0) => Some(true),
        _ => net::net_capable(case, NET_RAW).map(|has| !has),
    };
    let weight = net::weigh_right(case, DECIDERS, denied, "CapEff of the task at that instant")?;
    let sentence = format!(
        "{} asks for a {} socket and has no CAP_NET_RAW in the user namespace that owns the network.",
        failure.task.comm,
        if packet {
            "packet"
        } else if xdp {
            "XDP"
        } else {
            "raw"
        }
    );
    Some(weight.proof(sentence, net::capability("CAP_NET_RAW"), net::cite_capability(case, "CAP_NET_RAW")))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        net::remedy(
            "now",
            "docker run --cap-add NET_RAW …",
            "for root in the container: it may then forge packets in its network namespace. In Kubernetes securityContext.capabilities.add: [NET_RAW]",
            "start it without the option",
        ),
        net::remedy(
            "or",
            "docker run --sysctl net.ipv4.ping_group_range='0 2147483647' …",
            "enough for ping alone: echo requests through a datagram socket need no capability",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn a_task_without_the_capability_is_proven() {
        let s = scene("socket", libc::EPERM).number("domain", 2).number("type", 3).capabilities(0);
        let found = s.judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Proven, "CAP_NET_RAW"));
    }

    #[test]
    fn a_capable_task_or_another_socket_is_not_claimed() {
        assert!(scene("socket", libc::EPERM).number("domain", 2).number("type", 3).judge(&CAUSE).is_none());
        let stream = scene("socket", libc::EPERM).number("domain", 2).number("type", 1).capabilities(0);
        assert!(stream.judge(&CAUSE).is_none());
    }
}
