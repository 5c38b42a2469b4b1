//! An IPv6 address that is not usable yet: the kernel still asks whether somebody else has it.

use super::case::net::{self, EADDRNOTAVAIL};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Remedy, network};

const DECIDERS: &[&str] = &["__inet6_bind", "ipv6_chk_addr", "ipv6_chk_addr_and_flags"];

pub(super) static CAUSE: Cause = Cause {
    slug: "address-tentative",
    title: "the IPv6 address is new and not usable yet, or a duplicate",
    about: "\
bind(2) to an IPv6 address fails with EADDRNOTAVAIL, \"Cannot assign requested address\", although ip -6 addr shows it. For a second \
or so after an address was added the kernel asks the link whether somebody has it (duplicate address detection), and until then it \
is tentative, which ipv6_chk_addr() takes for not there; with dadfailed it stays so, because somebody answered.

A container's server that starts right after its network was made meets it, mostly once: a restart is fine. An interface without \
carrier keeps its addresses tentative as long as it has none. IPv4 has no such time.",
    shows_as: &[("bind", "EADDRNOTAVAIL")],
    deciders: &["ipv6_chk_addr"],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("it needs an interface whose address is new at that instant"),
    see: &["ip-address(8), tentative, dadfailed, nodad", "net/ipv6/addrconf.c: ipv6_chk_addr(), addrconf_dad_start()", "https://docs.kernel.org/networking/ip-sysctl.html: accept_dad, optimistic_dad"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["bind"], EADDRNOTAVAIL)?;
    let (ip, _) = case.failure().internet().filter(|(ip, _)| ip.is_ipv6())?;
    let state = case.state(network::ADDRESS_STATE).map(|s| s.value.as_str()).filter(|s| *s != "usable")?;
    let weight = net::weigh(case, DECIDERS, Some(true), "the state of the address")?;
    let sentence = match state {
        "duplicate" => format!(
            "{ip} is an address of this network namespace, but a duplicate: another machine on the link has it."
        ),
        _ => format!(
            "{ip} is an address of this network namespace and not usable yet: duplicate address detection is not over."
        ),
    };
    let knob = net::sysctl("net.ipv6.conf.all.accept_dad");
    Some(weight.proof(sentence, knob, net::cite_all(case, &[network::ADDRESS_STATE])))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n ip -6 addr show tentative"),
            "when it shows nothing any more, start the server again",
            "reads only",
        ),
        net::remedy(
            "for good",
            "docker run --sysctl net.ipv6.conf.default.accept_dad=0 …",
            "addresses are usable at once; the engine gives each container another one, so that nothing is to be detected. Or ip addr add … nodad, or bind to ::",
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
    fn only_a_state_that_is_not_usable_is_claimed() {
        let s = || scene("bind", libc::EADDRNOTAVAIL).socket(libc::AF_INET6, 1).to("[fd00::5]:80");
        assert_eq!(
            s().state(network::ADDRESS_STATE, "tentative").confidence(&CAUSE),
            Some(Confidence::Proven)
        );
        assert!(s().state(network::ADDRESS_STATE, "usable").judge(&CAUSE).is_none());
        assert!(s().judge(&CAUSE).is_none());
        let four = scene("bind", libc::EADDRNOTAVAIL).tcp().to("10.0.0.1:80");
        assert!(four.state(network::ADDRESS_STATE, "tentative").judge(&CAUSE).is_none());
    }
}
