//! Sockets over the loopback, and requests by netlink in a network of its own.

use super::told::{Told, close, own_tid, text};
use std::mem::size_of;

const STREAM: usize = libc::SOCK_STREAM as usize;
const DATAGRAM: usize = libc::SOCK_DGRAM as usize;

/// `struct sockaddr_in` of 127.0.0.1; the kernel chooses port 0.
fn loopback(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as u16,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_be_bytes([127, 0, 0, 1]).to_be() },
        sin_zero: [0; 8],
    }
}

fn port_of(socket: usize) -> u16 {
    let mut address = loopback(0);
    let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: the address and its length are live.
    unsafe { libc::getsockname(socket as i32, (&raw mut address).cast(), &raw mut length) };
    u16::from_be(address.sin_port)
}

pub(super) fn internet(told: &mut Told) {
    let size = size_of::<libc::sockaddr_in>();
    let any = loopback(0);
    let listener = told.call("socket", &[libc::AF_INET as usize, STREAM, 0]);
    let receiver = told.call("socket", &[libc::AF_INET as usize, DATAGRAM, 0]);
    for socket in [listener, receiver].into_iter().flatten() {
        told.call("bind", &[socket, &raw const any as usize, size]);
    }
    if let Some(listener) = listener {
        told.call("listen", &[listener, 4]);
        let to = loopback(port_of(listener));
        let client = told.call("socket", &[libc::AF_INET as usize, STREAM, 0]);
        if let Some(client) = client {
            told.call("connect", &[client, &raw const to as usize, size]);
            told.call("sendto", &[client, c"x".as_ptr() as usize, 1, 0, 0, 0]);
        }
        close(client);
    }
    if let Some(receiver) = receiver {
        let to = loopback(port_of(receiver));
        let sender = told.call("socket", &[libc::AF_INET as usize, DATAGRAM, 0]);
        if let Some(sender) = sender {
            told.call("sendto", &[sender, c"x".as_ptr() as usize, 1, 0, &raw const to as usize, size]);
            told.call("connect", &[sender, &raw const to as usize, size]);
            told.call("sendto", &[sender, c"x".as_ptr() as usize, 1, 0, 0, 0]);
            options(told, sender);
        }
        close(sender);
    }
    six(told);
    close(
        told.call("socket", &[libc::AF_INET as usize, libc::SOCK_RAW as usize, libc::IPPROTO_ICMP as usize]),
    );
    close(listener);
    close(receiver);
}

fn options(told: &mut Told, socket: usize) {
    let one = 1i32;
    let mut set = |level: i32, option: i32, value: usize, size: usize| {
        told.call("setsockopt", &[socket, level as usize, option as usize, value, size]);
    };
    set(libc::SOL_SOCKET, libc::SO_MARK, &raw const one as usize, 4);
    set(libc::SOL_SOCKET, libc::SO_BROADCAST, &raw const one as usize, 4);
    set(libc::SOL_SOCKET, libc::SO_SNDBUF, &raw const one as usize, 4);
    // 239.255.0.1 on the loopback: a group of this host alone.
    let group = libc::ip_mreqn {
        imr_multiaddr: libc::in_addr { s_addr: u32::from_be_bytes([239, 255, 0, 1]).to_be() },
        imr_address: libc::in_addr { s_addr: u32::from_be_bytes([127, 0, 0, 1]).to_be() },
        imr_ifindex: 0,
    };
    let size = size_of::<libc::ip_mreqn>();
    set(libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP, &raw const group as usize, size);
}

fn six(told: &mut Told) {
    let mut address = [0u8; 28];
    address[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
    // ::1 behind port and flow.
    address[23] = 1;
    let socket = told.call("socket", &[libc::AF_INET6 as usize, STREAM, 0]);
    if let Some(socket) = socket {
        told.call("bind", &[socket, address.as_ptr() as usize, address.len()]);
    }
    close(socket);
}

/// `struct sockaddr_un`, and how much of it counts.
fn named(name: &[u8]) -> ([u8; 110], usize) {
    let mut address = [0; 110];
    address[..2].copy_from_slice(&(libc::AF_UNIX as u16).to_ne_bytes());
    let length = name.len().min(107);
    address[2..2 + length].copy_from_slice(&name[..length]);
    (address, 3 + length)
}

pub(super) fn local(told: &mut Told) {
    let path = std::env::temp_dir().join(format!("diag-{}.sock", own_tid()));
    for kind in [STREAM, DATAGRAM] {
        let (address, size) = named(path.as_os_str().as_encoded_bytes());
        let server = told.call("socket", &[libc::AF_UNIX as usize, kind, 0]);
        let client = told.call("socket", &[libc::AF_UNIX as usize, kind, 0]);
        if let (Some(server), Some(client)) = (server, client) {
            told.call("bind", &[server, address.as_ptr() as usize, size]);
            if kind == STREAM {
                told.call("listen", &[server, 4]);
            } else {
                let to = address.as_ptr() as usize;
                told.call("sendto", &[client, c"x".as_ptr() as usize, 1, 0, to, size]);
            }
            told.call("connect", &[client, address.as_ptr() as usize, size]);
            told.call("sendto", &[client, c"x".as_ptr() as usize, 1, 0, 0, 0]);
        }
        close(client);
        close(server);
        let _ = std::fs::remove_file(&path);
    }
}

/// `struct nlmsghdr` and `struct ifinfomsg`, with attributes behind.
fn request(kind: u16, flags: u16, index: i32, up: u32, attributes: &[u8]) -> Vec<u8> {
    const REQUEST_AND_ACK: u16 = 1 | 4;
    let mut message = vec![0; 4];
    message.extend(kind.to_ne_bytes());
    message.extend((REQUEST_AND_ACK | flags).to_ne_bytes());
    message.extend([0; 8]);
    message.extend([0; 4]);
    message.extend(index.to_ne_bytes());
    message.extend(up.to_ne_bytes());
    message.extend(up.to_ne_bytes());
    message.extend(attributes);
    let length = message.len() as u32;
    message[..4].copy_from_slice(&length.to_ne_bytes());
    message
}

/// `struct rtattr`, filled up to four bytes.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::from((4 + value.len() as u16).to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// Whether what this link needs is there already: asking for it must not load a module.
fn loaded(module: &str) -> bool {
    std::path::Path::new("/sys/module").join(module).exists()
}

/// include/uapi/linux/rtnetlink.h, if_link.h
const RTM_NEWLINK: u16 = 16;
const CREATE_NEW: u16 = 0x600;
const IFLA_IFNAME: u16 = 3;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;

pub(super) fn netlink(told: &mut Told) {
    if told.call("unshare", &[libc::CLONE_NEWNET as usize]).is_none() {
        return;
    }
    let Some(socket) = told.call("socket", &[libc::AF_NETLINK as usize, libc::SOCK_RAW as usize, 0]) else {
        return;
    };
    let mut send = |message: Vec<u8>| {
        told.call("sendto", &[socket, message.as_ptr() as usize, message.len(), 0, 0, 0]);
    };
    send(request(RTM_NEWLINK, 0, 1, 1, &[]));
    let link = |name: &str, kind: &str| {
        let info = attribute(IFLA_INFO_KIND, text(kind).as_bytes_with_nul());
        let mut all = attribute(IFLA_IFNAME, text(name).as_bytes_with_nul());
        all.extend(attribute(IFLA_LINKINFO, &info));
        all
    };
    for kind in ["bridge", "dummy", "veth"] {
        if loaded(kind) {
            send(request(RTM_NEWLINK, CREATE_NEW, 0, 0, &link(&format!("diag-{kind}"), kind)));
        }
    }
    let index = |name: &str| {
        // SAFETY: a NUL-terminated name.
        unsafe { libc::if_nametoindex(text(name).as_ptr()) }
    };
    let (bridge, dummy) = (index("diag-bridge"), index("diag-dummy"));
    if bridge != 0 && dummy != 0 {
        send(request(RTM_NEWLINK, 0, dummy as i32, 0, &attribute(IFLA_MASTER, &bridge.to_ne_bytes())));
    }
    // Home again, to the network it is in already.
    if dummy != 0
        && let Ok(here) = std::fs::File::open("/proc/self/ns/net")
    {
        let fd = std::os::fd::AsRawFd::as_raw_fd(&here);
        send(request(RTM_NEWLINK, 0, dummy as i32, 0, &attribute(IFLA_NET_NS_FD, &fd.to_ne_bytes())));
    }
}
