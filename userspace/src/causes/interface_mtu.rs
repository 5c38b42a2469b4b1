//! An interface that cannot have the MTU that was asked for.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::Remedy;

const DECIDERS: &[&str] = &["dev_validate_mtu", "__dev_set_mtu", "dev_set_mtu_ext", "netif_set_mtu_ext"];

pub(super) static CAUSE: Cause = Cause {
    slug: "interface-mtu",
    title: "the interface cannot have this MTU",
    about: "\
`ip link set DEV mtu N`, or an engine that makes an interface with the network's MTU, fails with EINVAL, \"RTNETLINK answers: \
Invalid argument\". Every driver sets the smallest and the largest MTU of its interfaces (68 to 65535 for veth and bridges, 1500 for \
many cards), and dev_validate_mtu() in net/core/dev.c refuses any other; macvlan and vlan allow no more than the interface below.

It surprises because `com.docker.network.driver.mtu` or a network plugin's mtu is taken as it is, and the text does not name it.",
    shows_as: &[("netlink RTM_NEWLINK", "EINVAL"), ("netlink RTM_SETLINK", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own"),
    see: &["ip-link(8), mtu", "net/core/dev.c: dev_validate_mtu()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = net::refused(case, &["RTM_NEWLINK", "RTM_SETLINK"], &[libc::EINVAL])?;
    let said = net::says(refused, &["mtu greater", "mtu less", "invalid mtu"]).filter(|said| *said);
    if said.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    let weight = net::weigh(case, DECIDERS, said, "what the kernel said to it")?;
    let name = refused.interface.as_deref().unwrap_or("The interface");
    let sentence = format!("{name} cannot have the MTU that was asked for: its driver allows another range.");
    Some(weight.proof(sentence, net::other("MTU"), net::cite_request(refused)))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        net::remedy(
            "find it",
            "ip -d link show DEV",
            "minmtu and maxmtu are what its driver allows",
            "reads only",
        ),
        net::remedy(
            "for good",
            "docker network create -o com.docker.network.driver.mtu=1500 …",
            "an MTU that every interface of the network can have",
            "docker network rm …",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;
    use crate::model::Confidence;

    #[test]
    fn the_kernels_own_words_prove_it() {
        let said = |words: &str| {
            request("RTM_NEWLINK", libc::EINVAL, |n| n.message = Some(words.into())).confidence(&CAUSE)
        };
        assert_eq!(said("mtu greater than device maximum"), Some(Confidence::Proven));
        assert_eq!(said("Invalid name"), None);
        let silent = || request("RTM_NEWLINK", libc::EINVAL, |_| ());
        assert_eq!(silent().confidence(&CAUSE), None);
        assert!(silent().decided("dev_validate_mtu").judge(&CAUSE).is_some());
    }
}
