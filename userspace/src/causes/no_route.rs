//! No route leads to the destination.

use super::case::net::{self, ENETUNREACH, REACH};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Knob, Remedy, network};

const DECIDERS: &[&str] = &["fib_table_lookup", "ip6_null_entry"];

pub(super) static CAUSE: Cause = Cause {
    slug: "no-route",
    title: "no route leads to the destination",
    about: "\
connect(2) or sendto(2) fails at once with ENETUNREACH, \"Network is unreachable\": no packet was sent.
ip_route_output_key_hash_rcu() in net/ipv4/route.c finds no entry in the routing table of the network namespace, mostly
because there is no default route.

It surprises because the host reaches the address: a container has its own table. With --network none, with an
internal network, before the engine or the CNI plugin has set the interface up, or when only IPv6 resolves and
there is no IPv6 route, there is none.",
    shows_as: &[("connect", "ENETUNREACH"), ("sendto", "ENETUNREACH"), ("sendmsg", "ENETUNREACH")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "connects in a network namespace of its own, which has no route at all",
        risk: "none",
        variants: &["tcp", "udp"],
    },
    see: &["ip-route(8)", "ip(7), ENETUNREACH", "net/ipv4/route.c: ip_route_output_key_hash_rcu()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(REACH, ENETUNREACH)?;
    let route = case.state(network::ROUTE).map(|s| s.value.as_str());
    let state = route.map(|answer| answer == "ENETUNREACH");
    let weight = net::weigh(case, DECIDERS, state, "what the routing table says to the destination")?;
    let sentence =
        format!("The routing table of this network namespace has no route to {}.", net::destination(case));
    Some(weight.proof(sentence, table(), net::cite_all(case, &[network::ROUTE, network::ENTRY])))
}

/// What is to be changed.
fn table() -> Knob {
    Knob { path: "/proc/<pid>/net/route".into(), ..net::other("routing table") }
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n ip route"),
            "shows what there is (any process of the container will do for -t)",
            "reads only",
        ),
        net::remedy(
            "for good",
            "docker network connect NETWORK CONTAINER",
            "a network that is not internal brings a default route; in Kubernetes look at the CNI plugin of that node",
            "docker network disconnect NETWORK CONTAINER",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn the_same_answer_again_proves_it() {
        let s = || scene("connect", libc::ENETUNREACH).tcp().to("192.0.2.1:80");
        assert_eq!(s().state(network::ROUTE, "ENETUNREACH").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Possible));
        assert!(s().state(network::ROUTE, "unicast").judge(&CAUSE).is_none());
    }

    #[test]
    fn another_errno_is_not_claimed() {
        let s = scene("connect", libc::EHOSTUNREACH).tcp().to("192.0.2.1:80");
        assert!(s.state(network::ROUTE, "ENETUNREACH").judge(&CAUSE).is_none());
    }
}
