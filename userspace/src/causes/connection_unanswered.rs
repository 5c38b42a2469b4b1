//! The first packet of a connection had no answer.

use super::case::net::{self, EINPROGRESS, ETIMEDOUT};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Remedy, network};

pub(super) static CAUSE: Cause = Cause {
    slug: "connection-unanswered",
    title: "the connection was not answered: packets are dropped",
    about: "\
connect(2) waits and fails with ETIMEDOUT, \"Connection timed out\", after about two minutes
(net.ipv4.tcp_syn_retries), or with EINPROGRESS when SO_SNDTIMEO ends the wait first. Nobody said no: a firewall drops
the packets, here on their way out or at the other side, or the accept queue of the listener is full and its kernel
drops them (TcpExt ListenOverflows).

It surprises because a drop of the own firewall is silent for TCP: the kernel treats it as a lost packet and sends
again. EINPROGRESS on a blocking socket does not mean that all is well.",
    shows_as: &[("connect", "ETIMEDOUT"), ("connect", "EINPROGRESS")],
    deciders: &["nf_hook_slow"],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "fills the accept queue of a listener in a network namespace of its own, and waits a moment for one connection more",
        risk: "none",
        variants: &["full-queue"],
    },
    see: &["tcp(7), tcp_syn_retries", "socket(7), SO_SNDTIMEO", "net/netfilter/core.c: nf_hook_slow()", "net/ipv4/tcp_input.c: tcp_conn_request()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let timed_out = case.denied(&["connect"], ETIMEDOUT).is_some();
    let waited = case.denied(&["connect"], EINPROGRESS).is_some();
    let socket = case.failure().socket()?;
    // On a non-blocking socket EINPROGRESS is the ordinary answer.
    if !(timed_out || waited && !socket.nonblocking) || !socket.is_internet() {
        return None;
    }
    let listener = case.state(network::LISTENER).map(|s| s.value.as_str());
    let chains = case.state(network::FIREWALL).map(|s| s.value.as_str()).filter(|v| *v != "none");
    let dropped = case.returned("nf_hook_slow").is_some_and(|value| value < 0);
    let overflows = case.state(network::OVERFLOWS).and_then(|s| s.value.parse::<u64>().ok()).unwrap_or(0);
    let waiting = listener.and_then(|l| l.strip_suffix(" waiting")?.rsplit(' ').next()?.parse::<u64>().ok());
    let full = waiting.is_some_and(|n| n > 0) && overflows > 0;
    let at = net::destination(case);
    let (confidence, sentence, knob, missing) = match (dropped, chains) {
        (true, _) => (
            Confidence::Proven,
            format!("The firewall of this network namespace drops packets to {at} on their way out."),
            "firewall ruleset",
            vec![],
        ),
        _ if full => (
            Confidence::Likely,
            format!(
                "The accept queue of the listener on {at} is full ({} wait): its kernel drops new connections.",
                waiting.unwrap_or(0)
            ),
            "listen backlog",
            vec!["the length of its queue: ss -lnt shows it as Send-Q".into()],
        ),
        (false, Some(chains)) => (
            Confidence::Likely,
            format!(
                "Nobody answered from {at}. A firewall is at work here ({chains}): it may drop the packets."
            ),
            "firewall ruleset",
            vec!["what the rules do to this packet: nft monitor trace, or their counters".into()],
        ),
        (false, None) => (
            Confidence::Possible,
            format!(
                "Nobody answered from {at}: a firewall drops the packets at the other side, or nobody has the address."
            ),
            "firewall ruleset",
            vec!["what became of the packets on their way".into()],
        ),
    };
    let mut evidence = net::cite_all(case, &[network::LISTENER, network::FIREWALL, network::OVERFLOWS]);
    if waited {
        evidence
            .push("the socket is a blocking one: EINPROGRESS means that SO_SNDTIMEO ended the wait".into());
    }
    if dropped {
        evidence.push("nf_hook_slow returned an error: netfilter's verdict was to drop".into());
    }
    let weight = net::Weight { confidence, missing, evidence: vec![] };
    Some(weight.proof(sentence, net::other(knob), evidence))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n nft list ruleset"),
            "rules of this network namespace; iptables-save for the older kind; the host's FORWARD chain and the network policy as well",
            "reads only",
        ),
        net::remedy(
            "find the place",
            "tcpdump -ni any 'tcp[tcpflags] & tcp-syn != 0'",
            "on both sides: where the first packet is seen last, behind that it is dropped",
            "reads only",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Socket;

    #[test]
    fn a_blocking_socket_that_gave_up_is_claimed() {
        let s = || scene("connect", libc::EINPROGRESS).to("192.0.2.1:80");
        let found = s().tcp().state(network::FIREWALL, "nftables t o (output)").judge(&CAUSE).unwrap();
        assert_eq!(found.confidence, Confidence::Likely);
        assert_eq!(s().tcp().confidence(&CAUSE), Some(Confidence::Possible));
        let full = s()
            .tcp()
            .state(network::LISTENER, "0.0.0.0:80 by x (pid 1), 2 waiting")
            .state(network::OVERFLOWS, "3");
        assert!(full.judge(&CAUSE).unwrap().sentence.contains("accept queue"));
    }

    #[test]
    fn the_ordinary_answer_of_a_non_blocking_socket_is_not() {
        let ordinary = Socket { family: 2, kind: 1, nonblocking: true, ..Socket::default() };
        assert!(
            scene("connect", libc::EINPROGRESS).with(ordinary).to("192.0.2.1:80").judge(&CAUSE).is_none()
        );
    }
}
