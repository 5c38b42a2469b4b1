//! Published ports are held by a socket while the container runs, so that no other program takes them unawares: what
//! comes in is translated before any socket sees it.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};

use super::record::Record;
use crate::error::StepError;
use crate::spec::{Port, Protocol};
use crate::steps::Step;

/// Step "reserve published port". The ports with their numbers, and the sockets.
pub(super) fn reserve(
    ports: &[Port],
    record: &Record,
    id: &str,
) -> Result<(Vec<Port>, Vec<OwnedFd>), StepError> {
    let mut reserved = (Vec::new(), Vec::new());
    for port in ports {
        let taken = record
            .leases
            .iter()
            .find(|(other, held)| *other != id && held.ports.iter().any(|theirs| clashes(theirs, port)));
        if let Some((other, _)) = taken {
            let short = other.get(..12).unwrap_or(other);
            let object = format!("{}/{}: published by container {short}", port.host, port.protocol);
            return Err(StepError::here(Step::ReservePort, "bind", object, Errno::EADDRINUSE));
        }
        let (socket, number) = hold(port)?;
        reserved.0.push(Port { host: number, ..*port });
        reserved.1.push(socket);
    }
    Ok(reserved)
}

fn clashes(a: &Port, b: &Port) -> bool {
    let apart = matches!((a.address, b.address), (Some(a), Some(b)) if a != b);
    a.host == b.host && a.host != 0 && a.protocol == b.protocol && !apart
}

/// Bound, but listening to nothing: a connection that is not translated is refused.
fn hold(port: &Port) -> Result<(OwnedFd, u16), StepError> {
    let address = SocketAddrV4::new(port.address.unwrap_or(Ipv4Addr::UNSPECIFIED), port.host);
    let failed = |syscall| move |errno| StepError::here(Step::ReservePort, syscall, address, errno);
    let kind = match port.protocol {
        Protocol::Tcp => SockType::Stream,
        Protocol::Udp => SockType::Datagram,
    };
    let held = socket(AddressFamily::Inet, kind, SockFlag::SOCK_CLOEXEC, None).map_err(failed("socket"))?;
    bind(held.as_raw_fd(), &SockaddrIn::from(address)).map_err(failed("bind"))?;
    let bound: SockaddrIn = getsockname(held.as_raw_fd()).map_err(failed("getsockname"))?;
    Ok((held, bound.port()))
}
