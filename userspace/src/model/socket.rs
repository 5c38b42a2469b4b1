//! The socket, the address and the network namespace of a failed call, frozen at that instant.

use super::{ArgValue, Failure};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Where a task does its networking, and what it may do there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetPlace {
    /// Inode numbers as shown by `/proc/PID/ns/net` and, for the owner, `/proc/PID/ns/user`.
    pub net_ns: u32,
    pub owner: u32,
    /// Effective capabilities, a bit each (capabilities(7)).
    pub capabilities: u64,
    /// `net.ipv4.ip_local_port_range`, both ends included.
    pub ports: Option<(u32, u32)>,
    /// `net.ipv4.ip_unprivileged_port_start`.
    pub port_start: Option<u32>,
    /// `net.unix.max_dgram_qlen`.
    pub dgram_qlen: Option<u32>,
    /// `net.ipv4.igmp_max_memberships`.
    pub memberships: Option<u32>,
    /// `net.core.somaxconn`.
    pub somaxconn: Option<u32>,
    /// `net.ipv4.ip_nonlocal_bind`.
    pub nonlocal: Option<bool>,
}

/// What was behind the descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Socket {
    /// `AF_*`, `SOCK_*` and `IPPROTO_*`.
    pub family: u32,
    pub kind: u32,
    pub protocol: u32,
    /// `TCP_*` of net/tcp_states.h, for all families.
    pub state: u32,
    /// Whether the descriptor is non-blocking.
    pub nonblocking: bool,
    /// `enum sock_flags` (include/net/sock.h), a bit each.
    pub flags: u64,
    /// Bytes allowed and waiting, to send and to be received.
    pub sndbuf: Option<u32>,
    pub wmem: Option<u32>,
    pub rcvbuf: Option<u32>,
    pub rmem: Option<u32>,
    /// Bytes of options and control data.
    pub omem: Option<u32>,
    /// Of a listener: connections that wait, and how many may.
    pub queue: Option<u32>,
    pub queue_max: Option<u32>,
    /// Of the local socket it is connected to: messages that wait, and the most that may.
    pub peer_queue: Option<u32>,
    pub peer_queue_max: Option<u32>,
    /// Multicast groups it is in.
    pub memberships: Option<u32>,
    /// The index of the interface it is bound to; 0 for none.
    pub device: u32,
    pub local_port: u32,
    /// Bytes of control data in the message, and the kind of the first.
    pub control: u64,
    pub control_kind: Option<(u32, u32)>,
}

impl Socket {
    /// `SOCK_BROADCAST` of `enum sock_flags`.
    const BROADCAST: u64 = 1 << 6;

    pub fn may_broadcast(&self) -> bool {
        self.flags & Self::BROADCAST != 0
    }

    pub fn is_internet(&self) -> bool {
        self.family == libc::AF_INET as u32 || self.family == libc::AF_INET6 as u32
    }

    pub fn is_stream(&self) -> bool {
        self.kind == libc::SOCK_STREAM as u32
    }

    pub fn is_datagram(&self) -> bool {
        self.kind == libc::SOCK_DGRAM as u32
    }
}

/// An address as the caller passed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "family", rename_all = "lowercase")]
pub enum Address {
    Internet {
        ip: IpAddr,
        port: u16,
    },
    /// A path, or with `@` in front an abstract name; empty for "any".
    Local {
        path: String,
    },
    /// A link-layer or other address: `AF_*` and the interface's index where it has one.
    Other {
        number: u16,
        interface: Option<u32>,
    },
}

impl Address {
    pub fn words(&self) -> String {
        match self {
            Self::Internet { ip: IpAddr::V6(ip), port } => format!("[{ip}]:{port}"),
            Self::Internet { ip, port } => format!("{ip}:{port}"),
            Self::Local { path } if path.is_empty() => "unix socket without a name".into(),
            Self::Local { path } => path.clone(),
            Self::Other { number, interface: Some(index) } => {
                format!("address family {number}, interface {index}")
            }
            Self::Other { number, .. } => format!("address family {number}"),
        }
    }
}

impl Failure {
    /// The socket behind the call's descriptor, where the probe read it.
    pub fn socket(&self) -> Option<&Socket> {
        self.args().iter().find_map(|a| match &a.value {
            ArgValue::Socket { socket, .. } => Some(&**socket),
            _ => None,
        })
    }

    /// The address that the call names.
    pub fn address(&self) -> Option<&Address> {
        self.args().iter().find_map(|a| match &a.value {
            ArgValue::Address(address) => Some(address),
            _ => None,
        })
    }

    /// The Internet address that the call names.
    pub fn internet(&self) -> Option<(IpAddr, u16)> {
        match self.address()? {
            Address::Internet { ip, port } => Some((*ip, *port)),
            _ => None,
        }
    }

    /// The path or abstract name of a local socket that the call names.
    pub fn local_path(&self) -> Option<&str> {
        match self.address()? {
            Address::Local { path } => Some(path),
            _ => None,
        }
    }

    /// The file of that local socket; abstract names, which are shown with `@`, have none.
    pub fn socket_file(&self) -> Option<&str> {
        self.local_path().filter(|path| !path.is_empty() && !path.starts_with('@'))
    }

    /// The value of a socket's option, as the caller passed it.
    pub fn option(&self) -> Option<&[u8]> {
        self.args().iter().find_map(|a| match &a.value {
            ArgValue::Bytes(bytes) => Some(bytes.as_slice()),
            _ => None,
        })
    }
}
