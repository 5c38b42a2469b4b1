//! A route leads over a gateway that no interface reaches.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Remedy};

const DECIDERS: &[&str] = &[
    "fib_check_nh",
    "fib_check_nh_v4_gw",
    "fib_create_info",
    "fib_check_nh_nongw",
    "ip6_route_check_nh",
    "ip6_validate_gw",
    "nh_create_ipv4",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "gateway-unreachable",
    title: "the gateway of the route is on no network of an interface that is up",
    about: "\
`ip route add` or a CNI plugin fails with ENETUNREACH, \"RTNETLINK answers: Network is unreachable\" (or \"Nexthop has invalid
gateway\"), with ENETDOWN or EINVAL. fib_check_nh() in net/ipv4/fib_semantics.c takes a gateway only when a direct route to it
is there, which an interface brings once it is up and has an address.

It surprises because the command looks right: the order is wrong, the interface is still down, or the gateway is outside
the address's prefix (a /32 address needs `onlink`).",
    shows_as: &[("netlink RTM_NEWROUTE", "ENETUNREACH"), ("netlink RTM_NEWROUTE", "EHOSTUNREACH"), ("netlink RTM_NEWROUTE", "ENETDOWN")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own"),
    see: &["ip-route(8), onlink", "net/ipv4/fib_semantics.c: fib_check_nh()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused =
        net::refused(case, &["RTM_NEWROUTE"], &[libc::ENETUNREACH, libc::EHOSTUNREACH, libc::ENETDOWN])?;
    let said =
        net::says(refused, &["gateway", "nexthop", "not up", "carrier", "not direct"]).filter(|said| *said);
    let mut weight = net::weigh(case, DECIDERS, said, "the gateway that the request names")?;
    weight.confidence = weight.confidence.max(Confidence::Likely);
    let said = refused.message.as_ref().map_or_else(String::new, |m| format!(" ({m})"));
    let sentence =
        format!("The route is not taken: no interface that is up has a direct route to its gateway{said}.");
    Some(weight.proof(sentence, net::other("routing table"), net::cite_request(refused)))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n ip -br addr"),
            "is the interface UP, and is the gateway inside its prefix?",
            "reads only",
        ),
        net::remedy(
            "for good",
            "ip route add … via GATEWAY dev DEV onlink",
            "for a gateway outside the prefix that is on that link all the same",
            "ip route del …",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::{request, scene};

    #[test]
    fn the_kernel_s_sentence_proves_it() {
        let s = |message: Option<&str>| {
            request("RTM_NEWROUTE", libc::ENETUNREACH, |n| n.message = message.map(str::to_string))
        };
        assert_eq!(s(Some("Nexthop has invalid gateway")).confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s(None).confidence(&CAUSE), Some(Confidence::Likely));
    }

    #[test]
    fn a_connection_is_not_claimed() {
        assert!(scene("connect", libc::ENETUNREACH).tcp().to("192.0.2.1:80").judge(&CAUSE).is_none());
    }
}
