//! Record part: the socket, the address and the network namespace of a failed call, as they were at that instant.
//!
//! Calls on sockets have no strings, so their two string slots carry this instead: the first the address (or the
//! value of an option) as the caller wrote it, the second a [`SocketState`].

use crate::UNRESOLVED;
use crate::bounds::SHORT_STRING;

/// Bytes of an address or of an option's value: `struct sockaddr_storage` has as many.
pub const ADDRESS: usize = 128;

/// [`crate::SyscallFailure::present`]: the string slots carry a socket.
pub const PRESENT_SOCKET: u32 = 1 << 24;

/// [`crate::InterestRow::flags`]: read the network namespace, and what the other bits say.
pub const ROW_SOCKET: u32 = 1 << 16;
/// The first argument is a socket.
pub const ROW_SOCKET_FD: u32 = 1 << 17;
/// The address is the second argument, its length the third.
pub const ROW_ADDRESS_SECOND: u32 = 1 << 18;
/// The address is the fifth argument, its length the sixth.
pub const ROW_ADDRESS_FIFTH: u32 = 1 << 19;
/// The second argument is a `struct msghdr`, or begins with one.
pub const ROW_ADDRESS_MESSAGE: u32 = 1 << 20;
/// The value of an option is the fourth argument, its length the fifth.
pub const ROW_OPTION: u32 = 1 << 21;

/// Stage: the socket. Far from the others, which are numbered in the order they came.
pub const STAGE_SOCKET: u32 = 11;

/// What was behind the descriptor. [`UNRESOLVED`] marks numbers that were not read.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketState {
    /// Effective capabilities of the task.
    pub capabilities: u64,
    /// `sock.sk_flags`: a bit for each of `enum sock_flags`.
    pub flags: u64,
    /// `msghdr.msg_controllen`, and the head of the first control message.
    pub control: u64,
    pub control_level: u32,
    pub control_type: u32,
    /// Inode numbers of the network namespace and of the user namespace that owns it; 0 when not read.
    pub net_ns: u32,
    pub net_owner: u32,
    /// 0 when there is no socket.
    pub family: u32,
    pub kind: u32,
    pub protocol: u32,
    pub state: u32,
    pub file_flags: u32,
    pub error: u32,
    pub sndbuf: u32,
    pub wmem: u32,
    pub rcvbuf: u32,
    pub rmem: u32,
    pub omem: u32,
    pub device: u32,
    pub local_port: u32,
    /// In network order.
    pub local_address: u32,
    pub queue: u32,
    pub queue_max: u32,
    /// Of the other end of a local socket.
    pub peer_queue: u32,
    pub peer_queue_max: u32,
    /// Multicast groups that the socket is in.
    pub memberships: u32,
    /// Settings of the network namespace.
    pub ports_low: u32,
    pub ports_high: u32,
    pub port_start: u32,
    pub dgram_qlen: u32,
    pub igmp_memberships: u32,
    pub somaxconn: u32,
    pub nonlocal_bind: u32,
}

impl SocketState {
    pub const NONE: Self = Self {
        capabilities: 0,
        flags: 0,
        control: 0,
        control_level: 0,
        control_type: 0,
        net_ns: 0,
        net_owner: 0,
        family: 0,
        kind: 0,
        protocol: 0,
        state: 0,
        file_flags: 0,
        error: 0,
        sndbuf: UNRESOLVED,
        wmem: UNRESOLVED,
        rcvbuf: UNRESOLVED,
        rmem: UNRESOLVED,
        omem: UNRESOLVED,
        device: 0,
        local_port: 0,
        local_address: 0,
        queue: UNRESOLVED,
        queue_max: UNRESOLVED,
        peer_queue: UNRESOLVED,
        peer_queue_max: UNRESOLVED,
        memberships: UNRESOLVED,
        ports_low: UNRESOLVED,
        ports_high: UNRESOLVED,
        port_start: UNRESOLVED,
        dgram_qlen: UNRESOLVED,
        igmp_memberships: UNRESOLVED,
        somaxconn: UNRESOLVED,
        nonlocal_bind: UNRESOLVED,
    };
}

/// The global `SOCKETS` of the probes: byte offsets, named `structure_field`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOffsets {
    pub file_private: u32,
    pub file_flags: u32,
    pub socket_sk: u32,
    pub sk_family: u32,
    pub sk_state: u32,
    pub sk_num: u32,
    pub sk_local: u32,
    pub sk_device: u32,
    pub sk_net: u32,
    pub sk_type: u32,
    pub sk_protocol: u32,
    pub sk_err: u32,
    pub sk_flags: u32,
    pub sk_sndbuf: u32,
    pub sk_rcvbuf: u32,
    pub sk_wmem: u32,
    pub sk_rmem: u32,
    pub sk_omem: u32,
    pub sk_queue: u32,
    pub sk_queue_max: u32,
    /// `sock.sk_receive_queue.qlen`.
    pub sk_receive: u32,
    pub unix_peer: u32,
    pub inet_groups: u32,
    pub nsproxy_net: u32,
    pub net_inum: u32,
    pub net_user_ns: u32,
    pub net_ports: u32,
    pub net_port_start: u32,
    pub net_dgram_qlen: u32,
    pub net_igmp: u32,
    pub net_somaxconn: u32,
    pub net_nonlocal: u32,
    /// Since 6.8 the range is one number: the low half and the high half.
    pub ports_packed: u32,
}

impl SocketOffsets {
    /// Nothing can be read.
    pub const NONE: Self = Self {
        file_private: UNRESOLVED,
        file_flags: UNRESOLVED,
        socket_sk: UNRESOLVED,
        sk_family: UNRESOLVED,
        sk_state: UNRESOLVED,
        sk_num: UNRESOLVED,
        sk_local: UNRESOLVED,
        sk_device: UNRESOLVED,
        sk_net: UNRESOLVED,
        sk_type: UNRESOLVED,
        sk_protocol: UNRESOLVED,
        sk_err: UNRESOLVED,
        sk_flags: UNRESOLVED,
        sk_sndbuf: UNRESOLVED,
        sk_rcvbuf: UNRESOLVED,
        sk_wmem: UNRESOLVED,
        sk_rmem: UNRESOLVED,
        sk_omem: UNRESOLVED,
        sk_queue: UNRESOLVED,
        sk_queue_max: UNRESOLVED,
        sk_receive: UNRESOLVED,
        unix_peer: UNRESOLVED,
        inet_groups: UNRESOLVED,
        nsproxy_net: UNRESOLVED,
        net_inum: UNRESOLVED,
        net_user_ns: UNRESOLVED,
        net_ports: UNRESOLVED,
        net_port_start: UNRESOLVED,
        net_dgram_qlen: UNRESOLVED,
        net_igmp: UNRESOLVED,
        net_somaxconn: UNRESOLVED,
        net_nonlocal: UNRESOLVED,
        ports_packed: UNRESOLVED,
    };
}

const _: () = {
    assert!(ADDRESS <= SHORT_STRING);
    assert!(size_of::<SocketState>() == 24 + 30 * 4);
    assert!(size_of::<SocketState>() <= SHORT_STRING);
    assert!(size_of::<SocketOffsets>() == 33 * 4);
    // The slots' bytes must be aligned for the state's 64-bit fields.
    assert!((core::mem::offset_of!(crate::SyscallFailure, strings) + 264 + 8).is_multiple_of(8));
};
