//! A ping socket, and a group that may not have one.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy, network};

const DECIDERS: &[&str] = &["ping_init_sock"];
/// `IPPROTO_ICMP` and `IPPROTO_ICMPV6`.
const PROTOCOLS: [u64; 2] = [1, 58];

pub(super) static CAUSE: Cause = Cause {
    slug: "ping-group-range",
    title: "the group is not in net.ipv4.ping_group_range",
    about: "\
socket(2) of a ping socket (SOCK_DGRAM with IPPROTO_ICMP) fails with EACCES, \"Permission denied\". ping_init_sock() in
net/ipv4/ping.c lets only groups between both numbers of net.ipv4.ping_group_range have one; no capability helps.

It surprises because the sysctl is each network namespace's own and starts as \"1 0\", nobody, in a new one: docker sets
it to all groups in containers since 20.10, other engines may not, and ping then falls back to a raw socket, for which
CAP_NET_RAW is missing.",
    shows_as: &[("socket", "EACCES")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a ping socket in a network namespace of its own, where nobody may have one",
        risk: "none",
        variants: &["icmp"],
    },
    see: &["icmp(7), ping_group_range", "net/ipv4/ping.c: ping_init_sock()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["socket"], Errno::EACCES)?;
    let failure = case.failure();
    let (kind, protocol) = (failure.number_arg("type")? & 0xf, failure.number_arg("protocol")?);
    if kind != libc::SOCK_DGRAM as u64 || !PROTOCOLS.contains(&protocol) {
        return None;
    }
    let range = case.state(network::PING_GROUPS).map(|s| s.value.clone());
    let nobody = range.as_ref().and_then(|text| {
        let mut ends = text.split_whitespace().map_while(|n| n.parse::<u64>().ok());
        let (low, high) = (ends.next()?, ends.next()?);
        // Which groups the task has is not known; where the range holds none it does not matter.
        (low > high).then_some(true)
    });
    // With this errno and this kind of socket there is no other reason in the kernel than the range.
    let mut weight =
        net::weigh(case, DECIDERS, nobody, "the groups of the task, to be held against the range")?;
    if nobody.is_none() && range.is_some() {
        weight.confidence = weight.confidence.max(crate::model::Confidence::Likely);
    }
    let words = range.unwrap_or_else(|| "not read".into()).replace('\t', " ");
    let sentence = format!(
        "No group of {} is in net.ipv4.ping_group_range of this network namespace ({words}).",
        failure.task.comm
    );
    Some(weight.proof(
        sentence,
        net::sysctl(network::PING_GROUPS),
        net::cite_all(case, &[network::PING_GROUPS]),
    ))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "now",
        "docker run --sysctl net.ipv4.ping_group_range='0 2147483647' …",
        "for that container's network namespace: everybody in it may send echo requests, and nothing else",
        "start it without the option",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn an_empty_range_proves_it() {
        let s = || scene("socket", libc::EACCES).number("domain", 2).number("type", 2).number("protocol", 1);
        assert_eq!(s().state(network::PING_GROUPS, "1\t0").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().state(network::PING_GROUPS, "0\t100").confidence(&CAUSE), Some(Confidence::Likely));
    }

    #[test]
    fn another_protocol_is_not_claimed() {
        let s = scene("socket", libc::EACCES).number("domain", 2).number("type", 2).number("protocol", 17);
        assert!(s.state(network::PING_GROUPS, "1\t0").judge(&CAUSE).is_none());
    }
}
