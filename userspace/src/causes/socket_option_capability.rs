//! An option of a socket that only privileged tasks may set.

use super::case::net::{self, NET_ADMIN, NET_RAW};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &[
    "sk_setsockopt",
    "sock_setsockopt",
    "do_ip_setsockopt",
    "do_ipv6_setsockopt",
    "do_tcp_setsockopt",
    "sock_ns_capable",
    "sockopt_ns_capable",
    "sockopt_capable",
    "do_ipt_set_ctl",
    "do_ip6t_set_ctl",
    "sock_bindtoindex_locked",
    "sock_setbindtodevice",
    "packet_setsockopt",
    "netlink_setsockopt",
    "tcp_set_congestion_control",
    "nf_setsockopt",
];

/// One option, and who may set it.
struct Guarded {
    level: i32,
    option: i32,
    name: &'static str,
    errno: i32,
    /// Any one of these is enough.
    capabilities: &'static [(u32, &'static str)],
}

const ADMIN: &[(u32, &str)] = &[(NET_ADMIN, "CAP_NET_ADMIN")];
const ADMIN_OR_RAW: &[(u32, &str)] = &[(NET_RAW, "CAP_NET_RAW"), (NET_ADMIN, "CAP_NET_ADMIN")];
const RAW: &[(u32, &str)] = &[(NET_RAW, "CAP_NET_RAW")];

const fn guarded(
    level: i32,
    option: i32,
    name: &'static str,
    capabilities: &'static [(u32, &'static str)],
) -> Guarded {
    Guarded { level, option, name, errno: libc::EPERM, capabilities }
}

/// net/core/sock.c `sk_setsockopt()`, net/ipv4/ip_sockglue.c `do_ip_setsockopt()`, net/ipv6/ipv6_sockglue.c,
/// net/ipv4/tcp.c `do_tcp_setsockopt()`, net/ipv4/netfilter/ip_tables.c.
const OPTIONS: &[Guarded] = &[
    Guarded { errno: libc::EACCES, ..guarded(libc::SOL_SOCKET, libc::SO_DEBUG, "SO_DEBUG", ADMIN) },
    // From 7 on; CAP_NET_RAW is enough since 6.0.
    guarded(libc::SOL_SOCKET, libc::SO_PRIORITY, "SO_PRIORITY", ADMIN_OR_RAW),
    // CAP_NET_RAW is enough since 5.17.
    guarded(libc::SOL_SOCKET, libc::SO_MARK, "SO_MARK", ADMIN),
    guarded(libc::SOL_SOCKET, 82, "SO_RCVMARK", ADMIN_OR_RAW),
    guarded(libc::SOL_SOCKET, 83, "SO_RCVPRIORITY", ADMIN_OR_RAW),
    guarded(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, "SO_SNDBUFFORCE", ADMIN),
    guarded(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, "SO_RCVBUFFORCE", ADMIN),
    // A socket that is bound already; before 5.7 always.
    guarded(libc::SOL_SOCKET, libc::SO_BINDTODEVICE, "SO_BINDTODEVICE", RAW),
    guarded(libc::SOL_SOCKET, 62, "SO_BINDTOIFINDEX", RAW),
    guarded(libc::SOL_SOCKET, libc::SO_BUSY_POLL, "SO_BUSY_POLL", ADMIN),
    guarded(libc::SOL_SOCKET, 69, "SO_PREFER_BUSY_POLL", ADMIN),
    guarded(libc::SOL_SOCKET, 70, "SO_BUSY_POLL_BUDGET", ADMIN),
    guarded(libc::SOL_SOCKET, 61, "SO_TXTIME", ADMIN),
    guarded(libc::IPPROTO_IP, libc::IP_TRANSPARENT, "IP_TRANSPARENT", ADMIN_OR_RAW),
    guarded(libc::IPPROTO_IP, 16, "IP_IPSEC_POLICY", ADMIN),
    guarded(libc::IPPROTO_IP, 17, "IP_XFRM_POLICY", ADMIN),
    guarded(libc::IPPROTO_IP, 64, "IPT_SO_SET_REPLACE", ADMIN),
    guarded(libc::IPPROTO_IP, 65, "IPT_SO_SET_ADD_COUNTERS", ADMIN),
    guarded(libc::IPPROTO_IP, 200, "MRT_INIT", RAW),
    guarded(libc::IPPROTO_IPV6, 75, "IPV6_TRANSPARENT", ADMIN_OR_RAW),
    guarded(libc::IPPROTO_IPV6, 34, "IPV6_IPSEC_POLICY", ADMIN),
    guarded(libc::IPPROTO_IPV6, 35, "IPV6_XFRM_POLICY", ADMIN),
    guarded(libc::IPPROTO_IPV6, 54, "IPV6_HOPOPTS", RAW),
    guarded(libc::IPPROTO_IPV6, 57, "IPV6_RTHDR", RAW),
    guarded(libc::IPPROTO_IPV6, 59, "IPV6_DSTOPTS", RAW),
    guarded(libc::IPPROTO_IPV6, 64, "IP6T_SO_SET_REPLACE", ADMIN),
    guarded(libc::IPPROTO_TCP, libc::TCP_REPAIR, "TCP_REPAIR", ADMIN),
    // One that is not in net.ipv4.tcp_allowed_congestion_control.
    guarded(libc::IPPROTO_TCP, libc::TCP_CONGESTION, "TCP_CONGESTION", ADMIN),
    guarded(libc::SOL_NETLINK, 8, "NETLINK_LISTEN_ALL_NSID", &[(NET_ADMIN, "CAP_NET_BROADCAST")]),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "socket-option-capability",
    title: "the socket's option needs a capability",
    about: "\
setsockopt(2) fails with EPERM, \"Operation not permitted\" (SO_DEBUG with EACCES). SO_MARK, SO_RCVBUFFORCE, SO_PRIORITY
above 6, IP_TRANSPARENT, TCP_REPAIR and others change how packets of others are treated, and sk_setsockopt() in
net/core/sock.c asks for CAP_NET_ADMIN (for some CAP_NET_RAW is enough) in the user namespace that owns the network
namespace.

It surprises with VPNs, transparent proxies, load balancers and checkpoint/restore in containers: engines do not give
CAP_NET_ADMIN, and a rootless container with the host's network has no capability over it whatever its CapEff says.",
    shows_as: &[("setsockopt", "EPERM"), ("setsockopt", "EACCES")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives CAP_NET_ADMIN and CAP_NET_RAW up, then sets such an option",
        risk: "none",
        variants: &["mark", "rcvbufforce"],
    },
    see: &["socket(7)", "ip(7)", "capabilities(7), CAP_NET_ADMIN", "net/core/sock.c: sk_setsockopt()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let number = |name| case.failure().number_arg(name).map(|n| n as i32);
    let (level, option) = (number("level")?, number("optname")?);
    let row =
        OPTIONS.iter().find(|row| (row.level, row.option) == (level, option) && Errno(row.errno) == errno)?;
    if call != "setsockopt" {
        return None;
    }
    let known: Vec<Option<bool>> =
        row.capabilities.iter().map(|(bit, _)| net::net_capable(case, *bit)).collect();
    let denied = if known.contains(&Some(true)) {
        Some(false)
    } else if known.iter().all(|has| *has == Some(false)) || case.returned("ns_capable") == Some(0) {
        Some(true)
    } else {
        None
    };
    let name = row.capabilities.last().map_or("CAP_NET_ADMIN", |(_, name)| *name);
    let weight = net::weigh_right(case, DECIDERS, denied, "CapEff of the task at that instant")?;
    let names: Vec<&str> = row.capabilities.iter().map(|(_, name)| *name).collect();
    let sentence = format!(
        "{} may not be set without {} in the user namespace that owns the network, and {} does not have it.",
        row.name,
        names.join(" or "),
        case.failure().task.comm
    );
    Some(weight.proof(sentence, net::capability(name), net::cite_capability(case, name)))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let short = proof.knob.name.trim_start_matches("CAP_");
    vec![net::remedy(
        "now",
        &format!("docker run --cap-add {short} …"),
        "for root in the container, over its own network namespace: addresses, routes, firewall. In Kubernetes securityContext.capabilities.add",
        "start it without the option",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn an_option_without_its_capability_is_proven() {
        let s = || scene("setsockopt", libc::EPERM).number("level", 1).number("optname", 36);
        let found = s().capabilities(0).judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Proven, "CAP_NET_ADMIN"));
        assert!(s().judge(&CAUSE).is_none(), "a capable task");
    }

    #[test]
    fn options_that_everybody_may_set_are_not_claimed() {
        let s = scene("setsockopt", libc::EPERM).number("level", 1).number("optname", 2).capabilities(0);
        assert!(s.judge(&CAUSE).is_none());
    }
}
