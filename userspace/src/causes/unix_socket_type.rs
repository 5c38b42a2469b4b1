//! A stream socket meets a datagram socket.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy, network};

const EPROTOTYPE: Errno = Errno(libc::EPROTOTYPE);
const DECIDERS: &[&str] = &["unix_find_bsd", "unix_find_other", "unix_find_abstract"];

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-socket-type",
    title: "the unix socket is of another type than the client's",
    about: "\
connect(2) or sendto(2) fails with EPROTOTYPE, \"Protocol wrong type for socket\". unix_find_bsd() in net/unix/af_unix.c finds
a socket at the path, but it is a stream where the client has datagrams, or the other way round.

It surprises with /dev/log and other sockets of the host that are mounted into a container: syslog daemons differ in the type
they listen with.",
    shows_as: &[("connect", "EPROTOTYPE"), ("sendto", "EPROTOTYPE")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "connects a datagram socket to a stream socket of its own",
        risk: "none",
        variants: &["datagram"],
    },
    see: &["unix(7)", "connect(2), EPROTOTYPE", "net/unix/af_unix.c: unix_find_bsd()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(net::REACH, EPROTOTYPE)?;
    let socket = case.failure().socket().filter(|_| net::is_local(case))?;
    let other = case
        .state(network::LISTENER)
        .map(|s| s.value.as_str())
        .and_then(|v| v.strip_prefix("type ")?.split(' ').next());
    let state = other.map(|kind| kind.trim_start_matches('0') != socket.kind.to_string());
    let weight = net::weigh(case, DECIDERS, state, "the type of the socket at the path")?;
    let word = |kind: u32| match kind as i32 {
        libc::SOCK_STREAM => "stream",
        libc::SOCK_DGRAM => "datagram",
        libc::SOCK_SEQPACKET => "sequenced packet",
        _ => "other",
    };
    let sentence = format!(
        "{} uses a {} socket, and the one at {} is of another type.",
        case.failure().task.comm,
        word(socket.kind),
        net::destination(case)
    );
    Some(weight.proof(sentence, net::other("socket type"), net::cite_all(case, &[network::LISTENER])))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "now",
        &format!("ss -xlp src {}", net::destination(case)),
        "u_str is a stream, u_dgr datagrams, u_seq packets: set client or server to the same",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn another_type_at_the_path_proves_it() {
        let s = |kind: &str| {
            scene("connect", libc::EPROTOTYPE)
                .socket(libc::AF_UNIX, 2)
                .path("/dev/log")
                .state(network::LISTENER, kind)
        };
        assert_eq!(s("type 1 listening, of syslogd (pid 9)").confidence(&CAUSE), Some(Confidence::Proven));
        assert!(s("type 2 bound, of syslogd (pid 9)").judge(&CAUSE).is_none());
    }

    #[test]
    fn other_errnos_are_not_claimed() {
        assert!(
            scene("connect", libc::ECONNREFUSED)
                .socket(libc::AF_UNIX, 2)
                .path("/dev/log")
                .judge(&CAUSE)
                .is_none()
        );
    }
}
