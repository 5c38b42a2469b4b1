//! Faults of Internet sockets, in a network namespace of their own.

use super::sockets::{self, LOCALHOST, internet, socket};
use super::{LINGER, Provoked};
use anyhow::{Context, bail};
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::{fs, io};

/// Of the range for documentation (RFC 5737).
const NOWHERE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const STREAM: i32 = libc::SOCK_STREAM;
const DGRAM: i32 = libc::SOCK_DGRAM;
/// More connections or sockets than any of these limits is lowered to.
const MOST: usize = 64;

/// A network namespace in which lo is up.
pub(super) fn enter() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace (CAP_SYS_ADMIN is needed)")?;
    let asker = socket(libc::AF_INET, DGRAM, 0)?;
    set_lo(&asker, libc::IFF_UP as i16).context("cannot set lo up")
}

fn set_lo(asker: &OwnedFd, flags: i16) -> io::Result<()> {
    // SAFETY: a request without a name; its name and flags are set before it is used.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[..2].copy_from_slice(&[b'l' as libc::c_char, b'o' as libc::c_char]);
    request.ifr_ifru.ifru_flags = flags;
    // SAFETY: the request has the form that SIOCSIFFLAGS expects.
    let done = unsafe { libc::ioctl(asker.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn set(name: &str, value: &str) -> anyhow::Result<()> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::write(&path, value).with_context(|| format!("cannot write {path}"))
}

fn kind(variant: &str) -> i32 {
    if variant == "udp" { DGRAM } else { STREAM }
}

/// What was refused, once whoever looks has had time to look; `held` keeps things as they were meanwhile.
pub(super) fn refused<T>(result: io::Result<()>, syscall: &'static str, held: T) -> anyhow::Result<Provoked> {
    match result {
        Ok(()) => bail!("{syscall} succeeded"),
        Err(error) => {
            std::thread::sleep(LINGER);
            drop(held);
            Ok(Provoked::new(syscall, error))
        }
    }
}

/// Follows interfaces without reading, while one goes up and down.
pub(super) fn overrun(_: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let follower = socket(libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_NONBLOCK, libc::NETLINK_ROUTE)?;
    sockets::set(&follower, libc::SOL_SOCKET, libc::SO_RCVBUF, &1_u32)
        .context("cannot make its buffer small")?;
    // struct sockaddr_nl: family, padding, port, groups (RTMGRP_LINK).
    let words = [libc::AF_NETLINK as u16, 0, 0, 0, libc::RTMGRP_LINK as u16, 0];
    let address: Vec<u8> = words.into_iter().flat_map(u16::to_ne_bytes).collect();
    sockets::bind(&follower, &address).context("cannot follow the interfaces")?;
    let asker = socket(libc::AF_INET, DGRAM, 0)?;
    for round in 0..2 * MOST {
        set_lo(&asker, if round % 2 == 0 { 0 } else { libc::IFF_UP as i16 })?;
    }
    let mut message = [0_u8; 4096];
    for _ in 0..4 * MOST {
        // SAFETY: a buffer with its length.
        let got = unsafe { libc::recv(follower.as_raw_fd(), message.as_mut_ptr().cast(), message.len(), 0) };
        if got < 0 {
            return refused(Err(io::Error::last_os_error()), "recvfrom", (follower, asker));
        }
    }
    bail!("a small buffer lost nothing")
}

pub(super) fn unknown_congestion_control(_: &str) -> anyhow::Result<Provoked> {
    let own = socket(libc::AF_INET, STREAM, 0)?;
    let name = *b"diag-none\0";
    refused(sockets::set(&own, libc::IPPROTO_TCP, libc::TCP_CONGESTION, &name), "setsockopt", own)
}

/// struct ip_mreq_source: group, interface, source.
pub(super) fn add_sources(_: &str) -> anyhow::Result<Provoked> {
    enter()?;
    set("net.ipv4.igmp_max_msf", "1")?;
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    for last in 1..=2 {
        let request: [[u8; 4]; 3] = [[224, 1, 2, 3], [127, 0, 0, 1], [10, 0, 0, last]];
        let done = sockets::set(&own, libc::IPPROTO_IP, libc::IP_ADD_SOURCE_MEMBERSHIP, &request);
        if done.is_err() {
            return refused(done, "setsockopt", own);
        }
    }
    bail!("a second source was taken")
}

/// struct ip_mreq: group, interface. Nothing is up in a new namespace.
pub(super) fn join_without_route(_: &str) -> anyhow::Result<Provoked> {
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace (CAP_SYS_ADMIN is needed)")?;
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    let request: [[u8; 4]; 2] = [[224, 1, 2, 3], [0; 4]];
    let done = sockets::set(&own, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &request);
    refused(done, "setsockopt", own)
}

/// IPT_SO_GET_INFO, with a table that nobody has.
pub(super) fn unknown_table(_: &str) -> anyhow::Result<Provoked> {
    const GET_INFO: i32 = 64;
    enter()?;
    let own = socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_RAW)?;
    // struct ipt_getinfo: a name of 32 bytes and 13 words.
    let mut info = [0_u8; 84];
    info[..9].copy_from_slice(b"diag-none");
    let mut length = info.len() as u32;
    // SAFETY: a buffer with its length.
    let got = unsafe {
        libc::getsockopt(
            own.as_raw_fd(),
            libc::IPPROTO_IP,
            GET_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    let result = if got < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    refused(result, "getsockopt", (own, info))
}

pub(super) fn use_port_twice(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let at = internet(Ipv4Addr::UNSPECIFIED, 8080);
    let (first, second) =
        (socket(libc::AF_INET, kind(variant), 0)?, socket(libc::AF_INET, kind(variant), 0)?);
    sockets::bind(&first, &at)?;
    if variant != "udp" {
        sockets::listen(&first, 1)?;
    }
    refused(sockets::bind(&second, &at), "bind", (first, second))
}

pub(super) fn bind_low_port(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let (uid, gid) = (Uid::from_raw(65_533), Gid::from_raw(65_533));
    setresgid(gid, gid, gid)?;
    setresuid(uid, uid, uid)?;
    let own = socket(libc::AF_INET, kind(variant), 0)?;
    Provoked::by("bind", move || sockets::bind(&own, &internet(Ipv4Addr::UNSPECIFIED, 80)))
}

pub(super) fn bind_elsewhere(_: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let own = socket(libc::AF_INET, STREAM, 0)?;
    refused(sockets::bind(&own, &internet(NOWHERE, 8080)), "bind", own)
}

pub(super) fn without_ipv6(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    set("net.ipv6.conf.all.disable_ipv6", "1")?;
    let own = socket(libc::AF_INET6, STREAM, 0)?;
    let at = internet(Ipv6Addr::LOCALHOST, 8080);
    match variant {
        "connect" => refused(sockets::connect(&own, &at), "connect", own),
        _ => Provoked::by("bind", move || sockets::bind(&own, &at)),
    }
}

/// A call that takes a local port.
fn ask(socket: &OwnedFd, syscall: &str) -> io::Result<()> {
    match syscall {
        "sendto" => sockets::send(socket, b"x", &internet(LOCALHOST, 9)),
        "bind" => sockets::bind(socket, &internet(LOCALHOST, 0)),
        _ => sockets::connect(socket, &internet(LOCALHOST, 80)),
    }
}

pub(super) fn use_up_ports(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    set("net.ipv4.ip_local_port_range", "40000 40003")?;
    let listener = socket(libc::AF_INET, STREAM, 0)?;
    sockets::bind(&listener, &internet(LOCALHOST, 80))?;
    sockets::listen(&listener, 64)?;
    let mut held: Vec<OwnedFd> = Vec::new();
    let (kind, syscall) = match variant {
        "udp" => (DGRAM, "sendto"),
        "bind" => (STREAM, "bind"),
        _ => (STREAM, "connect"),
    };
    for _ in 0..MOST {
        let next = socket(libc::AF_INET, kind, 0)?;
        let done = ask(&next, syscall);
        held.push(next);
        // UDP hears of closed ports from the next call.
        if done.is_err_and(|e| e.raw_os_error() != Some(libc::ECONNREFUSED)) {
            break;
        }
    }
    let last = held.pop().context("no socket was made")?;
    Provoked::by(syscall, move || {
        let _held = (&held, &listener);
        ask(&last, syscall)
    })
}

pub(super) fn reach_nowhere(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let own = socket(libc::AF_INET, kind(variant), 0)?;
    refused(sockets::connect(&own, &internet(NOWHERE, 80)), "connect", own)
}

/// `RTN_*` (linux/rtnetlink.h).
pub(super) fn meet_route(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let kind = match variant {
        "unreachable" => 7,
        "prohibit" => 8,
        _ => 6,
    };
    add_route(kind).context("the route was refused")?;
    let own = socket(libc::AF_INET, STREAM, 0)?;
    refused(sockets::connect(&own, &internet(NOWHERE, 80)), "connect", own)
}

/// The acknowledgement's errno is that of the request.
fn add_route(kind: u8) -> io::Result<()> {
    const RTM_NEWROUTE: u16 = 24;
    const REQUEST_ACK_CREATE: u16 = 1 | 4 | 0x400;
    let mut message = 36_u32.to_ne_bytes().to_vec();
    message.extend(RTM_NEWROUTE.to_ne_bytes());
    message.extend(REQUEST_ACK_CREATE.to_ne_bytes());
    message.extend([1, 0, 0, 0, 0, 0, 0, 0]);
    // struct rtmsg: IPv4, /24, no source, no TOS, main table, by hand, everywhere, the kind, no flags
    message.extend([libc::AF_INET as u8, 24, 0, 0, 254, 3, 0, kind, 0, 0, 0, 0]);
    message.extend([8, 0, 1, 0]);
    // The network's address: bits below the prefix must be zero.
    message.extend([192, 0, 2, 0]);
    let asker = socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_ROUTE)?;
    sockets::send(&asker, &message, &[])?;
    let mut reply = [0_u8; 256];
    // SAFETY: a buffer and its length.
    let read = unsafe { libc::recv(asker.as_raw_fd(), reply.as_mut_ptr().cast(), reply.len(), 0) };
    let Some(code) =
        reply.get(16..20).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes).filter(|_| read >= 20)
    else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(-code)) }
}

pub(super) fn broadcast(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    let at = internet(Ipv4Addr::new(127, 255, 255, 255), 9);
    match variant {
        "connect" => refused(sockets::connect(&own, &at), "connect", own),
        _ => refused(sockets::send(&own, b"x", &at), "sendto", own),
    }
}

pub(super) fn knock(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let own = socket(libc::AF_INET, kind(variant), 0)?;
    let at = internet(LOCALHOST, 81);
    if variant != "udp" {
        return refused(sockets::connect(&own, &at), "connect", own);
    }
    sockets::connect(&own, &at)?;
    sockets::send(&own, b"x", &[])?;
    // The answer to the first message is the second one's errno.
    refused(sockets::send(&own, b"x", &at), "sendto", own)
}

pub(super) fn fill_accept_queue(_: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let listener = socket(libc::AF_INET, STREAM, 0)?;
    let at = internet(LOCALHOST, 80);
    sockets::bind(&listener, &at)?;
    sockets::listen(&listener, 1)?;
    let mut held = vec![];
    for _ in 0..8 {
        let next = socket(libc::AF_INET, STREAM, 0)?;
        let wait = libc::timeval { tv_sec: 0, tv_usec: 300_000 };
        sockets::set(&next, libc::SOL_SOCKET, libc::SO_SNDTIMEO, &wait)?;
        let done = sockets::connect(&next, &at);
        held.push(next);
        if done.is_err() {
            return refused(done, "connect", (held, listener));
        }
    }
    bail!("a queue of one took eight connections")
}

pub(super) fn ask_for_unknown(variant: &str) -> anyhow::Result<Provoked> {
    let made = match variant {
        // IPPROTO_MAX of the kernel is above: a number nobody has a module for.
        "protocol" => socket(libc::AF_INET, STREAM, 253),
        // AF_ECONET, gone since 3.5.
        _ => socket(19, STREAM, 0),
    };
    refused(made.map(drop), "socket", ())
}

const CAP_NET_ADMIN: u64 = 1 << 12;
const CAP_NET_RAW: u64 = 1 << 13;

pub(super) fn without_net_raw(variant: &str) -> anyhow::Result<Provoked> {
    sockets::drop_capabilities(CAP_NET_RAW)?;
    let made = match variant {
        "packet" => socket(libc::AF_PACKET, libc::SOCK_RAW, 0),
        _ => socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP),
    };
    refused(made.map(drop), "socket", ())
}

pub(super) fn ping(_: &str) -> anyhow::Result<Provoked> {
    enter()?;
    set("net.ipv4.ping_group_range", "1 0")?;
    Provoked::by("socket", || socket(libc::AF_INET, DGRAM, libc::IPPROTO_ICMP).map(drop))
}

pub(super) fn set_guarded_option(variant: &str) -> anyhow::Result<Provoked> {
    sockets::drop_capabilities(CAP_NET_ADMIN | CAP_NET_RAW)?;
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    let option = if variant == "rcvbufforce" { libc::SO_RCVBUFFORCE } else { libc::SO_MARK };
    refused(sockets::set(&own, libc::SOL_SOCKET, option, &1_i32), "setsockopt", own)
}

/// `struct ip_mreqn`: group, local address, index of the interface.
fn join(own: &OwnedFd, last: u8) -> io::Result<()> {
    let group = [224_u8, 1, 1, last, 0, 0, 0, 0, 1, 0, 0, 0];
    sockets::set(own, libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &group)
}

pub(super) fn join_groups(_: &str) -> anyhow::Result<Provoked> {
    enter()?;
    set("net.ipv4.igmp_max_memberships", "1")?;
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    join(&own, 1)?;
    Provoked::by("setsockopt", move || join(&own, 2))
}

/// Control data that is longer than the machine's own `net.core.optmem_max`.
pub(super) fn fill_option_memory(_: &str) -> anyhow::Result<Provoked> {
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    let mut control = vec![0_u64; 1 << 20];
    control[0] = 8 << 20;
    // SAFETY: a message without name and data; zero is a value of every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = 8 << 20;
    // SAFETY: control data and its length.
    let sent = unsafe { libc::sendmsg(own.as_raw_fd(), &raw const message, 0) };
    let result = if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
    refused(result, "sendmsg", own)
}

pub(super) fn send_too_much(variant: &str) -> anyhow::Result<Provoked> {
    if variant == "udp" {
        enter()?;
        let own = socket(libc::AF_INET, DGRAM, 0)?;
        return refused(sockets::send(&own, &[0; 70_000], &internet(LOCALHOST, 9)), "sendto", own);
    }
    let (own, other) = (socket(libc::AF_UNIX, DGRAM, 0)?, socket(libc::AF_UNIX, DGRAM, 0)?);
    let at = sockets::local(&format!("@diag-{}", std::process::id()));
    sockets::bind(&other, &at)?;
    sockets::set(&own, libc::SOL_SOCKET, libc::SO_SNDBUF, &4096_i32)?;
    refused(sockets::send(&own, &[0; 70_000], &at), "sendto", (own, other))
}

pub(super) fn bind_to_missing(_: &str) -> anyhow::Result<Provoked> {
    enter()?;
    let own = socket(libc::AF_INET, DGRAM, 0)?;
    refused(sockets::set(&own, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, b"missing0\0"), "setsockopt", own)
}

pub(super) fn without_net_admin(variant: &str) -> anyhow::Result<Provoked> {
    enter()?;
    sockets::drop_capabilities(CAP_NET_ADMIN)?;
    match variant {
        "ioctl" => {
            let asker = socket(libc::AF_INET, DGRAM, 0)?;
            refused(set_lo(&asker, 0), "ioctl", asker)
        }
        _ => refused(add_route(6), "sendto", ()),
    }
}
