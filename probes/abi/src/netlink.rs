//! Record: a netlink request that the kernel refused. sendto(2) or sendmsg(2) succeeded; the errno is in the
//! acknowledgement that comes back (netlink(7), NLMSG_ERROR).

use crate::{Credentials, Header, Party, UNRESOLVED};
use core::mem::offset_of;

/// `FloodKey::abi` of refused requests, whose `nr` is [`request`].
pub const ABI_NETLINK: u32 = 3;

/// Bytes of an acknowledgement that are read: its header, the request it answers with the names in front, and the
/// kernel's sentence where the request was short.
pub const ANSWER_BYTES: usize = 512;

/// Bytes of a sentence of the kernel; `NETLINK_MAX_FMTMSG_LEN` (include/linux/netlink.h) is 80, constant ones are
/// longer, but not much.
pub const SENTENCE: usize = 128;

/// A protocol (`NETLINK_ROUTE`) and a type of message (`RTM_NEWLINK`) in one number.
pub const fn request(protocol: u32, kind: u32) -> u32 {
    protocol << 16 | kind & 0xffff
}

/// An acknowledgement with an errno, as its receiver gets it.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct NetlinkAnswer {
    pub header: Header,
    /// Who receives it; the request was its own, or of another thread with the same socket.
    pub who: Party,
    /// [`Credentials::NONE`] where they could not be read.
    pub credentials: Credentials,
    /// Positive.
    pub errno: u32,
    /// `NETLINK_ROUTE` and its siblings.
    pub protocol: u32,
    /// The type of the refused message.
    pub message: u32,
    /// The inode of the network namespace of the socket; 0 when not read.
    pub net_ns: u32,
    /// 1 when `credentials` were read.
    pub has_credentials: u32,
    /// Valid bytes of `bytes`.
    pub len: u32,
    /// Valid bytes of `sentence`, its NUL included.
    pub sentence_len: u32,
    pub pad: u32,
    /// The acknowledgement, from its `struct nlmsghdr` on.
    pub bytes: [u8; ANSWER_BYTES],
    /// What the kernel said while it worked on the request (tracepoint netlink_extack).
    pub sentence: [u8; SENTENCE],
}

/// The global `NETLINK` of the probes: byte offsets, named `structure_field`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NetlinkOffsets {
    pub skb_sk: u32,
    pub skb_data: u32,
    pub skb_len: u32,
    pub sock_family: u32,
    pub sock_protocol: u32,
    pub sock_net: u32,
    pub net_inum: u32,
}

impl NetlinkOffsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        skb_sk: UNRESOLVED,
        skb_data: UNRESOLVED,
        skb_len: UNRESOLVED,
        sock_family: UNRESOLVED,
        sock_protocol: UNRESOLVED,
        sock_net: UNRESOLVED,
        net_inum: UNRESOLVED,
    };
}

const _: () = {
    assert!(offset_of!(NetlinkAnswer, errno) == 136);
    assert!(offset_of!(NetlinkAnswer, bytes) == 168);
    assert!(size_of::<NetlinkAnswer>() == 168 + ANSWER_BYTES + SENTENCE);
    assert!(size_of::<NetlinkOffsets>() == 7 * 4);
};
