//! A bridge takes no further port, or not this one.

use super::case::ceiling::Ceiling;
use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::BRIDGE_PORTS;
use crate::model::{Confidence, Remedy, network, spaced};

const DECIDERS: &[&str] =
    &["br_add_if", "new_nbp", "find_portno", "br_add_slave", "netdev_master_upper_dev_link"];
const CEILING: Ceiling = Ceiling {
    limit: &BRIDGE_PORTS,
    deciders: DECIDERS,
    callers: &["do_set_master", "do_setlink", "rtnl_setlink"],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "bridge-port",
    title: "the bridge takes no further port, or not this interface",
    about: "\
An engine or `ip link set DEV master BRIDGE` fails with EXFULL, \"Exchange full\", when the bridge has 1 023 ports: their
numbers have ten bits, and find_portno() in net/bridge/br_if.c finds none free. With ELOOP, \"Too many levels of symbolic
links\", the interface is a bridge itself, which br_add_if() does not take; with EBUSY it is a port already; with EOPNOTSUPP
or EINVAL it cannot be bridged (wlan, loopback, no Ethernet).

It surprises because 1 023 containers on one docker network is a limit nobody has heard of, and no sysctl raises it. Ports
of containers that crashed stay when their veth was not removed.",
    shows_as: &[
        ("netlink RTM_NEWLINK", "EXFULL"),
        ("netlink RTM_SETLINK", "EXFULL"),
        ("netlink RTM_NEWLINK", "ELOOP"),
        ("netlink RTM_NEWLINK", "EBUSY"),
        ("ioctl", "EXFULL"),
    ],
    deciders: DECIDERS,
    reads: &[&BRIDGE_PORTS],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("takes a thousand interfaces, and minutes"),
    see: &["net/bridge/br_private.h: BR_MAX_PORTS", "net/bridge/br_if.c: find_portno(), br_add_if()", "ip-link(8)"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused =
        net::refused(case, &["RTM_NEWLINK", "RTM_SETLINK"], &[libc::EXFULL, libc::ELOOP, libc::EBUSY]);
    let by_ioctl = case.denied(&["ioctl"], crate::model::Errno(libc::EXFULL)).is_some();
    if by_ioctl || refused.is_some_and(|r| r.errno.0 == libc::EXFULL) {
        return full(case);
    }
    let refused = refused?;
    let interface = case.state(network::INTERFACE).map(|s| s.value.as_str());
    let name = refused
        .interface
        .as_deref()
        .or_else(|| interface?.split([' ', ',']).nth(1))
        .unwrap_or("the interface");
    let (state, sentence) = if refused.errno.0 == libc::ELOOP {
        let bridge = interface.map(|i| i.starts_with("bridge ")).filter(|is| *is);
        let state = net::says(refused, &["bridge to a bridge"]).filter(|s| *s).or(bridge);
        (
            state,
            format!(
                "{name} is a bridge (or leads back to this one), and a bridge takes no bridge as its port."
            ),
        )
    } else {
        let port = interface.map(|i| i.contains("port of")).filter(|is| *is);
        port?;
        (port, format!("{name} is a port already: {}.", interface.unwrap_or_default()))
    };
    let mut weight = net::weigh(case, DECIDERS, state, "what the interface is: ip -d link")?;
    weight.confidence = weight.confidence.max(Confidence::Likely);
    let evidence = [net::cite_request(refused), net::cite_all(case, &[network::INTERFACE])].concat();
    Some(weight.proof(sentence, net::other("bridge topology"), evidence))
}

/// EXFULL has no other reason in the kernel than the numbers of a bridge's ports.
fn full(case: &Case<'_>) -> Option<Proof> {
    let judged = CEILING.judge(case);
    let sentence = match case.reading(&BRIDGE_PORTS).filter(|r| r.exceeded() == Some(true)) {
        Some(r) => format!(
            "The {} has {} ports, and a bridge can have {}.",
            r.scope,
            spaced(r.usage.unwrap_or(0)),
            spaced(BRIDGE_PORTS.default)
        ),
        None => {
            format!("The bridge has {} ports already; it can have no more.", spaced(BRIDGE_PORTS.default))
        }
    };
    if let Some(judged) = judged {
        return Some(judged.proof(case, &CEILING, sentence));
    }
    let mut proof = net::Weight {
        confidence: Confidence::Likely,
        missing: vec!["how many ports the bridge had".into()],
        evidence: vec![],
    }
    .proof(sentence, net::other(BRIDGE_PORTS.id), vec![]);
    proof.limit = Some(BRIDGE_PORTS.default);
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.name != BRIDGE_PORTS.id {
        return vec![net::remedy(
            "now",
            "ip -d link show master BRIDGE",
            "ports of the bridge; a veth pair joins two bridges where that is meant",
            "reads only",
        )];
    }
    vec![
        net::remedy(
            "now",
            "docker network create second",
            "a second bridge for further containers: docker run --network second …",
            "docker network rm second",
        ),
        net::remedy(
            "find the leak",
            "ip link show master docker0 | grep -c veth",
            "more ports than containers: interfaces of containers that ended (ip link del VETH)",
            "reads only",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;
    use crate::causes::case::testing::reading;
    use crate::model::Taken;

    #[test]
    fn a_full_bridge_is_named() {
        let mut ports = reading(&BRIDGE_PORTS, 1023, 1023);
        ports.taken = Taken::After { ns: 1 };
        let s = || request("RTM_NEWLINK", libc::EXFULL, |_| ()).reading(ports.clone());
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Likely));
        assert_eq!(s().decided("br_add_if").confidence(&CAUSE), Some(Confidence::Proven));
    }

    #[test]
    fn a_bridge_in_a_bridge_is_a_loop() {
        let s = || request("RTM_NEWLINK", libc::ELOOP, |n| n.index = Some(4));
        assert_eq!(s().state(network::INTERFACE, "bridge b1").confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Likely));
        let busy = || request("RTM_NEWLINK", libc::EBUSY, |_| ());
        assert!(busy().judge(&CAUSE).is_none());
        assert!(busy().state(network::INTERFACE, "veth v0, port of br0").judge(&CAUSE).is_some());
    }
}
