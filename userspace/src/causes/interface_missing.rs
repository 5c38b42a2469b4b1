//! There is no such interface here.

use super::case::net;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Netlink, Remedy, network};

/// `SIOCGIFNAME` to `SIOCSIFHWBROADCAST` and their neighbours (include/uapi/linux/sockios.h): each takes the name of an
/// interface, but for the first, which takes its number.
const INTERFACE_REQUESTS: std::ops::RangeInclusive<u64> = 0x8910..=0x8970;

const DECIDERS: &[&str] = &[
    "dev_ioctl",
    "dev_ifsioc",
    "dev_ifname",
    "devinet_ioctl",
    "sock_setbindtodevice",
    "sock_bindtoindex",
    "__dev_get_by_name",
    "dev_get_by_index",
    "rtnl_dellink",
    "rtnl_setlink",
    "packet_bind",
    "inet_rtm_newaddr",
    "rtm_to_ifaddr",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "interface-missing",
    title: "there is no such interface in this network namespace",
    about: "\
A netlink request, setsockopt(2) with SO_BINDTODEVICE or bind(2) of a packet socket fails with ENODEV, \"No such device\":
no device file is meant, but an interface. Names and numbers are each network namespace's own.

It surprises because the host has the interface: a container has eth0 at most, engines number and name interfaces anew, and
one that was moved into a container is gone from the host until the container ends.",
    shows_as: &[("netlink RTM_NEWLINK", "ENODEV"), ("netlink RTM_NEWADDR", "ENODEV"), ("netlink RTM_NEWROUTE", "ENODEV"), ("setsockopt", "ENODEV"), ("bind", "ENODEV"), ("ioctl", "ENODEV")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "binds a socket to an interface that a network namespace of its own does not have",
        risk: "none",
        variants: &["socket"],
    },
    see: &["socket(7), SO_BINDTODEVICE", "netdevice(7)", "net/core/sock.c: sock_setbindtodevice()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let refused = net::refused(case, &[], &[libc::ENODEV]);
    if refused.is_some_and(|r| r.names_nothing()) {
        return None;
    }
    let option = case.denied(&["setsockopt"], Errno(libc::ENODEV)).is_some()
        && case.failure().number_arg("level") == Some(libc::SOL_SOCKET as u64)
        && case.failure().number_arg("optname") == Some(libc::SO_BINDTODEVICE as u64);
    let bind = case.denied(&["bind"], Errno(libc::ENODEV)).is_some();
    let ioctl = case.denied(&["ioctl"], Errno(libc::ENODEV)).is_some()
        && case.failure().number_arg("op").is_some_and(|op| INTERFACE_REQUESTS.contains(&op));
    if refused.is_none() && !option && !bind && !ioctl {
        return None;
    }
    let absent = case.state(network::INTERFACE).map(|s| s.value == "not there");
    // For these calls ENODEV has no other meaning.
    let state = if option || bind || ioctl { Some(true) } else { absent };
    let mut weight = net::weigh(case, DECIDERS, state, "whether the interface it names was there")?;
    if !refused.is_some_and(Netlink::is_unread) {
        weight.confidence = weight.confidence.max(Confidence::Likely);
    }
    let asked = case
        .failure()
        .option()
        .map(|bytes| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_string());
    let name =
        refused.and_then(|r| r.interface.clone()).or(asked.filter(|_| option)).filter(|n| !n.is_empty());
    let sentence = match name {
        Some(name) => format!("There is no interface {name} in this network namespace."),
        None if ioctl => "There is no interface of that name in this network namespace.".into(),
        None => "There is no interface of that number in this network namespace.".into(),
    };
    let evidence = [
        refused.map(net::cite_request).unwrap_or_default(),
        net::cite_all(case, &[network::INTERFACES, network::INTERFACE]),
    ];
    Some(weight.proof(sentence, net::other("interface names"), evidence.concat()))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![net::remedy(
        "now",
        &format!("nsenter -t {pid} -n ip -br link"),
        "the interfaces that there are",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::{request, scene};

    #[test]
    fn an_absent_interface_is_proven() {
        let s = || request("RTM_SETLINK", libc::ENODEV, |n| n.interface = Some("eth1".into()));
        assert_eq!(s().state(network::INTERFACE, "not there").confidence(&CAUSE), Some(Confidence::Proven));
        assert!(s().state(network::INTERFACE, "veth eth1").judge(&CAUSE).is_none());
        assert!(request("RTM_NEWLINK", libc::ENODEV, |n| n.index = Some(0)).judge(&CAUSE).is_none());
        let bound = scene("setsockopt", libc::ENODEV).number("level", 1).number("optname", 25);
        assert_eq!(bound.confidence(&CAUSE), Some(Confidence::Proven));
        let asked = |op| scene("ioctl", libc::ENODEV).number("op", op);
        assert_eq!(asked(0x8933).confidence(&CAUSE), Some(Confidence::Proven), "SIOCGIFINDEX");
        assert!(asked(0x5401).judge(&CAUSE).is_none(), "a terminal's");
    }

    #[test]
    fn devices_that_are_files_are_not_claimed() {
        assert!(scene("openat", libc::ENODEV).judge(&CAUSE).is_none());
        assert!(
            scene("setsockopt", libc::ENODEV)
                .number("level", 0)
                .number("optname", 35)
                .judge(&CAUSE)
                .is_none()
        );
    }
}
