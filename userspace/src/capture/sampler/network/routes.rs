//! What the routing table of a network namespace says to a destination, and which addresses are its own.

use super::{Answers, Question};
use crate::model::{Errno, network as states};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

const RTM_GETROUTE: u16 = 26;
const RTM_NEWROUTE: u16 = 24;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const RTA_DST: u16 = 1;

pub(super) fn ask(q: &Question<'_>, out: &mut Answers) {
    let Some((ip, _)) = q.failure.internet() else { return };
    if let Ok(answer) = route(ip) {
        out.facts.push(q.state(states::ROUTE, &ip.to_string(), answer, "RTM_GETROUTE"));
    }
    let IpAddr::V4(v4) = ip else { return };
    let trie = q.net("fib_trie").unwrap_or_default();
    let entry = best(&trie, v4).unwrap_or_else(|| "none".into());
    out.facts.push(q.state(states::ENTRY, &ip.to_string(), entry, "/proc/net/fib_trie"));
    if let Some(state) = q.net("arp").and_then(|text| neighbour(&text, ip)) {
        out.facts.push(q.state(states::NEIGHBOUR, &ip.to_string(), state, "/proc/net/arp"));
    }
}

/// Asks the kernel for a route, as `ip route get` does: its errno, or the kind of route.
fn route(ip: IpAddr) -> io::Result<String> {
    let bytes: Vec<u8> = match ip {
        IpAddr::V4(ip) => ip.octets().into(),
        IpAddr::V6(ip) => ip.octets().into(),
    };
    let family = if ip.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 } as u8;
    // struct rtmsg: family, dst_len, src_len, tos, table, protocol, scope, type, flags
    let mut body = vec![family, bytes.len() as u8 * 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    body.extend((4 + bytes.len() as u16).to_ne_bytes());
    body.extend(RTA_DST.to_ne_bytes());
    body.extend(bytes);
    let reply = exchange(libc::NETLINK_ROUTE, RTM_GETROUTE, NLM_F_REQUEST, &body, |_, _| {})?;
    Ok(reply)
}

/// Sends one request and hands every reply on; the answer is an errno's name or the last route's kind.
pub(super) fn exchange(
    protocol: i32,
    kind: u16,
    flags: u16,
    body: &[u8],
    mut each: impl FnMut(u16, &[u8]),
) -> io::Result<String> {
    // SAFETY: no pointers; the descriptor is ours alone.
    let socket = unsafe {
        let fd = libc::socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        OwnedFd::from_raw_fd(fd)
    };
    let second = libc::timeval { tv_sec: 1, tv_usec: 0 };
    // SAFETY: the option's value and its size.
    unsafe {
        let size = size_of::<libc::timeval>() as libc::socklen_t;
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_RCVTIMEO,
            (&raw const second).cast(),
            size,
        );
    }
    let mut message = Vec::new();
    message.extend((16 + body.len() as u32).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    message.extend(body);
    // SAFETY: a buffer and its length.
    if unsafe { libc::send(socket.as_raw_fd(), message.as_ptr().cast(), message.len(), 0) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut answer = String::new();
    let mut buffer = vec![0_u8; 32_768];
    for _ in 0..64 {
        // SAFETY: a buffer and its length.
        let read = unsafe { libc::recv(socket.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), 0) };
        if read <= 0 {
            return Err(io::Error::last_os_error());
        }
        let mut rest = &buffer[..read as usize];
        while let Some((kind, payload, after)) = split(rest) {
            match kind {
                NLMSG_ERROR => {
                    let code = payload.get(..4).and_then(|b| b.try_into().ok()).map_or(0, i32::from_ne_bytes);
                    return Ok(if code == 0 { answer } else { Errno(-code).name() });
                }
                NLMSG_DONE => return Ok(answer),
                RTM_NEWROUTE if protocol == libc::NETLINK_ROUTE => {
                    return Ok(route_kind(payload.get(7).copied().unwrap_or(0)).into());
                }
                kind => each(kind, payload),
            }
            rest = after;
        }
        if flags & NLM_F_DUMP == 0 {
            break;
        }
        answer.clear();
    }
    Ok(answer)
}

/// One message: its type, what it holds, and what follows.
fn split(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let size = u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?) as usize;
    let kind = u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?);
    let payload = bytes.get(16..size)?;
    Some((kind, payload, bytes.get(size.next_multiple_of(4)..).unwrap_or_default()))
}

/// `RTN_*` of linux/rtnetlink.h.
fn route_kind(number: u8) -> &'static str {
    const KINDS: [&str; 12] = [
        "unspec",
        "unicast",
        "local",
        "broadcast",
        "anycast",
        "multicast",
        "blackhole",
        "unreachable",
        "prohibit",
        "throw",
        "nat",
        "xresolve",
    ];
    KINDS.get(number as usize).copied().unwrap_or("unknown")
}

/// Base chains of nftables that packets leave through: `NFT_MSG_GETCHAIN` (4) of subsystem 10, all families.
pub(super) fn chains() -> io::Result<Vec<String>> {
    const NFT_GETCHAIN: u16 = (10 << 8) | 4;
    let mut found = Vec::new();
    // struct nfgenmsg: family (0: all), version, resource id
    exchange(
        libc::NETLINK_NETFILTER,
        NFT_GETCHAIN,
        NLM_F_REQUEST | NLM_F_DUMP,
        &[0, 0, 0, 0],
        |_, payload| {
            found.extend(chain(payload));
        },
    )?;
    Ok(found)
}

/// NF_INET_LOCAL_OUT and NF_INET_POST_ROUTING.
const LEAVES: [(u32, &str); 2] = [(3, "output"), (4, "postrouting")];

fn chain(payload: &[u8]) -> Option<String> {
    // NFTA_CHAIN_TABLE, _HANDLE, _NAME, _HOOK; NFTA_HOOK_HOOKNUM, all in network order.
    let attributes = payload.get(4..)?;
    let hook = attribute(attribute(attributes, 4)?, 1)?;
    let hook = u32::from_be_bytes(hook.get(..4)?.try_into().ok()?);
    let (_, word) = LEAVES.iter().find(|(number, _)| *number == hook)?;
    let text = |kind| {
        attribute(attributes, kind).map(|b| String::from_utf8_lossy(b).trim_end_matches('\0').to_string())
    };
    Some(format!("nftables {} {} ({word})", text(1)?, text(3)?))
}

/// The value of the attribute with this type; flags in the type's upper bits are left out.
pub(super) fn attribute(mut bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let size = usize::from(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?));
        let kind = u16::from_ne_bytes(bytes.get(2..4)?.try_into().ok()?) & 0x3fff;
        let value = bytes.get(4..size)?;
        if kind == wanted {
            return Some(value);
        }
        bytes = bytes.get(size.next_multiple_of(4)..)?;
    }
}

/// The entry of the main table with the longest prefix that covers an address: `BLACKHOLE 192.0.2.0/24`.
fn best(trie: &str, ip: Ipv4Addr) -> Option<String> {
    let covers = |(net, bits, _): &(Ipv4Addr, u32, String)| {
        let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
        u32::from(*net) & mask == u32::from(ip) & mask
    };
    let entries = entries(trie).into_iter().filter(covers);
    entries.max_by_key(|entry| entry.1).map(|(net, bits, kind)| format!("{kind} {net}/{bits}"))
}

/// Leaves of `/proc/net/fib_trie`: `|-- 192.0.2.0` and below it `/24 universe BLACKHOLE`. Tables are not told apart:
/// where only one of them has an entry that covers, it is the one that counts.
fn entries(trie: &str) -> Vec<(Ipv4Addr, u32, String)> {
    let mut leaf = None;
    let mut found = Vec::new();
    for line in trie.lines().map(str::trim) {
        if let Some(ip) = line.strip_prefix("|-- ") {
            leaf = ip.parse().ok();
        } else if let (Some(net), Some(rest)) = (leaf, line.strip_prefix('/')) {
            let words: Vec<&str> = rest.split_whitespace().collect();
            if let (Some(Ok(bits)), Some(kind)) = (words.first().map(|b| b.parse()), words.get(2)) {
                found.push((net, bits, (*kind).to_string()));
            }
        }
    }
    found
}

pub(super) fn own_v4(trie: &str) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> =
        entries(trie).into_iter().filter(|e| e.1 == 32 && e.2 == "LOCAL").map(|e| IpAddr::V4(e.0)).collect();
    own.sort();
    own.dedup();
    own
}

/// `00000000000000000000000000000001 01 80 10 80       lo`; an address that is not usable yet counts, too.
pub(super) fn own_v6(text: &str) -> Vec<IpAddr> {
    let address = |line: &str| u128::from_str_radix(line.split_whitespace().next()?, 16).ok();
    text.lines().filter_map(address).map(|bits| IpAddr::V6(Ipv6Addr::from(bits))).collect()
}

/// The flags of an own address: `IFA_F_DADFAILED` and `IFA_F_TENTATIVE` (linux/if_addr.h) keep it from being used, and
/// `IFA_F_OPTIMISTIC` lets it be used before.
pub(super) fn state_v6(text: &str, ip: Ipv6Addr) -> Option<&'static str> {
    let wanted = format!("{:032x}", u128::from(ip));
    let line = text.lines().find(|line| line.split_whitespace().next() == Some(wanted.as_str()))?;
    let flags = u32::from_str_radix(line.split_whitespace().nth(4)?, 16).ok()?;
    Some(match flags {
        flags if flags & 0x08 != 0 => "duplicate",
        flags if flags & 0x44 == 0x40 => "tentative",
        _ => "usable",
    })
}

/// `IP HWtype Flags HWaddress Mask Device`: without the flag 2 nobody has answered.
fn neighbour(arp: &str, ip: IpAddr) -> Option<&'static str> {
    let line = arp.lines().skip(1).find(|l| l.split_whitespace().next() == Some(&ip.to_string()))?;
    let flags = u32::from_str_radix(line.split_whitespace().nth(2)?.trim_start_matches("0x"), 16).ok()?;
    Some(if flags & 2 == 0 { "incomplete" } else { "complete" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIE: &str = "\
Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     |-- 192.0.2.0
        /24 universe BLACKHOLE
Local:
  +-- 0.0.0.0/0 2 0 2
     |-- 127.0.0.1
        /32 host LOCAL
     |-- 127.0.0.0
        /8 host LOCAL
";

    #[test]
    fn the_longest_prefix_answers() {
        assert_eq!(best(TRIE, Ipv4Addr::new(192, 0, 2, 1)).unwrap(), "BLACKHOLE 192.0.2.0/24");
        assert_eq!(best(TRIE, Ipv4Addr::new(8, 8, 8, 8)).unwrap(), "UNICAST 0.0.0.0/0");
        assert_eq!(own_v4(TRIE), [IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        assert_eq!(
            own_v6("00000000000000000000000000000001 01 80 10 80 lo\n"),
            [IpAddr::V6(Ipv6Addr::LOCALHOST)]
        );
    }

    #[test]
    fn a_new_address_is_tentative() {
        let text = "fd000000000000000000000000000005 02 40 00 40 eth0\nfd000000000000000000000000000006 02 40 00 80 eth0\n";
        assert_eq!(state_v6(text, "fd00::5".parse().unwrap()), Some("tentative"));
        assert_eq!(state_v6(text, "fd00::6".parse().unwrap()), Some("usable"));
        assert_eq!(state_v6(text, "fd00::7".parse().unwrap()), None);
    }

    #[test]
    fn a_neighbour_that_did_not_answer_is_incomplete() {
        let arp =
            "IP address HW type Flags HW address Mask Device\n10.0.0.9 0x1 0x0 00:00:00:00:00:00 * eth0\n";
        assert_eq!(neighbour(arp, "10.0.0.9".parse().unwrap()), Some("incomplete"));
        assert_eq!(neighbour(arp, "10.0.0.8".parse().unwrap()), None);
    }

    #[test]
    fn the_kernel_s_own_answer_is_understood() {
        // This machine has a loopback address.
        assert_eq!(route("127.0.0.1".parse().unwrap()).unwrap(), "local");
    }
}
