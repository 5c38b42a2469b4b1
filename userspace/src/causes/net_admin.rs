//! Changing the network without CAP_NET_ADMIN.

use super::case::net::{self, NET_ADMIN};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &[
    "rtnetlink_rcv_msg",
    "netlink_net_capable",
    "netlink_ns_capable",
    "nfnetlink_rcv",
    "nfnetlink_rcv_msg",
    "xfrm_user_rcv_msg",
    "genl_rcv_msg",
    "genl_family_rcv_msg",
    "dev_ioctl",
    "tun_set_iff",
    "__tun_chr_ioctl",
    "br_ioctl_stub",
    "devinet_ioctl",
    "ip_rt_ioctl",
    "sock_do_ioctl",
];

/// `SIOC*` requests that change the network (linux/sockios.h), and TUNSETIFF.
fn changes(request: u64) -> bool {
    const TUNSETIFF: u64 = 0x4004_54ca;
    matches!(
        request,
        0x890b | 0x890c | 0x8914 | 0x8916 | 0x8918 | 0x891a | 0x891c | 0x8922 | 0x8923 | 0x8924 | 0x8930
            | 0x8931 | 0x8932 | 0x8936 | 0x8937 | 0x8943 | 0x8953..=0x8955 | 0x8971 | 0x8990..=0x8994
            | 0x89a0..=0x89a3 | 0x89b0 | 0x89f0..=0x89ff | TUNSETIFF
    )
}

pub(super) static CAUSE: Cause = Cause {
    slug: "net-admin",
    title: "changing the network needs CAP_NET_ADMIN",
    about: "\
`ip link`, `ip route`, iptables, nft, tc or wg fails with EPERM, \"RTNETLINK answers: Operation not permitted\". Interfaces,
addresses, routes and rules are changed by netlink requests (or ioctl(2)), and rtnetlink_rcv_msg() in net/core/rtnetlink.c
asks for CAP_NET_ADMIN in the user namespace that owns the network namespace. sendto(2) succeeds: the errno is in the
acknowledgement.

It surprises root in a container, and in rootless containers with the host's network even --cap-add does not help, because
the host's network namespace belongs to the first user namespace.",
    shows_as: &[("netlink RTM_NEWLINK", "EPERM"), ("netlink RTM_NEWROUTE", "EPERM"), ("netlink any", "EPERM"), ("ioctl", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives CAP_NET_ADMIN up in a network namespace of its own, then sets lo up",
        risk: "none",
        variants: &["netlink", "ioctl"],
    },
    see: &["capabilities(7), CAP_NET_ADMIN", "rtnetlink(7)", "net/core/rtnetlink.c: rtnetlink_rcv_msg()", "net/core/dev_ioctl.c: dev_ioctl()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let request = net::refused(case, &[], &[libc::EPERM]);
    let by_ioctl = case.denied(&["ioctl"], Errno::EPERM).is_some()
        && case.failure().number_arg("op").is_some_and(changes);
    if request.is_none() && !by_ioctl {
        return None;
    }
    let denied = match case.returned("ns_capable").or_else(|| case.returned("netlink_net_capable")) {
        Some(0) => Some(true),
        _ => net::net_capable(case, NET_ADMIN).map(|has| !has),
    };
    let weight = net::weigh_right(case, DECIDERS, denied, "CapEff of the task at that instant")?;
    let what = request.map_or_else(|| "a change of the network by ioctl".to_string(), |r| r.request.clone());
    let sentence = format!(
        "{} is refused {what}: it has no CAP_NET_ADMIN in the user namespace that owns the network.",
        case.failure().task.comm
    );
    let evidence =
        [request.map(net::cite_request).unwrap_or_default(), net::cite_capability(case, "CAP_NET_ADMIN")];
    Some(weight.proof(sentence, net::capability("CAP_NET_ADMIN"), evidence.concat()))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "now",
        "docker run --cap-add NET_ADMIN …",
        "for root in the container, over its own network namespace: addresses, routes, firewall. In Kubernetes securityContext.capabilities.add: [NET_ADMIN]",
        "start it without the option",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::{request, scene};
    use crate::model::Confidence;

    #[test]
    fn a_request_without_the_capability_is_proven() {
        let s = || request("RTM_NEWLINK", libc::EPERM, |_| ());
        let found = s().capabilities(0).judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Proven, "CAP_NET_ADMIN"));
        assert!(s().judge(&CAUSE).is_none(), "a capable task");
    }

    #[test]
    fn an_ioctl_that_changes_nothing_is_not_claimed() {
        let s = |op| scene("ioctl", libc::EPERM).number("op", op).capabilities(0);
        assert!(s(0x8914).judge(&CAUSE).is_some());
        assert!(s(0x5401).judge(&CAUSE).is_none());
    }

    #[test]
    fn the_question_for_the_capability_and_what_hands_it_up_contradict_nothing() {
        let by = |function| {
            let s = scene("ioctl", libc::EPERM).number("op", 0x8914).capabilities(0).decided(function);
            s.confidence(&CAUSE)
        };
        for function in ["devinet_ioctl", "cap_capable", "security_capable", "inet_ioctl", "sock_ioctl"] {
            assert_eq!(by(function), Some(Confidence::Proven), "{function}");
        }
        assert_eq!(by("bpf_lsm_file_ioctl"), Some(Confidence::Likely));
    }
}
