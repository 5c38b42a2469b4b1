//! Whether the kernel has an nftables table, asked without a program that guests do not have.

use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};
use std::os::fd::AsRawFd;

/// Asks the kernel for a table of family ip: NFT_MSG_GETTABLE, answered by itself or by an error.
pub(crate) fn has_table(table: &str) -> bool {
    let opened =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkNetFilter);
    let Ok(socket) = opened else { return false };
    let name = [table.as_bytes(), &[0]].concat();
    let padded = name.len().next_multiple_of(4);
    let mut message = Vec::new();
    message.extend((20 + 4 + padded as u32).to_ne_bytes());
    message.extend((10u16 << 8 | 1).to_ne_bytes());
    message.extend((libc::NLM_F_REQUEST as u16).to_ne_bytes());
    message.extend([1u32.to_ne_bytes(), [0; 4], [2, 0, 0, 0]].concat());
    message.extend((4 + name.len() as u16).to_ne_bytes());
    message.extend(1u16.to_ne_bytes());
    message.extend(&name);
    message.resize(20 + 4 + padded, 0);
    sendto(socket.as_raw_fd(), &message, &NetlinkAddr::new(0, 0), MsgFlags::empty()).unwrap();
    let mut answer = [0; 4096];
    recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).unwrap();
    // 2 is NLMSG_ERROR.
    u16::from_ne_bytes([answer[4], answer[5]]) != 2
}
