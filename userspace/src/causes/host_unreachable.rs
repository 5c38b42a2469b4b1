//! Nobody answers for the address, or somebody on the way says that it is not there.

use super::case::net::{self, EHOSTUNREACH};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Remedy, network};

pub(super) static CAUSE: Cause = Cause {
    slug: "host-unreachable",
    title: "no machine answers for the address on the local network",
    about: "\
connect(2) fails after about three seconds with EHOSTUNREACH, \"No route to host\", although there is a route. The
address is on a network that an interface is part of, nobody answered the ARP (or IPv6 neighbour) questions for it, and
ipv4_link_failure() in net/ipv4/route.c hands the failure to the waiting socket. A firewall that rejects with ICMP says
the same at once.

It surprises because the text speaks of routes: mostly the container or pod behind the address is gone, and a name or a
service still points to it.",
    shows_as: &[
        ("connect", "EHOSTUNREACH"),
        ("sendto", "EHOSTUNREACH"),
        ("recvfrom", "EHOSTUNREACH"),
        ("read", "EHOSTUNREACH"),
    ],
    deciders: &["ipv4_link_failure", "arp_error_report"],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("the kernel takes three seconds to give the questions up, and needs a second network namespace to ask into"),
    see: &["arp(7)", "net/ipv4/route.c: ipv4_link_failure()", "net/ipv4/arp.c: arp_error_report()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "read", "write"], EHOSTUNREACH)?;
    // A route of type unreachable is another cause.
    if super::route_refuses::has_route(case) == Some(false) {
        return None;
    }
    let unanswered = case.state(network::NEIGHBOUR).map(|s| s.value == "incomplete").filter(|x| *x);
    let mut weight =
        net::weigh(case, CAUSE.deciders, unanswered, "whether the address has answered: ip neigh")?;
    if unanswered.is_none() {
        weight.confidence = weight.confidence.min(Confidence::Likely);
    }
    let at = net::destination(case);
    let sentence = match unanswered {
        Some(_) => format!("Nobody on the local network answers for {at}: the ARP entry has no address."),
        None => format!(
            "{at} cannot be reached although there is a route: nobody answered for it, or a firewall rejects it."
        ),
    };
    Some(weight.proof(
        sentence,
        net::other("neighbour"),
        net::cite_all(case, &[network::NEIGHBOUR, network::ROUTE, network::ENTRY]),
    ))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![net::remedy(
        "now",
        &format!("nsenter -t {pid} -n ip neigh"),
        "FAILED or INCOMPLETE: nobody has the address; look whether the name or service still points to a container that ended",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;

    #[test]
    fn an_unanswered_question_proves_it() {
        let s =
            || scene("connect", libc::EHOSTUNREACH).tcp().to("10.0.0.9:80").state(network::ROUTE, "unicast");
        assert_eq!(s().state(network::NEIGHBOUR, "incomplete").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Possible));
    }

    #[test]
    fn a_route_of_type_unreachable_is_not_claimed() {
        let s = scene("connect", libc::EHOSTUNREACH).tcp().to("10.0.0.9:80");
        assert!(s.state(network::ROUTE, "EHOSTUNREACH").judge(&CAUSE).is_none());
    }
}
