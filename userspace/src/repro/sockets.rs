//! System calls on sockets as faults need them: with raw addresses, and errors as they come.

use std::ffi::c_void;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

pub(super) const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) fn socket(family: i32, kind: i32, protocol: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is ours alone.
    unsafe {
        let fd = libc::socket(family, kind | libc::SOCK_CLOEXEC, protocol);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// `struct sockaddr_in` or `sockaddr_in6`.
pub(super) fn internet(ip: impl Into<IpAddr>, port: u16) -> Vec<u8> {
    let mut bytes = Vec::new();
    match ip.into() {
        IpAddr::V4(ip) => {
            bytes.extend((libc::AF_INET as u16).to_ne_bytes());
            bytes.extend(port.to_be_bytes());
            bytes.extend(ip.octets());
            bytes.extend([0; 8]);
        }
        IpAddr::V6(ip) => {
            bytes.extend((libc::AF_INET6 as u16).to_ne_bytes());
            bytes.extend(port.to_be_bytes());
            bytes.extend([0; 4]);
            bytes.extend(ip.octets());
            bytes.extend([0; 4]);
        }
    }
    bytes
}

/// `struct sockaddr_un`; a name that begins with `@` is an abstract one.
pub(super) fn local(path: &str) -> Vec<u8> {
    let mut bytes = (libc::AF_UNIX as u16).to_ne_bytes().to_vec();
    match path.strip_prefix('@') {
        Some(name) => {
            bytes.push(0);
            bytes.extend(name.as_bytes());
        }
        None => {
            bytes.extend(path.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

fn check(result: i64) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

pub(super) fn bind(socket: &OwnedFd, address: &[u8]) -> io::Result<()> {
    // SAFETY: an address and its length.
    check(i64::from(unsafe { libc::bind(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as u32) }))
}

pub(super) fn connect(socket: &OwnedFd, address: &[u8]) -> io::Result<()> {
    // SAFETY: an address and its length.
    check(i64::from(unsafe {
        libc::connect(socket.as_raw_fd(), address.as_ptr().cast(), address.len() as u32)
    }))
}

pub(super) fn listen(socket: &OwnedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: no pointers.
    check(i64::from(unsafe { libc::listen(socket.as_raw_fd(), backlog) }))
}

/// Sends one message; without an address to where the socket is connected.
pub(super) fn send(socket: &OwnedFd, message: &[u8], address: &[u8]) -> io::Result<()> {
    let to = if address.is_empty() { std::ptr::null() } else { address.as_ptr().cast() };
    // SAFETY: a buffer and an address with their lengths.
    let sent = unsafe {
        let buffer = message.as_ptr().cast::<c_void>();
        libc::sendto(socket.as_raw_fd(), buffer, message.len(), libc::MSG_NOSIGNAL, to, address.len() as u32)
    };
    check(sent as i64)
}

/// Sets an option to the bytes of a value.
pub(super) fn set<T>(socket: &OwnedFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    let at = std::ptr::from_ref(value).cast::<c_void>();
    // SAFETY: a value and its size.
    check(i64::from(unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, at, size_of::<T>() as u32)
    }))
}

/// Gives capabilities up, in this thread.
pub(super) fn drop_capabilities(mask: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy, Default)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    /// `_LINUX_CAPABILITY_VERSION_3` (linux/capability.h).
    const VERSION: u32 = 0x2008_0522;
    let mut header = Header { version: VERSION, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: both structures have the layout of version 3, which has two words for each set.
    unsafe {
        check(libc::syscall(libc::SYS_capget, &raw mut header, &raw mut data))?;
        for (index, word) in data.iter_mut().enumerate() {
            let gone = (mask >> (32 * index)) as u32;
            word.effective &= !gone;
            word.permitted &= !gone;
            word.inheritable &= !gone;
        }
        check(libc::syscall(libc::SYS_capset, &raw mut header, &raw const data))
    }
}
