//! The socket is in as many multicast groups as it may be.

use super::case::ceiling::Ceiling;
use super::case::net::{self, ENOBUFS};
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::MEMBERSHIPS;
use crate::model::{Remedy, spaced};

const CEILING: Ceiling = Ceiling {
    limit: &MEMBERSHIPS,
    deciders: &["__ip_mc_join_group", "ip_mc_join_group", "ip_mc_join_group_ssm"],
    callers: &[
        "do_ip_setsockopt",
        "ip_setsockopt",
        "do_mcast_group_source",
        "do_sock_setsockopt",
        "udp_setsockopt",
        "__sys_setsockopt",
        "sock_common_setsockopt",
    ],
};

/// Options that join a group (linux/in.h): with or without a source.
const JOINS: &[u64] = &[
    libc::IP_ADD_MEMBERSHIP as u64,
    libc::IP_ADD_SOURCE_MEMBERSHIP as u64,
    // MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP
    42,
    46,
];

pub(super) static CAUSE: Cause = Cause {
    slug: "igmp-max-memberships",
    title: "one socket may not join another multicast group (net.ipv4.igmp_max_memberships)",
    about: "\
setsockopt(2) with IP_ADD_MEMBERSHIP fails with ENOBUFS, \"No buffer space available\". __ip_mc_join_group() in
net/ipv4/igmp.c counts the groups of the socket and stops at net.ipv4.igmp_max_memberships, which is 20.

It surprises because no buffer is involved, and because the sysctl is each network namespace's own: what was raised on
the host does not count in a container.",
    shows_as: &[("setsockopt", "ENOBUFS")],
    deciders: CEILING.deciders,
    reads: &[&MEMBERSHIPS],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers the limit to 1 in a network namespace of its own, and joins two groups",
        risk: "none",
        variants: &["join"],
    },
    see: &["ip(7), IP_ADD_MEMBERSHIP", "https://docs.kernel.org/networking/ip-sysctl.html", "net/ipv4/igmp.c: __ip_mc_join_group()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["setsockopt"], ENOBUFS)?;
    let failure = case.failure();
    let ours = failure.number_arg("level") == Some(libc::IPPROTO_IP as u64)
        && failure.number_arg("optname").is_some_and(|option| JOINS.contains(&option));
    if !ours {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let sentence = match judged.reached.and_then(|r| Some((r.usage?, r.ceiling?))) {
        Some((used, most)) => format!(
            "Multicast groups of the socket: {}; net.ipv4.igmp_max_memberships allows {}.",
            spaced(used),
            spaced(most)
        ),
        None => "The socket may not join another multicast group.".into(),
    };
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let old = proof.limit.unwrap_or(20);
    let new = old.saturating_mul(10).max(200);
    vec![
        net::remedy(
            "now",
            &format!("docker run --sysctl net.ipv4.igmp_max_memberships={new} …"),
            "for that container's network namespace; on the host: sysctl -w",
            &format!("start it without the option (sysctl -w net.ipv4.igmp_max_memberships={old})"),
        ),
        net::remedy("or", "a second socket for further groups", "each has a count of its own", "one socket"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::reading;
    use crate::model::Confidence;

    #[test]
    fn a_full_list_at_that_instant_is_proven() {
        let s = |used| {
            scene("setsockopt", libc::ENOBUFS).number("level", 0).number("optname", 35).reading(reading(
                &MEMBERSHIPS,
                used,
                20,
            ))
        };
        let found = s(20).judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.limit, found.usage), (Confidence::Proven, Some(20), Some(20)));
        assert!(s(3).judge(&CAUSE).is_none());
    }

    #[test]
    fn another_option_or_errno_is_not_claimed() {
        let s = |errno, option| {
            scene("setsockopt", errno).number("level", 0).number("optname", option).reading(reading(
                &MEMBERSHIPS,
                20,
                20,
            ))
        };
        assert!(s(libc::ENOBUFS, 64).judge(&CAUSE).is_none());
        assert!(s(libc::ENOMEM, 35).judge(&CAUSE).is_none());
    }
}
