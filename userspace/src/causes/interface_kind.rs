//! The kernel has no driver for that kind of interface.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Remedy};

const DECIDERS: &[&str] = &["rtnl_newlink", "__rtnl_newlink"];

pub(super) static CAUSE: Cause = Cause {
    slug: "interface-kind",
    title: "the kernel has no such kind of interface",
    about: "\
`ip link add type KIND` or a CNI plugin fails with EOPNOTSUPP, \"RTNETLINK answers: Operation not supported\".
rtnl_newlink() in net/core/rtnetlink.c knows no such kind (veth, bridge, vxlan, wireguard, macvlan …), after it asked
modprobe for the module rtnl-link-KIND, which is not there, is blocked, belongs to another kernel, or could not be loaded.

It surprises after an update of the kernel package without a reboot (the modules of the running kernel are gone), on
minimal cloud kernels, and inside containers and lightweight virtual machines that ship no modules.",
    shows_as: &[("netlink RTM_NEWLINK", "EOPNOTSUPP")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("a request without tools of its own"),
    see: &["ip-link(8)", "net/core/rtnetlink.c: rtnl_newlink()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = net::refused(case, &["RTM_NEWLINK"], &[libc::EOPNOTSUPP])?;
    let said = net::says(refused, &["unknown device type"]);
    let kind = refused.link_kind.as_deref();
    if said == Some(false) || kind.is_none() && said.is_none() {
        return None;
    }
    let mut weight = net::weigh(case, DECIDERS, said, "the kernel's own sentence")?;
    weight.confidence = weight.confidence.max(Confidence::Likely);
    let kind = kind.unwrap_or("KIND");
    let sentence = format!(
        "This kernel has no interfaces of kind {kind}: the module rtnl-link-{kind} is not loaded and could not be."
    );
    Some(weight.proof(sentence, net::other(&format!("module {kind}")), net::cite_request(refused)))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let kind = case.failure().netlink().and_then(|n| n.link_kind.clone()).unwrap_or_else(|| "KIND".into());
    vec![net::remedy(
        "now",
        &format!("modprobe {kind}"),
        "on the host; if it is not found, compare `uname -r` with the folders of /lib/modules: reboot into the installed kernel",
        &format!("modprobe -r {kind}"),
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::request;

    #[test]
    fn the_kernel_s_sentence_proves_it() {
        let s = |message: Option<&str>| {
            request("RTM_NEWLINK", libc::EOPNOTSUPP, |n| {
                n.link_kind = Some("wireguard".into());
                n.message = message.map(str::to_string);
            })
        };
        assert_eq!(s(Some("Unknown device type")).confidence(&CAUSE), Some(Confidence::Proven));
        assert_eq!(s(None).confidence(&CAUSE), Some(Confidence::Likely));
        assert!(s(Some("Device does not allow bridging")).judge(&CAUSE).is_none());
    }

    #[test]
    fn other_requests_are_not_claimed() {
        assert!(request("RTM_NEWROUTE", libc::EOPNOTSUPP, |_| ()).judge(&CAUSE).is_none());
    }
}
