//! A descriptor handed to another process over a socket: SCM_RIGHTS, unix(7). Signal-safe, as all of `sys`.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::check;

/// Room for one control message with one descriptor, aligned as a `cmsghdr` must be.
type Control = [u64; 4];

/// A message of one byte that `one` describes, with `control` beside it.
fn message(byte: &mut libc::iovec, control: &mut Control, length: usize) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = byte;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = length as _;
    message
}

/// Send `fd` with one byte, for a message needs one.
pub(crate) fn send_descriptor(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut byte = [0u8];
    let mut one = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control: Control = [0; 4];
    // SAFETY: integers only.
    let (space, length) = unsafe { (libc::CMSG_SPACE(4) as usize, libc::CMSG_LEN(4)) };
    let message = message(&mut one, &mut control, space);
    // SAFETY: the control buffer is large and aligned enough for one header with one descriptor.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = length as _;
        libc::CMSG_DATA(header).cast::<libc::c_int>().write_unaligned(fd.as_raw_fd());
        check(libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) as _).map(drop)
    }
}

/// Receive what [`send_descriptor`] sent; `None` when the message carries none, or nobody will send any.
pub(crate) fn receive_descriptor(socket: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Errno> {
    let mut byte = [0u8];
    let mut one = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    let mut control: Control = [0; 4];
    let mut message = message(&mut one, &mut control, size_of::<Control>());
    // SAFETY: all pointers of the message are valid for the lengths it gives; what the kernel has put into the control
    // buffer is read as it describes it.
    unsafe {
        check(libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) as _)?;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
            return Ok(None);
        }
        let fd = libc::CMSG_DATA(header).cast::<libc::c_int>().read_unaligned();
        Ok(Some(OwnedFd::from_raw_fd(fd)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_arrives_as_the_same_file() {
        let (here, there) = UnixStream::pair().unwrap();
        let (read, write) = nix::unistd::pipe().unwrap();
        send_descriptor(here.as_fd(), write.as_fd()).unwrap();
        let copy = receive_descriptor(there.as_fd()).unwrap().unwrap();
        drop(write);
        std::fs::File::from(copy).write_all(b"hello").unwrap();
        let mut text = String::new();
        std::fs::File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
        drop(here);
        assert!(receive_descriptor(there.as_fd()).unwrap().is_none());
    }
}
