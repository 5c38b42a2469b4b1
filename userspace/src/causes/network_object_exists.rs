//! What a netlink request was to create is there already.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Remedy, network};

const DECIDERS: &[&str] = &[
    "rtnl_newlink",
    "__rtnl_newlink",
    "rtnl_newlink_create",
    "__dev_change_net_namespace",
    "dev_change_net_namespace",
    "dev_prep_valid_name",
    "__dev_alloc_name",
    "fib_table_insert",
    "__inet_insert_ifa",
    "inet6_addr_add",
    "ipv6_add_addr",
    "fib6_add_rt2node",
    "fib_nl_newrule",
    "neigh_add",
    "register_netdevice",
];
const REQUESTS: &[(&str, &str, &str)] = &[
    ("RTM_NEWLINK", "interface", "interface names"),
    ("RTM_SETLINK", "interface", "interface names"),
    ("RTM_NEWADDR", "address", "addresses"),
    ("RTM_NEWROUTE", "route", "routing table"),
    ("RTM_NEWRULE", "routing rule", "routing rules"),
    ("RTM_NEWNEIGH", "neighbour", "neighbour table"),
    ("RTM_NEWQDISC", "queueing discipline", "queueing disciplines"),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "network-object-exists",
    title: "an interface, address or route of that kind exists already",
    about: "\
`ip link add`, an engine or a CNI plugin fails with EEXIST, \"RTNETLINK answers: File exists\": no file is meant. The
request comes back with the errno in its acknowledgement, while sendto(2) succeeds, so strace shows nothing.
rtnl_newlink() in net/core/rtnetlink.c finds the name of the interface in the network namespace; for addresses and routes
it is the same address, or the same destination and priority.

It surprises when containers are made again after a crash: the host's end of their veth pair, or a bridge's address, was
left behind; and when an interface that moves back to the host's namespace meets one of its name.",
    shows_as: &[("netlink RTM_NEWLINK", "EEXIST"), ("netlink RTM_NEWADDR", "EEXIST"), ("netlink RTM_NEWROUTE", "EEXIST")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own; the errno is the kernel's plainest"),
    see: &["rtnetlink(7)", "ip-link(8)", "net/core/rtnetlink.c: rtnl_newlink()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = net::refused(case, &[], &[libc::EEXIST])?;
    let (_, what, knob) = REQUESTS.iter().find(|row| row.0 == refused.request)?;
    let name = refused.interface.as_deref();
    let there =
        case.state(network::INTERFACES).zip(name).map(|(all, name)| all.value.split(' ').any(|n| n == name));
    let link = *what == "interface";
    // A message of its own may speak of something else that exists, as a VXLAN number.
    let state = if link { there.filter(|there| *there) } else { None };
    let mut weight = net::weigh(case, DECIDERS, state, "what exists: ip link, ip addr, ip route")?;
    if weight.confidence < crate::model::Confidence::Likely {
        weight.confidence = crate::model::Confidence::Likely;
    }
    let sentence = match (name, link) {
        (Some(name), true) if there == Some(true) => {
            format!("An interface {name} exists already in this network namespace.")
        }
        (Some(name), true) => format!(
            "{name} cannot be made: an interface of that name, or with the same properties, exists already."
        ),
        (Some(name), false) => format!("That {what} exists already on {name}."),
        _ => format!("That {what} exists already in this network namespace."),
    };
    let evidence = [net::cite_request(refused), net::cite_all(case, &[network::INTERFACES])].concat();
    Some(weight.proof(sentence, net::other(knob), evidence))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let name = case.failure().netlink().and_then(|n| n.interface.as_deref()).unwrap_or("NAME");
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n ip -d addr show dev {name}"),
            "shows what is there, and whose it is",
            "reads only",
        ),
        net::remedy(
            "for good",
            &format!("nsenter -t {pid} -n ip link del {name}"),
            "only if no running container uses it: its other end goes with it",
            "the engine makes it again",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;
    use crate::model::Confidence;

    #[test]
    fn a_name_that_is_there_proves_it() {
        let s = || request("RTM_NEWLINK", libc::EEXIST, |n| n.interface = Some("veth0".into()));
        assert_eq!(s().state(network::INTERFACES, "lo veth0").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().state(network::INTERFACES, "lo").confidence(&CAUSE), Some(Confidence::Likely));
    }

    #[test]
    fn other_errnos_and_questions_are_not_claimed() {
        assert!(request("RTM_NEWLINK", libc::EPERM, |_| ()).judge(&CAUSE).is_none());
        assert!(request("RTM_GETLINK", libc::EEXIST, |_| ()).judge(&CAUSE).is_none());
    }
}
