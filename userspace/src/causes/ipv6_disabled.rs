//! IPv6 is switched off where the call was made.

use super::case::net::{self, EADDRNOTAVAIL, EAFNOSUPPORT, ENETUNREACH};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Remedy, network};

pub(super) static CAUSE: Cause = Cause {
    slug: "ipv6-disabled",
    title: "IPv6 is disabled in this network namespace",
    about: "\
A server that listens on [::] or [::1], or a client that connects to an IPv6 address, fails with EADDRNOTAVAIL,
\"Cannot assign requested address\". Where net.ipv6.conf.all.disable_ipv6 is 1 no interface has an IPv6 address, not
even lo, and __inet6_bind() in net/ipv6/af_inet6.c finds none; connect(2) finds no source address. With ipv6.disable=1
on the kernel's command line socket(2) itself says EAFNOSUPPORT.

It surprises because engines switch IPv6 off in containers' network namespaces unless the network has it, while names
like localhost still resolve to ::1 first.",
    shows_as: &[
        ("bind", "EADDRNOTAVAIL"),
        ("connect", "EADDRNOTAVAIL"),
        ("socket", "EAFNOSUPPORT"),
        ("sendto", "EADDRNOTAVAIL"),
        ("netlink RTM_NEWADDR", "EACCES"),
    ],
    deciders: &["ipv6_chk_addr_and_flags", "ipv6_chk_addr", "ipv6_dev_get_saddr"],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "switches IPv6 off in a network namespace of its own and binds to ::1",
        risk: "none",
        variants: &["bind", "connect"],
    },
    see: &[
        "https://docs.kernel.org/networking/ip-sysctl.html",
        "https://docs.kernel.org/networking/ipv6.html",
        "net/ipv6/af_inet6.c: __inet6_bind()",
    ],
};

/// An IPv6 address was to be added. EACCES is rtnetlink's for nothing else: without CAP_NET_ADMIN it says EPERM
/// (net/ipv6/addrconf.c addrconf_add_dev()).
fn address(case: &Case<'_>) -> Option<Proof> {
    let refused = net::refused(case, &["RTM_NEWADDR"], &[libc::EACCES])?;
    let weight =
        net::weigh(case, &["addrconf_add_dev", "inet6_addr_add", "inet6_rtm_newaddr"], Some(true), "")?;
    let sentence = "IPv6 is disabled on that interface, so that it takes no IPv6 address.".into();
    Some(weight.proof(sentence, net::sysctl(network::IPV6_ALL), net::cite_request(refused)))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if case.failure().netlink().is_some() {
        return address(case);
    }
    if case.denied(&["socket"], EAFNOSUPPORT).is_some() {
        return no_module(case);
    }
    let (call, errno) = case.failure().syscall()?;
    let fits = call == "bind" && errno == EADDRNOTAVAIL
        || net::REACH.contains(&call) && (errno == EADDRNOTAVAIL || errno == ENETUNREACH);
    let (ip, _) = case.failure().internet().filter(|(ip, _)| fits && ip.is_ipv6())?;
    let all = case.state(network::IPV6_ALL).map(|s| s.value.as_str());
    let lo = case.state(network::IPV6_LO).map(|s| s.value.as_str());
    let switched = all == Some("1") || ip.is_loopback() && lo == Some("1");
    let none = case.state(network::ADDRESSES).is_some_and(|s| s.value == "none");
    let state = match (all, switched) {
        (None, _) => None,
        (_, true) => Some(true),
        // No interface has it, however that came.
        (_, false) if none && case.state(network::LOCAL).is_some_and(|s| s.value == "no") => Some(true),
        (_, false) => Some(false),
    };
    let weight = net::weigh(case, CAUSE.deciders, state, "net.ipv6.conf.all.disable_ipv6")?;
    let name = if all != Some("1") && ip.is_loopback() && lo == Some("1") {
        network::IPV6_LO
    } else {
        network::IPV6_ALL
    };
    let sentence = match switched {
        true => format!("IPv6 is disabled in this network namespace ({name} = 1), so {ip} cannot be used."),
        false => {
            format!("No interface of this network namespace has an IPv6 address, so {ip} cannot be used.")
        }
    };
    let evidence =
        net::cite_all(case, &[network::IPV6_ALL, network::IPV6_LO, network::LOCAL, network::ADDRESSES]);
    Some(weight.proof(sentence, net::sysctl(name), evidence))
}

/// Started with `ipv6.disable=1`, or without the module.
fn no_module(case: &Case<'_>) -> Option<Proof> {
    let v6 = case.failure().number_arg("domain") == Some(libc::AF_INET6 as u64);
    let state = case.state("IPv6 in this kernel").map(|s| s.value == "no");
    let weight = net::weigh(case, &[], v6.then_some(state)?, "whether the kernel has IPv6")?;
    let sentence = "This kernel runs without IPv6 (ipv6.disable=1, or its module is not loaded).".into();
    Some(weight.proof(sentence, net::other("ipv6.disable"), net::cite_all(case, &["IPv6 in this kernel"])))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    vec![
        net::remedy(
            "now",
            "docker run --sysctl net.ipv6.conf.all.disable_ipv6=0 …",
            "for that container's network namespace; its network needs IPv6 for more than ::1",
            "start it without the option",
        ),
        net::remedy(
            "or",
            "listen on 0.0.0.0, connect to 127.0.0.1",
            &format!("does without {}; localhost may still mean ::1", proof.knob.name),
            "the other way round",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::{request, scene};
    use crate::model::Confidence;

    #[test]
    fn the_switch_read_again_proves_it() {
        let s = || scene("bind", libc::EADDRNOTAVAIL).socket(libc::AF_INET6, 1).to("[::1]:80");
        let found = s().state(network::IPV6_ALL, "1").judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Proven, network::IPV6_ALL));
        assert!(s().state(network::IPV6_ALL, "0").judge(&CAUSE).is_none());
        assert_eq!(
            s().state(network::IPV6_ALL, "0").state(network::IPV6_LO, "1").judge(&CAUSE).unwrap().knob.name,
            network::IPV6_LO
        );
    }

    #[test]
    fn an_address_that_cannot_be_added() {
        let asked = |kind: &str, errno| request(kind, errno, |_| ()).confidence(&CAUSE);
        assert_eq!(asked("RTM_NEWADDR", libc::EACCES), Some(Confidence::Proven));
        assert_eq!(asked("RTM_NEWADDR", libc::EPERM), None);
        assert_eq!(asked("RTM_NEWROUTE", libc::EACCES), None);
    }

    #[test]
    fn ipv4_is_not_claimed() {
        let s = scene("bind", libc::EADDRNOTAVAIL).tcp().to("192.0.2.1:80");
        assert!(s.state(network::IPV6_ALL, "1").judge(&CAUSE).is_none());
    }
}
