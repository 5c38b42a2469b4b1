//! One message is larger than may be sent at once.

use super::case::net::{self, EMSGSIZE, SEND};
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::SNDBUF;
use crate::model::{Confidence, Knob, KnobKind, Remedy, spaced};

const DECIDERS: &[&str] = &[
    "unix_dgram_sendmsg",
    "netlink_sendmsg",
    "udp_sendmsg",
    "udpv6_sendmsg",
    "__ip_append_data",
    "ip_append_data",
    "__ip6_append_data",
    "ip_setup_cork",
    "raw_sendmsg",
    "packet_sendmsg",
    "packet_snd",
    "ping_common_sendmsg",
    "udp_send_skb",
];
/// `udp_sendmsg()` (net/ipv4/udp.c): the length has 16 bits, of which the headers take 28.
const LONGEST_DATAGRAM: u64 = 65_507;

pub(super) static CAUSE: Cause = Cause {
    slug: "message-too-large",
    title: "the message is larger than may be sent at once",
    about: "\
sendto(2) or sendmsg(2) of a datagram fails with EMSGSIZE, \"Message too long\". A local datagram socket takes no more
than its send buffer (SO_SNDBUF, up to net.core.wmem_max) at once: unix_dgram_sendmsg() in net/unix/af_unix.c; netlink
the same. A UDP datagram has at most 65 507 bytes, and with \"don't fragment\" no more than the way's MTU.

It surprises with large log lines to /dev/log or the journal's socket, and where a container's network has a smaller MTU
(1450 in an overlay network) than the program was written for.",
    shows_as: &[("sendto", "EMSGSIZE"), ("sendmsg", "EMSGSIZE"), ("sendmmsg", "EMSGSIZE")],
    deciders: DECIDERS,
    reads: &[&SNDBUF],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sends a message of 64 KiB from a socket with a small send buffer",
        risk: "none",
        variants: &["unix", "udp"],
    },
    see: &["socket(7), SO_SNDBUF", "unix(7)", "udp(7)", "net/unix/af_unix.c: unix_dgram_sendmsg()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(SEND, EMSGSIZE)?;
    let socket = case.failure().socket()?;
    let size = case.failure().number_arg("size");
    let buffered = matches!(socket.family as i32, libc::AF_UNIX | libc::AF_NETLINK);
    let most = match buffered {
        // The kernel keeps 32 bytes back.
        true => socket.sndbuf.map(|n| u64::from(n).saturating_sub(32)),
        false if socket.is_internet() => Some(LONGEST_DATAGRAM),
        false => None,
    };
    let larger = size.zip(most).map(|(size, most)| size > most);
    // A shorter datagram may still be longer than the MTU of its way.
    let state = if buffered || larger == Some(true) { larger } else { None };
    let mut weight = net::weigh(case, DECIDERS, state, "the size of the message")?;
    if state.is_none() {
        weight.confidence = weight.confidence.min(Confidence::Likely);
        weight.missing.push("the MTU of the way: ip route get, tracepath".into());
    }
    let bytes = size.map_or_else(|| "The message".into(), |n| format!("The message of {} bytes", spaced(n)));
    let (sentence, knob) = match (buffered, larger) {
        (true, _) => (
            format!(
                "{bytes} is larger than what the socket's send buffer takes at once ({} bytes).",
                spaced(most.unwrap_or(0))
            ),
            Knob {
                kind: KnobKind::Sysctl,
                name: "net.core.wmem_max".into(),
                path: "/proc/sys/net/core/wmem_max".into(),
            },
        ),
        (false, Some(true)) => (
            format!("{bytes} is longer than a datagram can be ({} bytes).", spaced(LONGEST_DATAGRAM)),
            net::other("datagram size"),
        ),
        _ => (
            format!("{bytes} is longer than the MTU of its way, and may not be fragmented."),
            net::other("MTU"),
        ),
    };
    let mut evidence = vec![];
    if let (true, Some(sndbuf)) = (buffered, socket.sndbuf) {
        evidence.push(format!(
            "at that instant SO_SNDBUF of the socket was {} (sock.sk_sndbuf)",
            spaced(u64::from(sndbuf))
        ));
    }
    let mut proof = weight.proof(sentence, knob, evidence);
    (proof.limit, proof.usage, proof.unit) =
        (most.filter(|_| larger == Some(true)), size.filter(|_| larger == Some(true)), "bytes".into());
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let mut list = vec![net::remedy(
        "for good",
        "send less at once",
        "split it, or use a stream socket (SOCK_STREAM), which has no such limit",
        "the other way round",
    )];
    if proof.knob.name == "net.core.wmem_max" {
        let need = proof.usage.unwrap_or(0).saturating_mul(2).max(425_984);
        list.insert(
            0,
            net::remedy(
                "now",
                &format!("sysctl -w net.core.wmem_max={need}"),
                "for the whole machine; then the program sets SO_SNDBUF (net.core.wmem_default for those that do not)",
                "sysctl -w net.core.wmem_max=212992",
            ),
        );
    }
    list
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Socket;

    fn unix(sndbuf: u32) -> Socket {
        Socket { family: 1, kind: 2, sndbuf: Some(sndbuf), ..Socket::default() }
    }

    #[test]
    fn a_message_above_the_send_buffer_is_proven() {
        let s = |size| scene("sendto", libc::EMSGSIZE).with(unix(4608)).number("size", size);
        let found = s(70_000).judge(&CAUSE).unwrap();
        assert_eq!(
            (found.confidence, found.limit, found.usage),
            (Confidence::Proven, Some(4576), Some(70_000))
        );
        assert_eq!(found.knob.name, "net.core.wmem_max");
        assert!(s(100).judge(&CAUSE).is_none());
    }

    #[test]
    fn a_datagram_is_held_against_its_own_bound() {
        let s = |size| scene("sendto", libc::EMSGSIZE).udp().number("size", size);
        assert_eq!(s(70_000).judge(&CAUSE).unwrap().knob.name, "datagram size");
        let short = s(2000).judge(&CAUSE).unwrap();
        assert_eq!((short.confidence, short.knob.name.as_str()), (Confidence::Possible, "MTU"));
        assert!(scene("sendto", libc::ENOBUFS).udp().number("size", 70_000).judge(&CAUSE).is_none());
    }
}
