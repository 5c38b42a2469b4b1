//! The accept queue of a local socket is full.

use super::case::net::{self};
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::{ACCEPT_QUEUE, SOMAXCONN};
use crate::model::{Confidence, Errno, Remedy, network, spaced};

const DECIDERS: &[&str] = &["unix_stream_connect"];

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-backlog",
    title: "the accept queue of a unix socket is full",
    about: "\
A non-blocking connect(2) to a local socket fails with EAGAIN, \"Resource temporarily unavailable\"; a blocking one waits.
unix_stream_connect() in net/unix/af_unix.c finds more connections waiting for accept(2) than listen(2) allowed, which is
its second argument and never more than net.core.somaxconn.

It surprises because EAGAIN is not what a TCP connection would say, and many programs take it for \"in progress\" and
poll. The server is busy, stopped (docker pause, a debugger) or leaks connections: php-fpm, gunicorn, the docker socket.",
    shows_as: &[("connect", "EAGAIN")],
    deciders: DECIDERS,
    reads: &[&ACCEPT_QUEUE, &SOMAXCONN],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "listens with the shortest queue, accepts nothing, and connects until it is full",
        risk: "none",
        variants: &["stream"],
    },
    see: &["listen(2)", "unix(7)", "net/unix/af_unix.c: unix_stream_connect(), unix_recvq_full()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["connect"], Errno::EAGAIN)?;
    let socket = case.failure().socket()?;
    if socket.family != libc::AF_UNIX as u32 || socket.is_datagram() {
        return None;
    }
    let reading = case.reading(&ACCEPT_QUEUE);
    let waiting = reading.and_then(|r| r.usage);
    let seen = case.verdict(DECIDERS).is_some();
    // A stream socket's connect has no other reason for EAGAIN; how many wait was read afterwards.
    let state = waiting.filter(|n| *n > 0).map(|_| true);
    let mut weight = net::weigh(case, DECIDERS, state, "how many connections wait: ss -xl")?;
    if waiting.is_none() {
        weight.confidence = if seen { Confidence::Likely } else { weight.confidence.max(Confidence::Likely) };
        if seen {
            weight.missing.push("how many connections wait: ss -xl".into());
        }
    }
    let path = case.failure().local_path().unwrap_or("the socket");
    let listener = case.state(network::LISTENER).map(|s| s.value.clone()).filter(|v| v != "none");
    let sentence = match (waiting, &listener) {
        (Some(n), Some(who)) => {
            format!("{} connections wait on {path} to be accepted, and its queue is full ({who}).", spaced(n))
        }
        (Some(n), None) => {
            format!("{} connections wait on {path} to be accepted, and its queue is full.", spaced(n))
        }
        _ => format!("The queue of connections that wait on {path} to be accepted is full."),
    };
    let mut evidence = net::cite_all(case, &[network::LISTENER]);
    evidence.extend(reading.map(super::case::ceiling::cite));
    let mut proof = weight.proof(sentence, net::other("listen backlog"), evidence);
    (proof.usage, proof.unit) = (waiting, ACCEPT_QUEUE.unit.into());
    Some(proof)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let path = case.failure().local_path().unwrap_or("PATH");
    let most = case.failure().task.net.and_then(|net| net.somaxconn).unwrap_or(4096);
    vec![
        net::remedy(
            "now",
            &format!("ss -xlp src {path}"),
            "Recv-Q waits, Send-Q is the limit; look why the server does not accept: busy, paused, stuck",
            "reads only",
        ),
        net::remedy(
            "for good",
            "a larger backlog in the server (listen = …, --backlog), and more workers",
            &format!(
                "no more than net.core.somaxconn ({most}) of its network namespace; a longer queue only hides a server that is too slow"
            ),
            "the old number",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::reading;

    #[test]
    fn waiting_connections_prove_it() {
        let s = || scene("connect", libc::EAGAIN).socket(libc::AF_UNIX, 1).path("/run/php.sock");
        let found =
            s().reading(reading(&ACCEPT_QUEUE, 2, 2)).decided("unix_stream_connect").judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.usage), (Confidence::Proven, Some(2)));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Likely));
    }

    #[test]
    fn an_internet_socket_is_not_claimed() {
        assert!(scene("connect", libc::EAGAIN).udp().to("10.0.0.1:53").judge(&CAUSE).is_none());
        assert!(scene("connect", libc::EAGAIN).socket(libc::AF_UNIX, 2).path("/x").judge(&CAUSE).is_none());
    }
}
