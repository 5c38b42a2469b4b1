//! Nobody listens on the port.

use super::case::net::{self, ECONNREFUSED};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Remedy, network};

pub(super) static CAUSE: Cause = Cause {
    slug: "connection-refused",
    title: "nobody listens on the port",
    about: "\
connect(2) fails with ECONNREFUSED, \"Connection refused\". The other side answered with a reset: its kernel found no
listening socket for that address and port (tcp_v4_rcv() in net/ipv4/tcp_ipv4.c), or a firewall rejects with one. A
datagram socket hears it from the next call, after an ICMP message. The errno comes from the socket (sk_err, set by
tcp_reset()), not from a function of this call.

It surprises because the server runs: it listens on 127.0.0.1 of its own network namespace, which no other container
and no published port reaches, or on IPv4 only while localhost is ::1, or it is not ready yet.",
    shows_as: &[("connect", "ECONNREFUSED"), ("sendto", "ECONNREFUSED"), ("recvfrom", "ECONNREFUSED"), ("read", "ECONNREFUSED")],
    deciders: &["tcp_reset", "tcp_rcv_synsent_state_process"],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "connects to a port of lo where nobody listens, in a network namespace of its own",
        risk: "none",
        variants: &["tcp", "udp"],
    },
    see: &["connect(2), ECONNREFUSED", "tcp(7)", "net/ipv4/tcp_input.c: tcp_reset()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "read", "write"], ECONNREFUSED)?;
    if !net::is_internet(case) {
        return None;
    }
    let listener = case.state(network::LISTENER).map(|s| s.value.as_str());
    // Somebody listens now: it was not ready then, or a firewall rejects.
    let (state, missing) = match listener {
        Some(value) if value.starts_with("none") => (Some(true), ""),
        Some("not in this network namespace") => {
            (None, "whether somebody listens there: it is another machine or network namespace")
        }
        Some(_) => (None, "somebody listens there by now: it was not ready yet, or a firewall rejects"),
        None => (None, "whether somebody listens there"),
    };
    let mut weight = net::weigh(case, CAUSE.deciders, state, missing)?;
    if weight.confidence == Confidence::Possible {
        // A refusal is what it is, wherever it was decided.
        weight.confidence = Confidence::Likely;
    }
    let at = net::destination(case);
    let sentence = match listener {
        Some("none") => format!("Nobody listens on {at} in this network namespace."),
        Some(value) if value.starts_with("none there") => {
            format!(
                "Nobody listens on {at}; {}: it is bound to another address.",
                &value["none there; ".len()..]
            )
        }
        Some("not in this network namespace") | None => {
            format!(
                "{at} answered with a reset: nobody listens on that port there, or a firewall rejects it."
            )
        }
        Some(value) => format!("{at} refused, although by now there is a listener ({value})."),
    };
    Some(weight.proof(sentence, net::other("listening socket"), net::cite_all(case, &[network::LISTENER])))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let port = case.failure().internet().map_or(0, |(_, port)| port);
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n ss -lntup 'sport = :{port}'"),
            "shows who listens; for a server in another container use a process of that one for -t",
            "reads only",
        ),
        net::remedy(
            "for good",
            "have the server listen on 0.0.0.0 (or ::)",
            "in its own network namespace; then publish only what is meant for others",
            "bind to 127.0.0.1 again",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;

    #[test]
    fn nobody_on_an_own_address_is_proven() {
        let s = || scene("connect", libc::ECONNREFUSED).tcp().to("127.0.0.1:81");
        assert_eq!(s().state(network::LISTENER, "none").confidence(&CAUSE), Some(Confidence::Proven));
        let found = s().state(network::LISTENER, "none there; one on 10.0.0.2:81").judge(&CAUSE).unwrap();
        assert!(found.sentence.contains("10.0.0.2:81"));
    }

    #[test]
    fn another_machine_is_likely_and_a_local_socket_not_claimed() {
        let s = scene("connect", libc::ECONNREFUSED).tcp().to("192.0.2.1:81");
        assert_eq!(
            s.state(network::LISTENER, "not in this network namespace").confidence(&CAUSE),
            Some(Confidence::Likely)
        );
        let local = scene("connect", libc::ECONNREFUSED).socket(libc::AF_UNIX, 1).path("/run/x");
        assert!(local.judge(&CAUSE).is_none());
    }
}
