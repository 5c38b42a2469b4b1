//! A file is where a local socket was to be made.

use super::case::net::{self, EADDRINUSE};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Knob, KnobKind, Remedy, network};

const DECIDERS: &[&str] = &["unix_bind", "unix_bind_bsd", "unix_bind_abstract", "unix_mknod"];

pub(super) static CAUSE: Cause = Cause {
    slug: "socket-path-exists",
    title: "the path of a unix socket exists already",
    about: "\
bind(2) of a local socket fails with EADDRINUSE, \"Address already in use\", although nobody listens. unix_bind()
in net/unix/af_unix.c makes a file at the path, and whatever is there already, also the socket of a server that
ended, makes it fail; no option helps. An abstract name (one that begins with @) is taken only while somebody has it.

It surprises after a crash or a restart with the same volume: the file outlives the server, which would have to
remove it before it binds.",
    shows_as: &[("bind", "EADDRINUSE")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "binds a local socket, closes it, and binds another to its path, in a temporary folder",
        risk: "none",
        variants: &["stale", "abstract"],
    },
    see: &["unix(7)", "bind(2), EADDRINUSE", "net/unix/af_unix.c: unix_bind()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["bind"], EADDRINUSE)?;
    if !net::is_local(case) {
        return None;
    }
    let path = case.failure().local_path().unwrap_or("the path");
    let there = case.state(network::PATH).map(|s| s.value.as_str());
    let holder = case.state(network::LISTENER).map(|s| s.value.as_str()).filter(|v| *v != "none");
    let exists = match there {
        Some("absent") => Some(false),
        Some("socket" | "file" | "symbolic link") => Some(true),
        _ => holder.map(|_| true),
    };
    let weight = net::weigh(case, DECIDERS, exists, "what is at the path")?;
    let sentence = match holder {
        Some(who) => format!("{path} is taken: {who}."),
        None if path.starts_with('@') => format!("{path} is the name of another socket."),
        None => {
            format!("{path} exists already, and nobody listens on it: a server that ended left it behind.")
        }
    };
    let knob = Knob { kind: KnobKind::File, name: "socket path".into(), path: path.into() };
    Some(weight.proof(sentence, knob, net::cite_all(case, &[network::PATH, network::LISTENER])))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let path = case.failure().local_path().unwrap_or("PATH");
    vec![net::remedy(
        "now",
        &format!("rm {path}"),
        "only if nobody listens there (ss -xlp): clients of a living server would find nothing",
        "none: start the server again",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn what_is_at_the_path_proves_it() {
        let s = || scene("bind", libc::EADDRINUSE).socket(libc::AF_UNIX, libc::SOCK_STREAM).path("/run/x");
        let found =
            s().state(network::PATH, "socket").state(network::LISTENER, "none").judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.path.as_str()), (Confidence::Proven, "/run/x"));
        assert!(found.sentence.contains("left it behind"));
        assert!(s().state(network::PATH, "absent").judge(&CAUSE).is_none());
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Possible));
    }

    #[test]
    fn a_port_is_not_claimed() {
        assert!(scene("bind", libc::EADDRINUSE).tcp().to("0.0.0.0:80").judge(&CAUSE).is_none());
    }
}
