//! The ports that the kernel may choose from are used up.

use super::case::ceiling::{Ceiling, Judged};
use super::case::net::{self, EADDRINUSE, EADDRNOTAVAIL};
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::LOCAL_PORTS;
use crate::model::{Confidence, Errno, Reading, Remedy, spaced};

const CEILING: Ceiling = Ceiling {
    limit: &LOCAL_PORTS,
    deciders: &[
        "__inet_hash_connect",
        "inet_hash_connect",
        "inet6_hash_connect",
        "inet_csk_find_open_port",
        "inet_autobind",
        "udp_lib_get_port",
    ],
    callers: &[
        "__inet_check_established",
        "__inet6_check_established",
        "__inet_bind",
        "__inet6_bind",
        "inet_bind_sk",
        "inet_csk_get_port",
        "inet_csk_listen_start",
        "inet_dgram_connect",
        "inet_send_prepare",
        "inet_sendmsg",
        "tcp_v4_connect",
        "tcp_v6_connect",
        "udp_v4_get_port",
        "udp_v6_get_port",
    ],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "ephemeral-ports",
    title: "all local ports of net.ipv4.ip_local_port_range are in use",
    about: "\
connect(2) fails with EADDRNOTAVAIL, \"Cannot assign requested address\"; a datagram socket's first sendto(2) with
EAGAIN; bind(2) to port 0 with EADDRINUSE. Nobody named a port, so the kernel looks for a free one in
net.ipv4.ip_local_port_range (less ip_local_reserved_ports) and finds none: __inet_hash_connect() in
net/ipv4/inet_hashtables.c for each pair of destination and source, udp_lib_get_port() for UDP for all.

It surprises because there are few open connections: those in TIME_WAIT hold their port for a minute, so some 470 short
connections a second to one address and port are enough (28 232 ports over 60 s); and the range is each network
namespace's own, so the host looks idle.",
    shows_as: &[
        ("connect", "EADDRNOTAVAIL"),
        ("connect", "EAGAIN"),
        ("sendto", "EAGAIN"),
        ("bind", "EADDRINUSE"),
        ("listen", "EADDRINUSE"),
    ],
    deciders: CEILING.deciders,
    reads: &[&LOCAL_PORTS],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "narrows the range to four ports in a network namespace of its own, and uses them up",
        risk: "none",
        variants: &["connect", "udp", "bind"],
    },
    see: &[
        "https://docs.kernel.org/networking/ip-sysctl.html",
        "ip(7), ip_local_port_range",
        "net/ipv4/inet_hashtables.c: __inet_hash_connect()",
        "net/ipv4/udp.c: udp_lib_get_port()",
    ],
};

/// Whether the kernel had to choose a port in this call, and did not find one.
fn chose(case: &Case<'_>) -> bool {
    let failure = case.failure();
    let Some((call, errno)) = failure.syscall() else { return false };
    let Some(socket) = failure.socket().filter(|s| s.is_internet()) else { return false };
    // A port that the socket has already cannot have been missing.
    let unbound = socket.local_port == 0;
    match (call, errno) {
        ("connect", EADDRNOTAVAIL) => socket.is_stream(),
        ("connect", Errno::EAGAIN) | ("sendto" | "sendmsg" | "sendmmsg", Errno::EAGAIN) => {
            unbound && !socket.is_stream()
        }
        ("listen", EADDRINUSE) => unbound,
        ("bind", EADDRINUSE) => failure.internet().is_some_and(|(_, port)| port == 0),
        _ => false,
    }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if !chose(case) {
        return None;
    }
    let (call, errno) = case.failure().syscall()?;
    let mut judged = match CEILING.judge(case) {
        Some(judged) => judged,
        None if matches!(call, "bind" | "listen") => uncounted(case)?,
        None => return None,
    };
    // Still without a port after a call that gives one: the choice itself failed, whoever saw it.
    if errno != EADDRNOTAVAIL && judged.reached.is_some() {
        judged.confidence = Confidence::Proven;
        judged.missing.clear();
    }
    let sentence = match judged.reached.and_then(|r| Some((r.usage?, r.ceiling?, r))) {
        Some((used, most, r)) => format!(
            "{} of {} local ports of net.ipv4.ip_local_port_range are in use{}.",
            spaced(used),
            spaced(most),
            to(r)
        ),
        None => "The kernel found no free local port in net.ipv4.ip_local_port_range.".into(),
    };
    let mut proof = judged.proof(case, &CEILING, sentence);
    if errno != EADDRNOTAVAIL {
        proof
            .evidence
            .push("at that instant the socket had no local port, although the call gives it one".into());
    }
    Some(proof)
}

/// Sockets that are bound and neither listen nor are connected hold their ports too, and `/proc/net` shows none of them: a
/// count with room refutes nothing where bind(2) itself was to choose.
fn uncounted<'a>(case: &Case<'a>) -> Option<Judged<'a>> {
    let known = |f: &&str| CEILING.deciders.contains(f) || CEILING.callers.contains(f);
    if case.decided_elsewhere(&[]).is_some_and(|f| !known(&f)) {
        return None;
    }
    let seen = case.verdict(CEILING.deciders).is_some() || case.verdict(CEILING.callers).is_some();
    let confidence = if seen { Confidence::Proven } else { Confidence::Likely };
    let missing =
        "ports of sockets that are bound and not connected: /proc/net does not show them".to_owned();
    Some(Judged { confidence, reached: None, missing: if seen { vec![] } else { vec![missing] } })
}

fn to(reading: &Reading) -> String {
    reading.scope.split_once(" to ").map_or_else(String::new, |(_, end)| format!(" for connections to {end}"))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        net::remedy(
            "now",
            "docker run --sysctl net.ipv4.ip_local_port_range='1024 65535' …",
            "for that container's network namespace; ports that servers want go to ip_local_reserved_ports",
            "start it without the option",
        ),
        net::remedy(
            "for good",
            "keep connections open and reuse them",
            "a pool in the client; net.ipv4.tcp_tw_reuse=1 lets new connections take ports in TIME_WAIT after a second",
            "net.ipv4.tcp_tw_reuse=2 is the default",
        ),
        net::remedy(
            "find the leak",
            "ss -tan state all | awk '{print $1, $5}' | sort | uniq -c | sort -rn | head",
            "inside that network namespace (nsenter -t PID -n)",
            "reads only",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::reading;
    use crate::model::{Socket, Taken};

    fn used(n: u64) -> Reading {
        Reading { taken: Taken::After { ns: 1 }, ..reading(&LOCAL_PORTS, n, 4) }
    }

    #[test]
    fn a_full_range_with_the_decider_is_proven_and_without_likely() {
        let s = || scene("connect", libc::EADDRNOTAVAIL).tcp().to("127.0.0.1:80").reading(used(4));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Likely));
        let found = s().decided("__inet_hash_connect").judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.usage, found.limit), (Confidence::Proven, Some(4), Some(4)));
    }

    #[test]
    fn a_datagram_socket_that_got_no_port_is_proven() {
        let s = || scene("sendto", libc::EAGAIN).to("127.0.0.1:9");
        assert_eq!(s().udp().reading(used(4)).confidence(&CAUSE), Some(Confidence::Proven));
        // It has a port: its buffer is full.
        let bound = Socket { family: 2, kind: 2, local_port: 40_000, ..Socket::default() };
        assert!(s().with(bound).reading(used(4)).judge(&CAUSE).is_none());
        assert!(s().tcp().reading(used(4)).judge(&CAUSE).is_none());
    }

    #[test]
    fn sockets_that_are_only_bound_are_counted_nowhere() {
        let s = || scene("bind", libc::EADDRINUSE).tcp().to("127.0.0.1:0").reading(used(1));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Likely));
        assert_eq!(s().decided("inet_csk_get_port").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().decided("cgroup_bpf_run").confidence(&CAUSE), None);
    }

    #[test]
    fn free_ports_or_a_named_one_are_not_claimed() {
        assert!(scene("connect", libc::EADDRNOTAVAIL).tcp().reading(used(1)).judge(&CAUSE).is_none());
        assert!(
            scene("bind", libc::EADDRINUSE).tcp().to("0.0.0.0:80").reading(used(4)).judge(&CAUSE).is_none()
        );
        assert!(
            scene("bind", libc::EADDRINUSE).tcp().to("0.0.0.0:0").reading(used(4)).judge(&CAUSE).is_some()
        );
    }
}
