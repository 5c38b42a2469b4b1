//! The address is not one of this network namespace.

use super::case::net::{self, EADDRNOTAVAIL};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Remedy, network};

const DECIDERS: &[&str] =
    &["inet_addr_valid_or_nonlocal", "inet_addr_type_table", "ping_check_bind_addr", "raw_bind"];

pub(super) static CAUSE: Cause = Cause {
    slug: "address-not-local",
    title: "the address is not one of this network namespace",
    about: "\
bind(2) fails with EADDRNOTAVAIL, \"Cannot assign requested address\". __inet_bind() in net/ipv4/af_inet.c (and
__inet6_bind() for IPv6) takes only addresses that an interface of the network namespace has, unless
net.ipv4.ip_nonlocal_bind is 1 or the socket has IP_FREEBIND or IP_TRANSPARENT.

It surprises because the host has the address: a container has its own, and a server that is told to listen on the
host's or on a floating one finds nothing. An IPv6 address that is still tentative is not there yet, either.",
    shows_as: &[("bind", "EADDRNOTAVAIL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "IPv6 is disabled",
        ruled_out_by: "net.ipv6.conf.all.disable_ipv6, read again",
        stands: |case| {
            let v6 = case.failure().internet().is_some_and(|(ip, _)| ip.is_ipv6());
            (v6 && case.state(network::IPV6_ALL).is_none_or(|s| s.value != "0")).then(|| "IPv6 may be disabled there".into())
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "binds to an address of the documentation range in a network namespace of its own",
        risk: "none",
        variants: &["ipv4"],
    },
    see: &[
        "ip(7), IP_FREEBIND",
        "https://docs.kernel.org/networking/ip-sysctl.html",
        "net/ipv4/af_inet.c: __inet_bind(), inet_addr_valid_or_nonlocal()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["bind"], EADDRNOTAVAIL)?;
    let (ip, _) = case.failure().internet()?;
    let disabled = ip.is_ipv6() && case.state(network::IPV6_ALL).is_some_and(|s| s.value == "1");
    if disabled || case.failure().task.net.and_then(|n| n.nonlocal) == Some(true) && ip.is_ipv4() {
        return None;
    }
    let state = case.state(network::LOCAL).map(|s| s.value == "no");
    let weight = net::weigh(case, DECIDERS, state, "the addresses of the network namespace")?;
    let has = case.state(network::ADDRESSES).map_or_else(String::new, |s| format!(", which has {}", s.value));
    let sentence = format!("{ip} is no address of this network namespace{has}.");
    let family = if ip.is_ipv4() { "ipv4" } else { "ipv6" };
    let knob = net::sysctl(&format!("net.{family}.ip_nonlocal_bind"));
    let evidence = net::cite_all(case, &[network::LOCAL, network::ADDRESSES, &knob.name]);
    Some(weight.proof(sentence, knob, evidence))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let any = if case.failure().internet().is_some_and(|(ip, _)| ip.is_ipv6()) { "::" } else { "0.0.0.0" };
    vec![
        net::remedy(
            "now",
            &format!("listen on {any}"),
            "on every address that the container has",
            "name an address again",
        ),
        net::remedy(
            "or",
            &format!("docker run --sysctl {}=1 …", proof.knob.name),
            "for an address that comes later, as a floating one: bind(2) no longer asks",
            "start it without the option",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn an_address_that_nobody_has_is_proven() {
        let s = || scene("bind", libc::EADDRNOTAVAIL).tcp().to("192.0.2.9:80");
        assert_eq!(s().state(network::LOCAL, "no").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Possible));
        assert!(s().state(network::LOCAL, "yes").judge(&CAUSE).is_none());
    }

    #[test]
    fn where_ipv6_is_off_it_is_not_the_address() {
        let s = scene("bind", libc::EADDRNOTAVAIL).socket(libc::AF_INET6, 1).to("[::1]:80");
        assert!(s.state(network::LOCAL, "no").state(network::IPV6_ALL, "1").judge(&CAUSE).is_none());
        assert!(scene("connect", libc::EADDRNOTAVAIL).tcp().to("192.0.2.9:80").judge(&CAUSE).is_none());
    }
}
