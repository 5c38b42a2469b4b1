//! The interface, or the socket itself, has no room for what is sent.

use super::case::net::{self, ENOBUFS, SEND};
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::SNDBUF;
use crate::model::Remedy;

const DECIDERS: &[&str] = &[
    "__dev_queue_xmit",
    "dev_queue_xmit",
    "__dev_xmit_skb",
    "dev_hard_start_xmit",
    "net_tx_action",
    "packet_snd",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "send-queue-full",
    title: "the queue of the interface is full",
    about: "\
sendto(2) fails with ENOBUFS, \"No buffer space available\". The queueing discipline of the interface (its length is
txqueuelen, 1000 packets) dropped the packet, and __dev_queue_xmit() in net/core/dev.c said so. Packet and raw sockets
see it, UDP sockets with IP_RECVERR, and netlink sockets that send more than their receivers read.

It surprises because no buffer of the program is full. Shaped interfaces (tc, a bandwidth annotation of a pod, a small
txqueuelen of a tunnel) drop what comes too fast.",
    shows_as: &[("sendto", "ENOBUFS"), ("sendmsg", "ENOBUFS"), ("sendmmsg", "ENOBUFS")],
    deciders: DECIDERS,
    reads: &[&SNDBUF],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("takes a shaped interface and more packets than it lets pass"),
    see: &["packet(7)", "tc(8)", "net/core/dev.c: __dev_queue_xmit()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(SEND, ENOBUFS)?;
    let socket = case.failure().socket()?;
    if !(socket.is_internet() || socket.family == libc::AF_PACKET as u32) || socket.is_stream() {
        return None;
    }
    // Only the path tells it from a full table of neighbours and from control data.
    let weight = net::weigh(case, DECIDERS, None, "drops of the interface's queue: tc -s qdisc")?;
    let sentence =
        "The queue of the interface that the packet was to leave through had no room for it.".to_string();
    Some(weight.proof(sentence, net::other("txqueuelen"), vec![]))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n tc -s qdisc"),
            "`dropped` grows on the interface whose queue is too short",
            "reads only",
        ),
        net::remedy(
            "for good",
            "ip link set dev DEV txqueuelen 10000",
            "in that network namespace; or send slower: the limit may be meant",
            "ip link set dev DEV txqueuelen 1000",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn only_the_path_proves_it() {
        let s = || scene("sendto", libc::ENOBUFS).udp().to("10.0.0.9:53");
        assert_eq!(s().decided("__dev_queue_xmit").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Possible));
        assert!(s().decided("___neigh_create").judge(&CAUSE).is_none());
    }

    #[test]
    fn local_sockets_are_not_claimed() {
        assert!(scene("sendto", libc::ENOBUFS).socket(libc::AF_UNIX, 2).judge(&CAUSE).is_none());
    }
}
