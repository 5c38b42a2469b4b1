//! The names of netlink's protocols and requests, and what a refused request says about itself.

use crate::model::netlink_label;

/// include/uapi/linux/netlink.h
const PROTOCOLS: &[&str] = &[
    "NETLINK_ROUTE",
    "NETLINK_UNUSED",
    "NETLINK_USERSOCK",
    "NETLINK_FIREWALL",
    "NETLINK_SOCK_DIAG",
    "NETLINK_NFLOG",
    "NETLINK_XFRM",
    "NETLINK_SELINUX",
    "NETLINK_ISCSI",
    "NETLINK_AUDIT",
    "NETLINK_FIB_LOOKUP",
    "NETLINK_CONNECTOR",
    "NETLINK_NETFILTER",
    "NETLINK_IP6_FW",
    "NETLINK_DNRTMSG",
    "NETLINK_KOBJECT_UEVENT",
    "NETLINK_GENERIC",
];
const ROUTE: u32 = 0;
const NETFILTER: u32 = 12;

/// Families of NETLINK_ROUTE, four messages each from 16 on: NEW, DEL, GET, SET (include/uapi/linux/rtnetlink.h).
const ROUTE_OBJECTS: &[&str] = &[
    "LINK",
    "ADDR",
    "ROUTE",
    "NEIGH",
    "RULE",
    "QDISC",
    "TCLASS",
    "TFILTER",
    "ACTION",
    "PREFIX",
    "MULTICAST",
    "ANYCAST",
    "NEIGHTBL",
    "NDUSEROPT",
    "ADDRLABEL",
    "DCB",
    "NETCONF",
    "MDB",
    "NSID",
    "STATS",
    "CACHEREPORT",
    "CHAIN",
    "NEXTHOP",
    "LINKPROP",
    "VLAN",
    "NEXTHOPBUCKET",
    "TUNNEL",
];

/// Subsystems of NETLINK_NETFILTER (include/uapi/linux/netfilter/nfnetlink.h).
const NETFILTER_PARTS: &[&str] = &[
    "NONE",
    "CTNETLINK",
    "CTNETLINK_EXP",
    "QUEUE",
    "ULOG",
    "OSF",
    "IPSET",
    "ACCT",
    "CTNETLINK_TIMEOUT",
    "CTHELPER",
    "NFTABLES",
    "NFT_COMPAT",
    "HOOK",
];
const NFTABLES: u32 = 10;

/// include/uapi/linux/netfilter/nf_tables.h
const NFTABLES_MESSAGES: &[&str] = &[
    "NFT_MSG_NEWTABLE",
    "NFT_MSG_GETTABLE",
    "NFT_MSG_DELTABLE",
    "NFT_MSG_NEWCHAIN",
    "NFT_MSG_GETCHAIN",
    "NFT_MSG_DELCHAIN",
    "NFT_MSG_NEWRULE",
    "NFT_MSG_GETRULE",
    "NFT_MSG_DELRULE",
    "NFT_MSG_NEWSET",
    "NFT_MSG_GETSET",
    "NFT_MSG_DELSET",
    "NFT_MSG_NEWSETELEM",
    "NFT_MSG_GETSETELEM",
    "NFT_MSG_DELSETELEM",
    "NFT_MSG_NEWGEN",
    "NFT_MSG_GETGEN",
    "NFT_MSG_TRACE",
    "NFT_MSG_NEWOBJ",
];

/// A protocol's name.
pub fn protocol(number: u32) -> String {
    PROTOCOLS.get(number as usize).map_or_else(|| format!("netlink {number}"), |name| (*name).to_owned())
}

/// A message's name.
pub fn request(protocol: u32, message: u32) -> String {
    let named = match protocol {
        ROUTE => route(message),
        NETFILTER => netfilter(message),
        _ => None,
    };
    named.unwrap_or_else(|| format!("message {message}"))
}

fn route(message: u32) -> Option<String> {
    const VERBS: [&str; 4] = ["NEW", "DEL", "GET", "SET"];
    let index = message.checked_sub(16)?;
    let object = ROUTE_OBJECTS.get(index as usize / 4)?;
    Some(format!("RTM_{}{object}", VERBS[index as usize % 4]))
}

fn netfilter(message: u32) -> Option<String> {
    let (part, number) = (message >> 8, message & 0xff);
    if part == NFTABLES
        && let Some(name) = NFTABLES_MESSAGES.get(number as usize)
    {
        return Some((*name).to_owned());
    }
    Some(format!("NFNL_SUBSYS_{} {number}", NETFILTER_PARTS.get(part as usize)?))
}

/// As `Failure::label` has it, to find the failure that repeats.
pub fn label(nr: u32) -> String {
    netlink_label(&request(nr >> 16, nr & 0xffff))
}

/// An acknowledgement taken apart, as far as it was read.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    pub request_flags: u16,
    pub message: Option<String>,
    pub interface: Option<String>,
    pub link_kind: Option<String>,
    pub index: Option<u32>,
}

/// include/uapi/linux/netlink.h
const HEADER: usize = 16;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// include/uapi/linux/if_link.h
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;
/// Requests about links, with `struct ifinfomsg` in front: RTM_NEWLINK to RTM_SETLINK.
const LINKS: std::ops::RangeInclusive<u16> = 16..=19;
const IFINFOMSG: usize = 16;

/// Reads `struct nlmsghdr`, the errno, and the request behind them with its attributes, and after those the
/// attributes of the acknowledgement itself.
pub fn acknowledgement(bytes: &[u8], protocol: u32) -> Acknowledgement {
    let mut out = Acknowledgement::default();
    let (Some(flags), Some(length)) = (short(bytes, 6), word(bytes, HEADER + 4)) else { return out };
    let request = bytes.get(HEADER + 4..).unwrap_or_default();
    let (Some(kind), Some(request_flags)) = (short(request, 4), short(request, 6)) else { return out };
    out.request_flags = request_flags;
    // Who asked for it (NETLINK_CAP_ACK) gets the header of his request only.
    let length = if flags & NLM_F_CAPPED != 0 { HEADER } else { length as usize };
    if protocol == ROUTE && LINKS.contains(&kind) && length > HEADER + IFINFOMSG {
        let payload = request.get(HEADER..length.min(request.len())).unwrap_or_default();
        out.index = word(payload, 4);
        let attributes = payload.get(IFINFOMSG..).unwrap_or_default();
        out.interface = attribute(attributes, IFLA_IFNAME).and_then(text);
        let info = attribute(attributes, IFLA_LINKINFO).unwrap_or_default();
        out.link_kind = attribute(info, IFLA_INFO_KIND).and_then(text);
    }
    if flags & NLM_F_ACK_TLVS != 0 {
        let own = request.get(aligned(length)..).unwrap_or_default();
        out.message = attribute(own, NLMSGERR_ATTR_MSG).and_then(text);
    }
    out
}

/// The value of the first attribute of this type (`struct nlattr`); the upper two bits of a type are flags.
fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let (Some(length), Some(kind)) = (short(bytes, 0), short(bytes, 2)) {
        let length = usize::from(length);
        if length < 4 {
            return None;
        }
        if kind & 0x3fff == wanted {
            return bytes.get(4..length);
        }
        bytes = bytes.get(aligned(length)..)?;
    }
    None
}

fn aligned(length: usize) -> usize {
    length.next_multiple_of(4)
}

fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    (end > 0).then(|| String::from_utf8_lossy(&bytes[..end]).into_owned())
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_the_kernels_names() {
        for (number, name) in
            [(16, "RTM_NEWLINK"), (19, "RTM_SETLINK"), (24, "RTM_NEWROUTE"), (30, "RTM_GETNEIGH")]
        {
            assert_eq!(request(ROUTE, number), name);
        }
        assert_eq!(request(NETFILTER, NFTABLES << 8 | 6), "NFT_MSG_NEWRULE");
        assert_eq!(request(NETFILTER, 1 << 8), "NFNL_SUBSYS_CTNETLINK 0");
        assert_eq!(
            (request(16, 28), protocol(16), protocol(99)),
            ("message 28".into(), "NETLINK_GENERIC".into(), "netlink 99".into())
        );
        assert_eq!(label(diag_abi::request(ROUTE, 16)), "netlink RTM_NEWLINK");
    }

    fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) {
        out.extend((value.len() as u16 + 4).to_ne_bytes());
        out.extend(kind.to_ne_bytes());
        out.extend(value);
        out.resize(aligned(out.len()), 0);
    }

    /// An answer to RTM_NEWLINK of a veth called `eth7`, whose own attributes follow.
    fn answer(flags: u16) -> Vec<u8> {
        let mut link = vec![0; IFINFOMSG];
        link[4] = 9;
        put(&mut link, IFLA_IFNAME, b"eth7\0");
        let mut info = Vec::new();
        put(&mut info, IFLA_INFO_KIND, b"veth");
        put(&mut link, IFLA_LINKINFO | 0x8000, &info);
        let mut out = vec![0; HEADER];
        out[6..8].copy_from_slice(&flags.to_ne_bytes());
        out.extend((-17_i32).to_ne_bytes());
        out.extend((HEADER as u32 + link.len() as u32).to_ne_bytes());
        out.extend(16_u16.to_ne_bytes());
        out.extend(0x605_u16.to_ne_bytes());
        out.extend([0; 8]);
        if flags & NLM_F_CAPPED == 0 {
            out.extend(link);
        }
        if flags & NLM_F_ACK_TLVS != 0 {
            put(&mut out, NLMSGERR_ATTR_MSG, b"no room\0");
        }
        out
    }

    #[test]
    fn an_answer_names_the_interface_and_the_kernels_sentence() {
        let whole = acknowledgement(&answer(NLM_F_ACK_TLVS), ROUTE);
        let expected = Acknowledgement {
            request_flags: 0x605,
            message: Some("no room".into()),
            interface: Some("eth7".into()),
            link_kind: Some("veth".into()),
            index: Some(9),
        };
        assert_eq!(whole, expected);
        let capped = acknowledgement(&answer(NLM_F_ACK_TLVS | NLM_F_CAPPED), ROUTE);
        assert_eq!((capped.message.as_deref(), capped.interface), (Some("no room"), None));
    }

    #[test]
    fn damaged_answers_never_panic() {
        let bytes = answer(NLM_F_ACK_TLVS);
        for length in 0..bytes.len() {
            acknowledgement(&bytes[..length], ROUTE);
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                acknowledgement(&damaged, ROUTE);
            }
        }
    }
}
