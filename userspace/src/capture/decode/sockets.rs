//! The socket, the address and the network namespace that the probe read for a call on a socket.

use crate::model::{Address, Arg, ArgValue, NetPlace, Socket};
use diag_abi::{
    PRESENT_SOCKET, ROW_OPTION, ROW_SOCKET_FD, Record, STRING_READ, SocketState, SyscallFailure, UNRESOLVED,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const O_NONBLOCK: u32 = libc::O_NONBLOCK as u32;

pub(super) fn place(record: &SyscallFailure) -> Option<NetPlace> {
    let state = state(record)?;
    let on = |number: u32| known(number);
    (state.net_ns != 0).then_some(NetPlace {
        net_ns: state.net_ns,
        owner: state.net_owner,
        capabilities: state.capabilities,
        ports: on(state.ports_low).zip(on(state.ports_high)),
        port_start: on(state.port_start),
        dgram_qlen: on(state.dgram_qlen),
        memberships: on(state.igmp_memberships),
        somaxconn: on(state.somaxconn),
        nonlocal: on(state.nonlocal_bind).map(|n| n != 0),
    })
}

/// Puts what was read in the place of the bare numbers.
pub(super) fn describe(record: &SyscallFailure, args: &mut Vec<Arg>) {
    let Some(state) = state(record) else { return };
    if record.row & ROW_SOCKET_FD != 0
        && state.family != 0
        && let Some(Arg { value, .. }) = args.first_mut()
        && let ArgValue::Number(raw) = *value
    {
        *value = ArgValue::Socket { raw, socket: Box::new(socket(&state)) };
    }
    let slot = &record.strings[0];
    if slot.state != STRING_READ {
        return;
    }
    let bytes = slot.bytes.get(..slot.len as usize).unwrap_or_default();
    let (names, value) = if record.row & ROW_OPTION != 0 {
        (["optval"; 2], Some(ArgValue::Bytes(bytes.into())))
    } else {
        (["addr", "dest_addr"], address(bytes).map(ArgValue::Address))
    };
    let Some(value) = value else { return };
    match args.iter_mut().find(|arg| names.contains(&arg.name.as_str())) {
        Some(arg) => arg.value = value,
        None => args.push(Arg { name: "msg_name".into(), value }),
    }
}

fn state(record: &SyscallFailure) -> Option<SocketState> {
    if record.present & PRESENT_SOCKET == 0 {
        return None;
    }
    SocketState::from_bytes(&record.strings[1].bytes)
}

fn known(number: u32) -> Option<u32> {
    (number != UNRESOLVED).then_some(number)
}

fn socket(state: &SocketState) -> Socket {
    Socket {
        family: state.family,
        kind: state.kind,
        protocol: state.protocol,
        state: state.state,
        nonblocking: state.file_flags & O_NONBLOCK != 0,
        flags: state.flags,
        sndbuf: known(state.sndbuf),
        // The socket itself counts as one byte (net/core/sock.c `sk_wmem_alloc_get()`).
        wmem: known(state.wmem).map(|n| n.saturating_sub(1)),
        rcvbuf: known(state.rcvbuf),
        rmem: known(state.rmem),
        omem: known(state.omem),
        queue: known(state.queue),
        queue_max: known(state.queue_max),
        peer_queue: known(state.peer_queue),
        peer_queue_max: known(state.peer_queue_max),
        memberships: known(state.memberships),
        device: state.device,
        local_port: state.local_port,
        control: state.control,
        control_kind: (state.control != 0).then_some((state.control_level, state.control_type)),
    }
}

/// `struct sockaddr` of the families that containers use; `None` when it is too short to tell.
pub(super) fn address(bytes: &[u8]) -> Option<Address> {
    let number = u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    match i32::from(number) {
        // bind(2) takes AF_UNSPEC for AF_INET, connect(2) to dissolve an association.
        libc::AF_INET => {
            let ip: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(Address::Internet { ip: IpAddr::V4(Ipv4Addr::from(ip)), port: port()? })
        }
        libc::AF_INET6 => {
            let ip: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            let ip = Ipv6Addr::from(ip);
            let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
            Some(Address::Internet { ip, port: port()? })
        }
        libc::AF_UNIX => Some(Address::Local { path: path(&bytes[2..]) }),
        libc::AF_PACKET => {
            let index = bytes.get(4..8).and_then(|b| b.try_into().ok()).map(u32::from_ne_bytes);
            Some(Address::Other { number, interface: index })
        }
        _ => Some(Address::Other { number, interface: None }),
    }
}

/// unix(7): a path ends at its NUL, an abstract name begins with one and has the length of the address.
fn path(bytes: &[u8]) -> String {
    match bytes.split_first() {
        None => String::new(),
        Some((0, name)) => format!("@{}", String::from_utf8_lossy(name).replace('\0', "@")),
        Some(_) => {
            let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
            String::from_utf8_lossy(&bytes[..end]).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn internet(family: i32, rest: &[u8]) -> Vec<u8> {
        [&(family as u16).to_ne_bytes(), rest].concat()
    }

    #[test]
    fn addresses_are_read_by_their_family() {
        let v4 = internet(libc::AF_INET, &[0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(address(&v4).unwrap().words(), "127.0.0.1:80");
        let mut v6 = internet(libc::AF_INET6, &[0x1f, 0x90, 0, 0, 0, 0]);
        v6.extend([0; 15]);
        v6.push(1);
        assert_eq!(address(&v6).unwrap().words(), "[::1]:8080");
        assert_eq!(address(&internet(libc::AF_UNIX, b"/run/a\0junk")).unwrap().words(), "/run/a");
        assert_eq!(address(&internet(libc::AF_UNIX, b"\0name")).unwrap().words(), "@name");
        assert_eq!(address(&internet(libc::AF_UNIX, b"")).unwrap(), Address::Local { path: String::new() });
        assert_eq!(address(&internet(libc::AF_INET, &[0, 80, 127])), None);
        assert_eq!(address(&[2]), None);
        let mapped = [&[0, 80, 0, 0, 0, 0][..], &[0; 10], &[255, 255, 10, 0, 0, 1]].concat();
        assert_eq!(address(&internet(libc::AF_INET6, &mapped)).unwrap().words(), "10.0.0.1:80");
    }
}
