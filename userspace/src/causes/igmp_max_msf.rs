//! One multicast group of a socket has too many sources.

use super::case::claim::{self, cite_state, knob};
use super::case::net::{self, ENOBUFS};
use super::case::remedies;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::network::OPTMEM;
use crate::model::{Confidence, KnobKind, Reading, Remedy, network};

const DECIDERS: &[&str] = &[
    "ip_mc_source",
    "ip_mc_msfilter",
    "ip6_mc_source",
    "ip6_mc_msfilter",
    "ip_set_mcast_msfilter",
    "set_mcast_msfilter",
];
const CALLERS: &[&str] = &[
    "do_ip_setsockopt",
    "do_ipv6_setsockopt",
    "ip_setsockopt",
    "ipv6_setsockopt",
    "do_mcast_group_source",
    "do_sock_setsockopt",
    "sock_common_setsockopt",
    "udp_setsockopt",
    "__sys_setsockopt",
];
/// (level, option, the sysctl): IP_ADD_SOURCE_MEMBERSHIP, IP_BLOCK_SOURCE, IP_MSFILTER, and the MCAST_* ones (linux/in.h).
const OPTIONS: &[(i32, i32, &str)] = &[
    (0, 38, network::MAX_MSF),
    (0, 39, network::MAX_MSF),
    (0, 41, network::MAX_MSF),
    (0, 43, network::MAX_MSF),
    (0, 46, network::MAX_MSF),
    (0, 48, network::MAX_MSF),
    (41, 43, network::MAX_MSF_V6),
    (41, 46, network::MAX_MSF_V6),
    (41, 48, network::MAX_MSF_V6),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "igmp-max-msf",
    title: "one multicast group of the socket has too many sources (net.ipv4.igmp_max_msf)",
    about: "\
setsockopt(2) that names a source for a multicast group (IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_SOURCE_GROUP, IP_MSFILTER) fails with \
ENOBUFS, \"No buffer space available\", and no buffer is full: ip_mc_source() in net/ipv4/igmp.c lets a group of a socket have \
net.ipv4.igmp_max_msf sources, 10 by default (net.ipv6.mld_max_msf, 64). Each network namespace begins with the default, whatever \
the host was set to, so that a receiver of television or market data with many sources works on the host and not in its container.",
    shows_as: &[("setsockopt", "ENOBUFS")],
    deciders: &["ip_mc_source", "ip_mc_msfilter", "ip6_mc_source"],
    reads: &[],
    rivals: &[Rival {
        name: "net.core.optmem_max",
        ruled_out_by: "room for more options on the socket",
        stands: |case| {
            let full = case.reading(&OPTMEM).and_then(Reading::exceeded) == Some(true);
            full.then(|| "the socket has no room for more options".into())
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "names one source too many for a group, in a network namespace of its own",
        risk: "none",
        variants: &["source"],
    },
    see: &[
        "ip(7), IP_ADD_SOURCE_MEMBERSHIP",
        "net/ipv4/igmp.c: ip_mc_source(), ip_mc_msfilter()",
        "https://docs.kernel.org/networking/ip-sysctl.html: igmp_max_msf",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["setsockopt"], ENOBUFS)?;
    let number = |name| case.failure().number_arg(name).map(|n| n as i32);
    let asked = (number("level")?, number("optname")?);
    let (.., name) = OPTIONS.iter().find(|(level, option, _)| (*level, *option) == asked)?;
    let most = case.state(name).and_then(|s| s.value.parse().ok());
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, None)?;
    weighed.confidence = weighed.confidence.max(Confidence::Likely);
    weighed.missing = vec!["how many sources the group of the socket has: /proc/net/mcfilter".into()];
    let allowed = most.map_or_else(String::new, |most: u64| format!(", and {name} allows {most}"));
    let sentence = format!(
        "{} adds a source to a multicast group that has as many as it may{allowed}.",
        case.failure().task.comm
    );
    let knob = knob(KnobKind::Sysctl, name, format!("/proc/sys/{}", name.replace('.', "/")));
    let mut proof = weighed.proof(case, DECIDERS, sentence, knob).because(cite_state(case, name));
    (proof.limit, proof.unit) = (most, "sources".into());
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let old = proof.limit.unwrap_or(10);
    let to = old.saturating_mul(10).max(100).to_string();
    let mut all = vec![net::remedy(
        "now",
        &format!("docker run --sysctl {}={to} …", proof.knob.name),
        "for the network namespace of that container",
        "start it without the option",
    )];
    all.extend(remedies::sysctl(
        &proof.knob.name,
        &to,
        Some(&old.to_string()),
        "for this network namespace, at once",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;

    fn asked(errno: i32, level: u64, option: u64) -> Option<(Confidence, Option<u64>)> {
        let s = scene("setsockopt", errno).udp().number("level", level).number("optname", option);
        s.state(network::MAX_MSF, "10").judge(&CAUSE).map(|f| (f.confidence, f.limit))
    }

    #[test]
    fn only_options_that_name_a_source() {
        assert_eq!(asked(libc::ENOBUFS, 0, 39), Some((Confidence::Likely, Some(10))));
        assert_eq!(asked(libc::ENOBUFS, 0, 35), None, "joining a group has a limit of its own");
        assert_eq!(asked(libc::ENOMEM, 0, 39), None);
    }
}
