//! What a netlink request was to remove or to use is not there.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Remedy};

const DECIDERS: &[&str] = &[
    "inet_rtm_deladdr",
    "inet6_addr_del",
    "inet6_rtm_deladdr",
    "fib_table_delete",
    "ip6_route_del",
    "fib_nl_delrule",
    "fib_delrule",
    "neigh_delete",
    "tc_get_qdisc",
    "rtnl_link_get_net_capable",
    "rtnl_link_get_net_ifla",
    "get_net_ns_by_pid",
    "rtnl_get_net_ns_capable",
];
/// (request, errno, what is missing, where it would be).
const REQUESTS: &[(&str, i32, &str, &str)] = &[
    ("RTM_DELADDR", libc::EADDRNOTAVAIL, "address", "addresses"),
    ("RTM_DELROUTE", libc::ESRCH, "route", "routing table"),
    ("RTM_DELRULE", libc::ENOENT, "routing rule", "routing rules"),
    ("RTM_DELNEIGH", libc::ENOENT, "neighbour", "neighbour table"),
    ("RTM_DELQDISC", libc::ENOENT, "queueing discipline", "queueing disciplines"),
    ("RTM_DELQDISC", libc::EINVAL, "queueing discipline", "queueing disciplines"),
    ("RTM_NEWLINK", libc::ESRCH, "process whose network namespace it was to go to", "network namespace"),
    ("RTM_SETLINK", libc::ESRCH, "process whose network namespace it was to go to", "network namespace"),
    ("RTM_NEWLINK", libc::EBADF, "network namespace behind the descriptor", "network namespace"),
    ("RTM_NEWQDISC", libc::ENOENT, "queueing discipline of this kind in the kernel", "queueing disciplines"),
    ("RTM_NEWTFILTER", libc::ENOENT, "filter of this kind in the kernel", "filters"),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "network-object-missing",
    title: "there is no such address, route, rule or namespace",
    about: "\
A network plugin, or ip(8), fails to remove or move something that is not there: an address with EADDRNOTAVAIL, \"Cannot assign \
requested address\", a route with ESRCH, \"No such process\", a rule with ENOENT, \"No such file or directory\". inet_rtm_deladdr(), \
fib_table_delete() and fib_nl_delrule() look for exactly what the request describes: another prefix length, metric, table or \
interface is another object. ESRCH of a request that moves an interface means what it says: the process whose network namespace was \
named has ended, a container that died while its network was being made.

It surprises because the words speak of processes and files. What a cleanup does not find is mostly gone with the interface, or was \
removed by somebody else; that is no damage.",
    shows_as: &[
        ("netlink RTM_DELADDR", "EADDRNOTAVAIL"),
        ("netlink RTM_DELROUTE", "ESRCH"),
        ("netlink RTM_DELRULE", "ENOENT"),
        ("netlink RTM_NEWLINK", "ESRCH"),
        ("netlink RTM_NEWQDISC", "ENOENT"),
    ],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own; the errno is the kernel's plainest"),
    see: &[
        "rtnetlink(7), ip(8)",
        "net/ipv4/devinet.c: inet_rtm_deladdr(); net/ipv4/fib_trie.c: fib_table_delete(); net/core/net_namespace.c: get_net_ns_by_pid()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = case.failure().netlink()?;
    let (_, _, what, knob) =
        REQUESTS.iter().find(|row| row.0 == refused.request && row.1 == refused.errno.0)?;
    let mut weight = net::weigh(case, DECIDERS, None, "what there was: ip addr, ip route, ip rule")?;
    // Each of these requests has this errno for nothing else.
    weight.confidence = weight.confidence.max(Confidence::Likely);
    let on = refused.interface.as_deref().map_or_else(String::new, |name| format!(" ({name})"));
    let sentence = format!("There is no such {what}{on}, as {} describes it.", refused.request);
    Some(weight.proof(sentence, net::other(knob), net::cite_request(refused)))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![net::remedy(
        "find it",
        &format!("nsenter -t {pid} -n sh -c 'ip addr; ip route show table all; ip rule; tc qdisc'"),
        "what there is, with prefix lengths, metrics and tables: a removal must name them as they are",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;

    #[test]
    fn what_is_not_there_is_named() {
        let f = request("RTM_DELROUTE", libc::ESRCH, |_| ()).judge(&CAUSE).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Likely, "routing table"));
        let moved =
            request("RTM_NEWLINK", libc::ESRCH, |n| n.interface = Some("eth0".into())).judge(&CAUSE).unwrap();
        assert!(moved.sentence.contains("process") && moved.sentence.contains("eth0"), "{}", moved.sentence);
    }

    #[test]
    fn other_errnos_are_not_claimed() {
        assert!(request("RTM_DELROUTE", libc::EPERM, |_| ()).judge(&CAUSE).is_none());
        assert!(request("RTM_NEWADDR", libc::EADDRNOTAVAIL, |_| ()).judge(&CAUSE).is_none());
    }
}
