//! Nobody is behind the path of a local socket.

use super::case::net::{self, ECONNREFUSED};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Knob, KnobKind, Remedy, network};

const DECIDERS: &[&str] =
    &["unix_find_bsd", "unix_find_other", "unix_find_abstract", "unix_stream_connect", "unix_dgram_connect"];

pub(super) static CAUSE: Cause = Cause {
    slug: "unix-no-listener",
    title: "nobody listens on the unix socket",
    about: "\
connect(2) to a local socket fails with ECONNREFUSED, \"Connection refused\", although the file is there.
unix_find_bsd() in net/unix/af_unix.c finds no living socket behind the file, or one that does not listen; for an abstract
name (with @) no socket of that name in the network namespace.

It surprises with bind-mounted sockets: the file outlives its server, and when the server made a new file the container
still sees the old one, because the mount holds the inode and not the name. Mount the folder instead of the socket.",
    shows_as: &[("connect", "ECONNREFUSED"), ("sendto", "ECONNREFUSED"), ("sendmsg", "ECONNREFUSED")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "connects to the file that a closed local socket left behind, in a temporary folder",
        risk: "none",
        variants: &["stale", "abstract", "file"],
    },
    see: &["unix(7)", "connect(2), ECONNREFUSED", "net/unix/af_unix.c: unix_find_bsd()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(net::REACH, ECONNREFUSED)?;
    if !net::is_local(case) {
        return None;
    }
    let path = case.failure().local_path().filter(|p| !p.is_empty())?;
    let there = case.state(network::PATH).map(|s| s.value.as_str());
    let listener = case.state(network::LISTENER).map(|s| s.value.as_str());
    let gone = match (there, listener) {
        (Some("file"), _) => Some(true),
        (_, Some("none")) => Some(true),
        // It listens by now, or it is bound and does not listen.
        (_, Some(who)) if who.contains("listening") => None,
        (_, Some(_)) => Some(true),
        _ => None,
    };
    let mut weight = net::weigh(case, DECIDERS, gone, "whether a socket listens there: ss -xl")?;
    if weight.confidence == Confidence::Possible {
        weight.confidence = Confidence::Likely;
    }
    let sentence = match (there, listener) {
        (Some("file"), _) => format!("{path} is a file and no socket."),
        (_, Some(who)) if who.contains("bound") => format!("The socket at {path} does not listen ({who})."),
        (_, Some(who)) if who.contains("listening") => {
            format!("{path} refused, although by now somebody listens ({who}).")
        }
        (Some("socket"), _) => {
            format!("Nobody listens on {path}: the file is there, the server that made it is not.")
        }
        _ => format!("Nobody listens on {path}."),
    };
    let knob = Knob { kind: KnobKind::Other, name: "listening socket".into(), path: path.into() };
    Some(weight.proof(sentence, knob, net::cite_all(case, &[network::PATH, network::LISTENER])))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let path = case.failure().local_path().unwrap_or("PATH");
    vec![
        net::remedy(
            "now",
            &format!("ss -xlp src {path}"),
            "in the server's network namespace: nothing there means it does not run; start it",
            "reads only",
        ),
        net::remedy(
            "for good",
            "bind-mount the folder of the socket, not the socket",
            "then a server that is started again is found: -v /run/server:/run/server",
            "mount the file again",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;

    #[test]
    fn a_file_without_a_server_is_proven() {
        let s = || scene("connect", libc::ECONNREFUSED).socket(libc::AF_UNIX, 1).path("/run/x");
        let found =
            s().state(network::PATH, "socket").state(network::LISTENER, "none").judge(&CAUSE).unwrap();
        assert_eq!(found.confidence, Confidence::Proven);
        assert!(found.sentence.contains("the server that made it is not"));
        let late = s().state(network::LISTENER, "type 1 listening, of x (pid 1)");
        assert_eq!(late.confidence(&CAUSE), Some(Confidence::Likely));
    }

    #[test]
    fn a_port_is_not_claimed() {
        assert!(scene("connect", libc::ECONNREFUSED).tcp().to("127.0.0.1:80").judge(&CAUSE).is_none());
    }
}
