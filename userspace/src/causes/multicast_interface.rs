//! A multicast group cannot be joined, for no interface is found for it.

use super::case::claim::{self, knob, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};
use std::net::Ipv4Addr;

const ENODEV: Errno = Errno(libc::ENODEV);
const DECIDERS: &[&str] = &[
    "__ip_mc_join_group",
    "ip_mc_join_group",
    "ip_mc_find_dev",
    "__ipv6_sock_mc_join",
    "ipv6_sock_mc_join",
    "ip_mc_source",
];
const CALLERS: &[&str] = &[
    "do_ip_setsockopt",
    "do_ipv6_setsockopt",
    "ip_setsockopt",
    "ipv6_setsockopt",
    "udp_setsockopt",
    "sock_common_setsockopt",
    "do_sock_setsockopt",
    "__sys_setsockopt",
    "do_mcast_group_source",
    "ip_mcast_join_leave",
    "ipv6_mcast_join_leave",
];
/// IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP; MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP; IPV6_JOIN_GROUP (linux/in.h).
const OPTIONS: &[(i32, i32)] = &[(0, 35), (0, 39), (0, 42), (0, 46), (41, 20), (41, 42), (41, 46)];

pub(super) static CAUSE: Cause = Cause {
    slug: "multicast-interface",
    title: "no interface is found for the multicast group",
    about: "\
setsockopt(2) with IP_ADD_MEMBERSHIP or IPV6_JOIN_GROUP fails with ENODEV, \"No such device\": the caller named no interface, and \
ip_mc_find_dev() in net/ipv4/igmp.c takes the one that a route to the group leads to; or it named one by an address or a number that \
the network namespace does not have. A container without default route (an internal network, --network none, a namespace in which \
only lo is up) has no such route, and an address of the host's configuration is not the container's.

It meets clusters that find their members by multicast (Hazelcast, JGroups, Infinispan, corosync), mDNS and media streams; engines \
do not hand multicast on to other hosts anyway.",
    shows_as: &[("setsockopt", "ENODEV")],
    deciders: &["__ip_mc_join_group", "ip_mc_find_dev", "__ipv6_sock_mc_join"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "joins a group in a network namespace in which no route leads to it",
        risk: "none",
        variants: &["route"],
    },
    see: &["ip(7), IP_ADD_MEMBERSHIP, ENODEV", "net/ipv4/igmp.c: ip_mc_find_dev(); net/ipv6/mcast.c: __ipv6_sock_mc_join()"],
};

/// `struct ip_mreq` or `ip_mreqn`: the group, the interface's address.
fn addresses(case: &Case<'_>) -> Option<(Ipv4Addr, Ipv4Addr)> {
    let bytes = case.failure().option()?;
    let four = |at: usize| <[u8; 4]>::try_from(bytes.get(at..at + 4)?).ok().map(Ipv4Addr::from);
    Some((four(0)?, four(4)?))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["setsockopt"], ENODEV)?;
    let number = |name| case.failure().number_arg(name).map(|n| n as i32);
    let asked = (number("level")?, number("optname")?);
    if !OPTIONS.contains(&asked) {
        return None;
    }
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, None)?;
    // These options have this errno for nothing else.
    weighed.confidence = weighed.confidence.max(Confidence::Likely);
    weighed.missing = vec!["the routes and addresses of the network namespace at that instant".into()];
    let who = &case.failure().task.comm;
    let (sentence, name) = match addresses(case).filter(|_| asked == (0, 35)) {
        Some((group, Ipv4Addr::UNSPECIFIED)) => (
            format!(
                "{who} joins {group} and names no interface, and no route of this network namespace leads there."
            ),
            "routing table",
        ),
        Some((group, own)) => (
            format!(
                "{who} joins {group} on the interface of {own}, and no interface of this network namespace has that address."
            ),
            "interface address",
        ),
        None => (
            format!(
                "{who} joins a multicast group for which this network namespace has no route, or no such interface."
            ),
            "routing table",
        ),
    };
    Some(weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Other, name, "")))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        step(
            "find it",
            format!("nsenter -t {pid} -n ip route get 224.0.0.1; nsenter -t {pid} -n ip -br addr"),
            "which interface would be taken, and the addresses there are",
            "reads only",
        ),
        step(
            "now",
            format!("nsenter -t {pid} -n ip route add 224.0.0.0/4 dev eth0"),
            "groups are joined on that interface then",
            format!("nsenter -t {pid} -n ip route del 224.0.0.0/4 dev eth0"),
        ),
        step(
            "for good",
            "name the interface in the program's configuration, or find members by DNS or a list",
            "multicast ends at the engine's bridge; --network host joins the host's",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::ArgValue;

    fn joined(errno: i32, option: u64, interface: [u8; 4]) -> Option<(Confidence, String)> {
        let request = [[224, 1, 2, 3], interface].concat();
        let s = scene("setsockopt", errno).udp().number("level", 0).number("optname", option);
        s.arg("optval", ArgValue::Bytes(request)).judge(&CAUSE).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn a_group_without_route_and_an_address_of_somewhere_else() {
        let some = |name: &str| Some((Confidence::Likely, name.to_string()));
        assert_eq!(joined(libc::ENODEV, 35, [0; 4]), some("routing table"));
        assert_eq!(joined(libc::ENODEV, 35, [10, 0, 0, 1]), some("interface address"));
        assert_eq!(joined(libc::ENOBUFS, 35, [0; 4]), None);
        assert_eq!(joined(libc::ENODEV, 25, [0; 4]), None);
    }
}
