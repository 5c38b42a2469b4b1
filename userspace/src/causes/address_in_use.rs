//! Somebody has the port already.

use super::case::net::{self, EADDRINUSE};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Remedy, network};

const DECIDERS: &[&str] =
    &["inet_csk_get_port", "udp_lib_get_port", "inet_csk_bind_conflict", "udp_v4_get_port"];

pub(super) static CAUSE: Cause = Cause {
    slug: "address-in-use",
    title: "another socket has the port",
    about: "\
bind(2) or listen(2) fails with EADDRINUSE, \"Address already in use\". inet_csk_get_port() in
net/ipv4/inet_connection_sock.c (udp_lib_get_port() for UDP) looks the port up among the sockets of the network
namespace. A socket on 0.0.0.0 has the port on every address, and one on :: mostly that of IPv4 as well.

It surprises because ss inside another network namespace shows nothing: containers of one pod, and those with
the host's network, share one; and connections of an earlier server that are in TIME_WAIT hold its port for a
minute unless the new one sets SO_REUSEADDR.",
    shows_as: &[("bind", "EADDRINUSE"), ("listen", "EADDRINUSE")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "all ports of the range are used up (bind to port 0)",
        ruled_out_by: "a port that the caller named",
        stands: no_port_named,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "binds two sockets to one port in a network namespace of its own",
        risk: "none",
        variants: &["tcp", "udp"],
    },
    see: &["bind(2)", "socket(7), SO_REUSEADDR", "net/ipv4/inet_connection_sock.c: inet_csk_get_port()"],
};

fn no_port_named(case: &Case<'_>) -> Option<String> {
    let (call, _) = case.failure().syscall()?;
    let named = case.failure().internet().is_some_and(|(_, port)| port != 0);
    (call == "bind" && !named).then(|| "the caller left the port to the kernel, or it was not read".into())
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["bind", "listen"], EADDRINUSE)?;
    if !net::is_internet(case) || case.failure().internet().is_some_and(|(_, port)| port == 0) {
        return None;
    }
    let holder = case.state(network::HOLDER);
    let weight =
        net::weigh(case, DECIDERS, holder.map(|_| true), "who has the port: it was not found any more")?;
    let at = net::destination(case);
    let sentence = match holder {
        Some(state) => format!("{at} is taken: {}.", state.value),
        None => format!("{at} is taken by another socket of the same network namespace."),
    };
    Some(weight.proof(sentence, net::other("listening sockets"), net::cite_all(case, &[network::HOLDER])))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let port = case.failure().internet().map_or_else(|| "PORT".into(), |(_, port)| port.to_string());
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n ss -lntup 'sport = :{port}'"),
            "shows who has it (any process of that network namespace will do for -t); stop that, or take another port",
            "reads only",
        ),
        net::remedy(
            "for good",
            "set SO_REUSEADDR before bind(2)",
            "in a server that is restarted: TIME_WAIT no longer holds its port",
            "leave it out",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn a_holder_that_was_found_proves_it() {
        let s = || scene("bind", libc::EADDRINUSE).tcp().to("0.0.0.0:8080");
        let found =
            s().state(network::HOLDER, "tcp 0.0.0.0:8080 listening, of nginx (pid 7)").judge(&CAUSE).unwrap();
        assert_eq!(found.confidence, Confidence::Proven);
        assert!(found.sentence.contains("nginx"));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Possible));
        assert_eq!(s().decided("inet_csk_get_port").confidence(&CAUSE), Some(Confidence::Proven));
    }

    #[test]
    fn a_local_socket_or_a_port_of_the_kernel_s_choice_is_not_claimed() {
        let local = scene("bind", libc::EADDRINUSE).socket(libc::AF_UNIX, libc::SOCK_STREAM).path("/run/x");
        assert!(local.judge(&CAUSE).is_none());
        assert!(scene("bind", libc::EADDRINUSE).tcp().to("0.0.0.0:0").judge(&CAUSE).is_none());
    }
}
