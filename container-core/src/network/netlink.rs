//! One request, one answer: netlink(7) on a socket of our own.
//!
//! Blocking, and without the event loop that the asynchronous crates bring: that lives in descriptors which a program
//! opens once, and a supervisor is forked from its caller and has closed them.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::nft::acknowledgement;

/// In the caller's network namespace.
pub(super) fn open(protocol: SockProtocol) -> Result<OwnedFd, Errno> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
    // The kernel answers while it is sent to; a lost answer must not hold us up for ever.
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(10))?;
    Ok(socket)
}

/// Send and read the first acknowledgement: its sequence number, and the kernel's refusal if it is one. Refusals come
/// before the acknowledgement of the last message, which alone asks for one.
pub(super) fn exchange(socket: &OwnedFd, bytes: &[u8]) -> Result<(u32, Option<Errno>), Errno> {
    sendto(socket.as_raw_fd(), bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        let count = match recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()) {
            Err(Errno::EINTR) => continue,
            done => done?,
        };
        if let Some(answer) = acknowledgement(&buffer[..count]) {
            return Ok(answer);
        }
    }
}
