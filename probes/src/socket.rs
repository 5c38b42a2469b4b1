//! Stage: the socket, the address and the network namespace of a failed call.
//!
//! Ordinary calls on sockets fail all day, but only those of interest come here. Addresses are read from the
//! caller's memory, which a probe cannot fault in: mostly it is the stack, and the kernel has just read it, too.

use crate::maps::{limit, object, offset, socket};
use crate::object::open_file;
use crate::read::{field, known};
use crate::stage::{self, stage};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated;
use diag_abi::{
    ABI_NATIVE, ADDRESS, PRESENT_SOCKET, ROW_ADDRESS_FIFTH, ROW_ADDRESS_MESSAGE, ROW_ADDRESS_SECOND,
    ROW_OPTION, ROW_SOCKET_FD, STRING_ABSENT, STRING_NULL, STRING_READ, STRING_UNREAD, SocketState,
    SyscallFailure, UNRESOLVED,
};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;
const AF_UNIX: u32 = 1;
const AF_INET: u32 = 2;
/// Groups that are counted; the default of net.ipv4.igmp_max_memberships is 20.
const GROUPS: u32 = 64;

/// Where `struct msghdr` of the machine's own width has its parts (include/linux/socket.h).
const MSG_NAME_LENGTH: u64 = 8;
const MSG_CONTROL: u64 = 32;
const MSG_CONTROL_LENGTH: u64 = 40;

stage!(socket_stage: read_socket, read_socket_typed);

#[inline(always)]
fn socket_stage(_ctx: &impl EbpfContext) -> i32 {
    let Some(record) = stage::record() else { return 0 };
    // SAFETY: the record of this processor, filled by the watch; the helper takes no arguments. The second slot
    // has room for the state, and its bytes are aligned for it (asserted in diag_abi).
    unsafe {
        let task = generated::bpf_get_current_task() as u64;
        let plain = &raw mut (*record).whole.plain;
        let state = (&raw mut (*plain).strings[1].bytes).cast::<SocketState>();
        *state = SocketState::NONE;
        raw_bytes(plain, state);
        let sk =
            if (*plain).row & ROW_SOCKET_FD != 0 { sock(task, (*plain).args[0] as u32, state) } else { 0 };
        if sk != 0 {
            describe(state, sk);
        }
        place(state, task, sk);
        (*plain).strings[1].state = STRING_ABSENT;
        (*plain).strings[1].len = 0;
        (*plain).present |= PRESENT_SOCKET;
    }
    stage::submit(record);
    0
}

/// The address or option that the caller passed.
///
/// # Safety
/// `record` must be valid for a record whose arguments are filled, `state` for a state.
#[inline(always)]
unsafe fn raw_bytes(record: *mut SyscallFailure, state: *mut SocketState) {
    // SAFETY: fields of the record; the helper tolerates any source.
    unsafe {
        let row = (*record).row;
        let args = (*record).args;
        let (address, length) = if row & ROW_ADDRESS_SECOND != 0 {
            (args[1], args[2] as u32)
        } else if row & ROW_ADDRESS_FIFTH != 0 {
            (args[4], args[5] as u32)
        } else if row & ROW_OPTION != 0 {
            (args[3], args[4] as u32)
        } else if row & ROW_ADDRESS_MESSAGE != 0 && (*record).abi == ABI_NATIVE {
            control(state, args[1]);
            (user::<u64>(args[1]), user::<u32>(args[1] + MSG_NAME_LENGTH))
        } else {
            return;
        };
        let slot = &raw mut (*record).strings[0];
        (*slot).len = 0;
        (*slot).state = STRING_NULL;
        if address != 0 {
            // Lengths come from the caller: compare them as the kernel does, as an int.
            let wanted = if (length as i32) < 0 { 0 } else { length };
            let read = copy((&raw mut (*slot).bytes).cast(), address, wanted);
            (*slot).len = read;
            (*slot).state = if read == 0 && wanted != 0 { STRING_UNREAD } else { STRING_READ };
        }
    }
}

/// The first control message of a `struct msghdr`: `cmsg_len`, `cmsg_level`, `cmsg_type`.
///
/// # Safety
/// `state` must be valid for a state.
#[inline(always)]
unsafe fn control(state: *mut SocketState, message: u64) {
    let first = user::<u64>(message + MSG_CONTROL);
    // SAFETY: fields of the state.
    unsafe {
        (*state).control = user::<u64>(message + MSG_CONTROL_LENGTH);
        if first != 0 {
            (*state).control_level = user::<u32>(first + 8);
            (*state).control_type = user::<u32>(first + 12);
        }
    }
}

#[inline(always)]
fn user<T: Copy + Default>(address: u64) -> T {
    // SAFETY: the helper tolerates any address; integers allow any bits.
    unsafe { aya_ebpf::helpers::bpf_probe_read_user(address as *const T) }.unwrap_or_default()
}

/// Copies up to [`ADDRESS`] bytes; 0 when they cannot be read.
///
/// # Safety
/// `to` must be valid for [`ADDRESS`] bytes.
#[inline(always)]
unsafe fn copy(to: *mut u8, address: u64, wanted: u32) -> u32 {
    let known = wanted as u64;
    let mut size: u64;
    // SAFETY: copies a register, so that the compiler keeps the comparison that bounds it (see `syscall::contains`).
    unsafe { core::arch::asm!("{size} = {known}", known = in(reg) known, size = lateout(reg) size) };
    if size > ADDRESS as u64 {
        size = ADDRESS as u64;
    }
    // SAFETY: by this function's contract; the helper tolerates any source.
    let read = unsafe { generated::bpf_probe_read_user(to.cast(), size as u32, address as *const _) };
    if read == 0 { size as u32 } else { 0 }
}

/// The kernel's socket behind a descriptor; 0 when it is something else.
///
/// # Safety
/// `state` must be valid for a state.
#[inline(always)]
unsafe fn sock(task: u64, number: u32, state: *mut SocketState) -> u64 {
    let file = open_file(task, number);
    if file == 0 {
        return 0;
    }
    let mode = field::<u16>(field(file, object!(file_inode)), object!(inode_mode));
    if mode & S_IFMT != S_IFSOCK {
        return 0;
    }
    // SAFETY: a field of the state.
    unsafe { (*state).file_flags = field(file, socket!(file_flags)) };
    field(field::<u64>(file, socket!(file_private)), socket!(socket_sk))
}

#[inline(always)]
fn number(base: u64, at: u32) -> u32 {
    known::<u32>(base, at).unwrap_or(UNRESOLVED)
}

/// # Safety
/// `state` must be valid for a state.
#[inline(always)]
unsafe fn describe(state: *mut SocketState, sk: u64) {
    // SAFETY: fields of the state.
    unsafe {
        (*state).family = field::<u16>(sk, socket!(sk_family)) as u32;
        (*state).kind = field::<u16>(sk, socket!(sk_type)) as u32;
        (*state).protocol = field::<u16>(sk, socket!(sk_protocol)) as u32;
        (*state).state = field::<u8>(sk, socket!(sk_state)) as u32;
        (*state).flags = field(sk, socket!(sk_flags));
        (*state).error = field(sk, socket!(sk_err));
        (*state).sndbuf = number(sk, socket!(sk_sndbuf));
        (*state).rcvbuf = number(sk, socket!(sk_rcvbuf));
        (*state).wmem = number(sk, socket!(sk_wmem));
        (*state).rmem = number(sk, socket!(sk_rmem));
        (*state).omem = number(sk, socket!(sk_omem));
        (*state).queue = number(sk, socket!(sk_queue));
        (*state).queue_max = number(sk, socket!(sk_queue_max));
        (*state).device = field(sk, socket!(sk_device));
        if (*state).family == AF_UNIX {
            let peer = field::<u64>(sk, socket!(unix_peer));
            if peer != 0 {
                (*state).peer_queue = number(peer, socket!(sk_receive));
                (*state).peer_queue_max = number(peer, socket!(sk_queue_max));
            }
            return;
        }
        (*state).local_port = field::<u16>(sk, socket!(sk_num)) as u32;
        (*state).local_address = field(sk, socket!(sk_local));
        if (*state).family == AF_INET && socket!(inet_groups) != UNRESOLVED {
            (*state).memberships = groups(sk);
        }
    }
}

/// `inet_sock.mc_list`: a chain whose first field is the pointer to the next.
#[inline(always)]
fn groups(sk: u64) -> u32 {
    let mut next = field::<u64>(sk, socket!(inet_groups));
    let mut count = 0;
    while count < GROUPS {
        if next == 0 {
            return count;
        }
        next = field(next, 0);
        count += 1;
    }
    count
}

/// The network namespace, its settings, and what the task may do.
///
/// # Safety
/// `state` must be valid for a state.
#[inline(always)]
unsafe fn place(state: *mut SocketState, task: u64, sk: u64) {
    let own = field::<u64>(field(task, offset!(task_nsproxy)), socket!(nsproxy_net));
    let net = if sk == 0 { own } else { field::<u64>(sk, socket!(sk_net)) };
    // SAFETY: fields of the state.
    unsafe {
        (*state).capabilities = field(field(task, limit!(task_cred)), limit!(cred_caps));
        (*state).net_ns = field(net, socket!(net_inum));
        (*state).net_owner = field(field(net, socket!(net_user_ns)), offset!(user_ns_inum));
        (*state).port_start = number(net, socket!(net_port_start));
        (*state).dgram_qlen = number(net, socket!(net_dgram_qlen));
        (*state).igmp_memberships = number(net, socket!(net_igmp));
        (*state).somaxconn = number(net, socket!(net_somaxconn));
        (*state).nonlocal_bind = known::<u8>(net, socket!(net_nonlocal)).map_or(UNRESOLVED, |on| on as u32);
        let ports = socket!(net_ports);
        if ports == UNRESOLVED {
            return;
        }
        let first = number(net, ports);
        if socket!(ports_packed) == 1 {
            (*state).ports_low = first & 0xffff;
            (*state).ports_high = first >> 16;
        } else {
            (*state).ports_low = first;
            (*state).ports_high = number(net, ports + 4);
        }
    }
}
