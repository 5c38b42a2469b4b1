//! Faults of local sockets, in a temporary folder.

use super::own_limits::lower;
use super::sockets::{self, local, socket};
use super::{LINGER, Provoked};
use anyhow::{Context, bail};
use nix::sys::resource::Resource;
use nix::unistd::{Gid, Uid, setresgid, setresuid};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

const STREAM: i32 = libc::SOCK_STREAM;
const DGRAM: i32 = libc::SOCK_DGRAM;
const NONBLOCK: i32 = libc::SOCK_NONBLOCK;
const MOST: usize = 4096;

/// A folder that goes away with the fault.
struct Folder(PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let at = std::env::temp_dir().join(format!("diag-repro-{}", std::process::id()));
        std::fs::create_dir(&at).with_context(|| format!("cannot make {}", at.display()))?;
        Ok(Self(at))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn refused<T>(result: io::Result<()>, syscall: &'static str, held: T) -> anyhow::Result<Provoked> {
    match result {
        Ok(()) => bail!("{syscall} succeeded"),
        Err(error) => {
            std::thread::sleep(LINGER);
            drop(held);
            Ok(Provoked::new(syscall, error))
        }
    }
}

fn name(folder: &Folder, variant: &str) -> Vec<u8> {
    match variant {
        "abstract" => local(&format!("@diag-repro-{}", std::process::id())),
        _ => local(&folder.path("socket")),
    }
}

pub(super) fn bind_twice(variant: &str) -> anyhow::Result<Provoked> {
    let folder = Folder::new()?;
    let at = name(&folder, variant);
    let first = socket(libc::AF_UNIX, STREAM, 0)?;
    sockets::bind(&first, &at)?;
    // A closed socket leaves its file behind; an abstract name would go with it.
    let first = (variant == "abstract").then_some(first);
    let second = socket(libc::AF_UNIX, STREAM, 0)?;
    refused(sockets::bind(&second, &at), "bind", (first, second, folder))
}

pub(super) fn knock(variant: &str) -> anyhow::Result<Provoked> {
    let folder = Folder::new()?;
    let at = name(&folder, variant);
    match variant {
        "abstract" => {}
        "file" => std::fs::write(folder.path("socket"), "")?,
        _ => sockets::bind(&socket(libc::AF_UNIX, STREAM, 0)?, &at)?,
    }
    let own = socket(libc::AF_UNIX, STREAM, 0)?;
    refused(sockets::connect(&own, &at), "connect", (own, folder))
}

pub(super) fn at_no_path(variant: &str) -> anyhow::Result<Provoked> {
    let folder = Folder::new()?;
    let own = socket(libc::AF_UNIX, STREAM, 0)?;
    if variant == "bind" {
        return refused(sockets::bind(&own, &local(&folder.path("none/socket"))), "bind", (own, folder));
    }
    refused(sockets::connect(&own, &name(&folder, variant)), "connect", (own, folder))
}

pub(super) fn fill_backlog(_: &str) -> anyhow::Result<Provoked> {
    let folder = Folder::new()?;
    let at = name(&folder, "");
    let listener = socket(libc::AF_UNIX, STREAM, 0)?;
    sockets::bind(&listener, &at)?;
    sockets::listen(&listener, 1)?;
    let mut held = vec![];
    for _ in 0..16 {
        let next = socket(libc::AF_UNIX, STREAM | NONBLOCK, 0)?;
        let done = sockets::connect(&next, &at);
        held.push(next);
        if done.is_err() {
            return refused(done, "connect", (held, listener, folder));
        }
    }
    bail!("a queue of one took sixteen connections")
}

pub(super) fn fill_queue(variant: &str) -> anyhow::Result<Provoked> {
    let folder = Folder::new()?;
    let at = name(&folder, "");
    let receiver = socket(libc::AF_UNIX, DGRAM, 0)?;
    sockets::bind(&receiver, &at)?;
    let own = socket(libc::AF_UNIX, DGRAM | NONBLOCK, 0)?;
    let to: &[u8] = match variant {
        "connected" => {
            sockets::connect(&own, &at)?;
            &[]
        }
        _ => &at,
    };
    for _ in 0..MOST {
        let done = sockets::send(&own, b"x", to);
        if done.is_err() {
            return refused(done, "sendto", (own, receiver, folder));
        }
    }
    bail!("the queue took {MOST} messages")
}

pub(super) fn name_too_long(variant: &str) -> anyhow::Result<Provoked> {
    let own = socket(libc::AF_UNIX, STREAM, 0)?;
    let at = local(&"a".repeat(147));
    match variant {
        "bind" => refused(sockets::bind(&own, &at), "bind", own),
        _ => refused(sockets::connect(&own, &at), "connect", own),
    }
}

pub(super) fn mix_types(_: &str) -> anyhow::Result<Provoked> {
    let folder = Folder::new()?;
    let at = name(&folder, "");
    let server = socket(libc::AF_UNIX, STREAM, 0)?;
    sockets::bind(&server, &at)?;
    sockets::listen(&server, 1)?;
    let own = socket(libc::AF_UNIX, DGRAM, 0)?;
    refused(sockets::connect(&own, &at), "connect", (own, server, folder))
}

/// Sends its own descriptor again and again; nobody receives any.
pub(super) fn send_descriptors(_: &str) -> anyhow::Result<Provoked> {
    const ROOM: u64 = 16;
    lower(Resource::RLIMIT_NOFILE, ROOM)?;
    let nobody = 2_000_999_112;
    let (uid, gid) = (Uid::from_raw(nobody), Gid::from_raw(nobody));
    setresgid(gid, gid, gid)?;
    // Takes the capabilities that are exempt along.
    setresuid(uid, uid, uid)?;
    let mut ends = [0; 2];
    // SAFETY: room for two descriptors, which are ours alone.
    let (own, other) = unsafe {
        use std::os::fd::FromRawFd;
        if libc::socketpair(libc::AF_UNIX, STREAM | NONBLOCK, 0, ends.as_mut_ptr()) < 0 {
            return Err(io::Error::last_os_error().into());
        }
        (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1]))
    };
    for _ in 0..MOST {
        let done = send_descriptor(&own);
        if done.is_err() {
            return refused(done, "sendmsg", (own, other));
        }
    }
    bail!("{MOST} descriptors were taken")
}

/// One byte with one descriptor: a `struct cmsghdr` of 16 bytes and the number behind it.
fn send_descriptor(own: &OwnedFd) -> io::Result<()> {
    let mut control = [20_u64, (1 << 32) | libc::SOL_SOCKET as u64, own.as_raw_fd() as u64];
    let mut byte = [0_u8];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: 1 };
    // SAFETY: zero is a value of every field.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.as_mut_ptr().cast();
    message.msg_controllen = 24;
    // SAFETY: all parts live until the call returns.
    let sent = unsafe { libc::sendmsg(own.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
