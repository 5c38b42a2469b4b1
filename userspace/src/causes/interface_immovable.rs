//! An interface that cannot leave its network namespace.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Remedy, network};

const DECIDERS: &[&str] = &["__dev_change_net_namespace", "dev_change_net_namespace"];

pub(super) static CAUSE: Cause = Cause {
    slug: "interface-immovable",
    title: "the interface cannot leave its network namespace",
    about: "\
`ip link set DEV netns NS`, or an engine that moves an interface, fails with EINVAL, \"RTNETLINK answers: Invalid argument\".
__dev_change_net_namespace() in net/core/dev.c moves no interface that is bound to its network namespace: lo, bridges, bonds'
and teams' masters, VXLAN and tunnel fallback devices (NETIF_F_NETNS_LOCAL; ethtool -k shows netns-local: on).

It surprises because moving works for veth, macvlan and physical interfaces, and the text says nothing of it.",
    shows_as: &[("netlink RTM_NEWLINK", "EINVAL"), ("netlink RTM_SETLINK", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own"),
    see: &["ip-link(8), netns", "network_namespaces(7)", "net/core/dev.c: __dev_change_net_namespace()"],
};

/// Kinds of interfaces that their drivers bind to their namespace, besides lo.
const BOUND: &[&str] = &["bridge", "bond", "team", "vxlan", "vrf", "openvswitch", "geneve", "batadv", "hsr"];

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = net::refused(case, &["RTM_NEWLINK", "RTM_SETLINK"], &[libc::EINVAL])?;
    let interface = case.state(network::INTERFACE).map(|s| s.value.as_str());
    // lo is always the first (net/core/net_namespace.c).
    let is_lo = refused.index == Some(1) || refused.interface.as_deref() == Some("lo");
    let bound = is_lo || interface.is_some_and(|i| BOUND.iter().any(|kind| i.starts_with(kind)));
    let said = net::says(refused, &["immutable", "netns local", "namespace local"]);
    let seen = case.verdict(DECIDERS).is_some();
    // A new interface is not moved, and EINVAL alone says nothing.
    if said != Some(true) && !seen && !bound || said == Some(false) {
        return None;
    }
    let mut weight =
        net::weigh(case, DECIDERS, said.filter(|said| *said), "whether the request was to move it")?;
    if weight.confidence == Confidence::Possible {
        weight.confidence = Confidence::Likely;
    }
    let name = if is_lo { "lo" } else { refused.interface.as_deref().unwrap_or("the interface") };
    let sentence =
        format!("{name} belongs to its network namespace for good and cannot be moved to another one.");
    let evidence = [net::cite_request(refused), net::cite_all(case, &[network::INTERFACE])].concat();
    Some(weight.proof(sentence, net::other("NETIF_F_NETNS_LOCAL"), evidence))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "for good",
        "ip netns exec NS ip link add …",
        "make the interface inside the namespace, or put one end of a veth pair there",
        "ip netns exec NS ip link del …",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;

    #[test]
    fn the_kernel_s_word_or_its_decider_proves_it() {
        let lo = || request("RTM_NEWLINK", libc::EINVAL, |n| n.index = Some(1));
        assert_eq!(lo().confidence(&CAUSE), Some(Confidence::Likely));
        assert_eq!(lo().decided("__dev_change_net_namespace").confidence(&CAUSE), Some(Confidence::Proven));
        let said = request("RTM_NEWLINK", libc::EINVAL, |n| {
            n.message = Some("The interface netns is immutable".into())
        });
        assert_eq!(said.confidence(&CAUSE), Some(Confidence::Proven));
    }

    #[test]
    fn a_bare_einval_is_not_claimed() {
        assert!(request("RTM_NEWLINK", libc::EINVAL, |_| ()).judge(&CAUSE).is_none());
        let other = request("RTM_NEWLINK", libc::EINVAL, |n| n.message = Some("Invalid mtu".into()));
        assert!(other.judge(&CAUSE).is_none());
    }
}
