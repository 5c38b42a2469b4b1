//! The loopback device of a new network namespace exists but is down; netdevice(7) raises it.

use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};

use super::{Failure, refused};
use crate::steps::Step;

/// Step "bring up loopback": SIOCSIFFLAGS with IFF_UP on `lo`.
pub(crate) fn raise() -> Result<(), Failure<'static>> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .map_err(refused(Step::RaiseLoopback, "socket", c"AF_INET"))?;
    // SAFETY: ifreq is plain old data for which all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: request is a valid ifreq, which SIOCSIFFLAGS only reads.
    let ret = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) };
    Errno::result(ret).map(drop).map_err(refused(Step::RaiseLoopback, "ioctl", c"lo"))
}
