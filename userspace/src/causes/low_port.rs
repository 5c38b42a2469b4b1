//! A low port, without the right to it.

use super::case::net::{self, NET_BIND_SERVICE};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::network::PORT_START;
use crate::model::{Confidence, Errno, Remedy, spaced};

const DECIDERS: &[&str] = &["__inet_bind", "__inet6_bind", "inet_bind", "inet6_bind"];

pub(super) static CAUSE: Cause = Cause {
    slug: "low-port",
    title: "the port is below net.ipv4.ip_unprivileged_port_start",
    about: "\
bind(2) fails with EACCES, \"Permission denied\". __inet_bind() in net/ipv4/af_inet.c compares the port with
net.ipv4.ip_unprivileged_port_start of the network namespace (1024, unless it was set), and asks for
CAP_NET_BIND_SERVICE in the user namespace that owns the network namespace.

It surprises because the same image works elsewhere: docker sets the sysctl to 0 in a container's own network
namespace since 20.10, but with --network host the machine's value counts, other engines differ, and a rootless
container has no capability over the host's network namespace whatever its CapEff says.",
    shows_as: &[("bind", "EACCES")],
    deciders: DECIDERS,
    reads: &[&PORT_START],
    rivals: &[Rival {
        name: "the capability was there, and a security module refused",
        ruled_out_by: "CapEff and the owner of the network namespace at that instant",
        stands: |case| match net::net_capable(case, NET_BIND_SERVICE) {
            Some(false) => None,
            _ if case.returned("ns_capable") == Some(0) => None,
            _ => Some("whether CAP_NET_BIND_SERVICE counted there".into()),
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "binds to port 80 as an ordinary user in a network namespace of its own",
        risk: "none",
        variants: &["tcp", "udp"],
    },
    see: &[
        "https://docs.kernel.org/networking/ip-sysctl.html",
        "capabilities(7), CAP_NET_BIND_SERVICE",
        "net/ipv4/af_inet.c: __inet_bind(), inet_port_requires_bind_service()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["bind"], Errno::EACCES)?;
    let (_, port) = case.failure().internet()?;
    let start = case.failure().task.net.and_then(|net| net.port_start);
    let capable = net::net_capable(case, NET_BIND_SERVICE);
    let state = match (start, capable) {
        (Some(start), _) if u32::from(port) >= start => Some(false),
        (_, Some(true)) => Some(false),
        (Some(_), _) => Some(true),
        (None, _) if port == 0 || port >= 1024 => Some(false),
        (None, _) => None,
    };
    let mut weight =
        net::weigh_right(case, DECIDERS, state, "net.ipv4.ip_unprivileged_port_start at that instant")?;
    if start.is_none() {
        weight.confidence = weight.confidence.min(Confidence::Likely);
    }
    let words = start.map_or_else(|| "1 024 unless it was set".into(), |start| spaced(u64::from(start)));
    let sentence = format!(
        "Port {port} is below net.ipv4.ip_unprivileged_port_start ({words}), and {} has no CAP_NET_BIND_SERVICE in \
         the user namespace that owns the network.",
        case.failure().task.comm
    );
    let mut evidence = net::cite_capability(case, "CAP_NET_BIND_SERVICE");
    if let Some(start) = start {
        evidence.push(format!("at that instant net.ipv4.ip_unprivileged_port_start was {start} there"));
    }
    let mut proof = weight.proof(sentence, net::sysctl(PORT_START.id), evidence);
    proof.limit = start.map(u64::from);
    proof.usage = start.map(|_| u64::from(port));
    proof.unit = PORT_START.unit.into();
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (port, old) = (proof.usage.unwrap_or(80), proof.limit.unwrap_or(1024));
    vec![
        net::remedy(
            "now",
            &format!("docker run --sysctl net.ipv4.ip_unprivileged_port_start={port} …"),
            "for that container's network namespace alone; with the host's network use sysctl -w on the host",
            &format!(
                "start it without the option (on the host: sysctl -w net.ipv4.ip_unprivileged_port_start={old})"
            ),
        ),
        net::remedy(
            "for good",
            "listen on a port from 1024 up, and publish it: -p 80:8080",
            "needs no right at all",
            "the other way round",
        ),
        net::remedy(
            "or",
            "--cap-add NET_BIND_SERVICE",
            "for root in the container; others need it as ambient or file capability",
            "start it without",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;

    #[test]
    fn a_low_port_without_the_capability_is_proven() {
        let s = scene("bind", libc::EACCES).tcp().to("0.0.0.0:80").capabilities(0);
        let found = s.judge(&CAUSE).unwrap();
        assert_eq!(found.confidence, Confidence::Proven);
        assert_eq!(
            (found.knob.name.as_str(), found.limit, found.usage),
            (PORT_START.id, Some(1024), Some(80))
        );
    }

    #[test]
    fn a_high_port_or_a_capable_task_is_somebody_else_s() {
        assert!(scene("bind", libc::EACCES).tcp().to("0.0.0.0:8080").capabilities(0).judge(&CAUSE).is_none());
        assert!(scene("bind", libc::EACCES).tcp().to("0.0.0.0:80").judge(&CAUSE).is_none());
        assert!(scene("bind", libc::EACCES).socket(libc::AF_UNIX, 1).path("/x").judge(&CAUSE).is_none());
    }
}
