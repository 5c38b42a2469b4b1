//! The supervisor's side: everybody who is attached to its container.

use std::collections::VecDeque;
use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, UnixAddr, accept4, bind, connect, listen, socket, socketpair,
};
use nix::sys::stat::Mode;

use super::wire::{self, Message};
use crate::error::StepError;
use crate::lifecycle::Exit;
use crate::log::Stream;
use crate::steps::Step;
use crate::store::bundle::Bundle;

/// The open door and those who came in.
#[derive(Debug)]
pub(crate) struct Audience {
    door: OwnedFd,
    path: PathBuf,
    visitors: Vec<Visitor>,
}

#[derive(Debug)]
struct Visitor {
    socket: OwnedFd,
    /// What he has been too slow for.
    pending: VecDeque<Vec<u8>>,
    gone: bool,
}

/// Who is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seat {
    Door,
    Visitor(usize),
}

impl Audience {
    /// Step "open attach socket".
    pub(crate) fn open(bundle: &Bundle) -> Result<Audience, StepError> {
        let path = bundle.attach_socket();
        let failed = |syscall: &'static str| {
            let path = path.clone();
            move |errno| StepError::here(Step::OpenAttachSocket, syscall, path.display(), errno)
        };
        let door = seqpacket().map_err(failed("socket"))?;
        // What a killed engine left. We hold the container's lock, so nobody listens there.
        match fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(StepError::from_io(Step::OpenAttachSocket, "unlink", &path, &e));
            }
            _ => {}
        }
        let (dir, address) = address(bundle).map_err(failed("openat"))?;
        bind(door.as_raw_fd(), &address).map_err(failed("bind"))?;
        drop(dir);
        listen(&door, Backlog::new(16).unwrap_or(Backlog::MAXCONN)).map_err(failed("listen"))?;
        Ok(Audience { door, path, visitors: Vec::new() })
    }

    /// Somebody who was there before the door opened.
    pub(crate) fn seat(&mut self, socket: OwnedFd) {
        self.visitors.push(Visitor { socket, pending: VecDeque::new(), gone: false });
    }

    /// Whether nobody is behind. A visitor who does not read holds the output up, as a stopped terminal does.
    pub(crate) fn keeps_up(&self) -> bool {
        self.visitors.iter().all(|visitor| visitor.pending.is_empty())
    }

    /// What to poll for. Visitors' messages only when they can be taken in.
    pub(crate) fn interests(
        &self,
        takes_input: bool,
    ) -> impl Iterator<Item = (Seat, BorrowedFd<'_>, PollFlags)> {
        let door = (Seat::Door, self.door.as_fd(), PollFlags::POLLIN);
        let visitors = self.visitors.iter().enumerate().map(move |(index, visitor)| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLIN, takes_input);
            flags.set(PollFlags::POLLOUT, !visitor.pending.is_empty());
            (Seat::Visitor(index), visitor.socket.as_fd(), flags)
        });
        std::iter::once(door).chain(visitors)
    }

    /// See to the one who is ready; what he says, if anything.
    pub(crate) fn attend(&mut self, seat: Seat) -> Option<Message> {
        let Seat::Visitor(index) = seat else {
            self.let_in();
            return None;
        };
        let visitor = self.visitors.get_mut(index)?;
        visitor.flush();
        match wire::receive(visitor.socket.as_fd()) {
            Ok(Some(message)) => Some(message),
            Err(Errno::EAGAIN) => None,
            Ok(None) | Err(_) => {
                visitor.gone = true;
                None
            }
        }
    }

    /// Forget those who left. Seats that were handed out before are worth nothing any more.
    pub(crate) fn tidy(&mut self) {
        self.visitors.retain(|visitor| !visitor.gone);
    }

    /// Pass on what the workload wrote.
    pub(crate) fn tell(&mut self, stream: Stream, bytes: &[u8]) {
        if self.visitors.is_empty() {
            return;
        }
        for piece in bytes.chunks(wire::MAX_BYTES) {
            let packet = wire::output(stream, piece);
            for visitor in &mut self.visitors {
                visitor.pending.push_back(packet.clone());
                visitor.flush();
            }
        }
    }

    /// The last word. A visitor who is behind is not waited for: the end of the connection tells him the same.
    pub(crate) fn farewell(mut self, exit: Exit) {
        let packet = Message::Exit(exit).encode();
        for visitor in &mut self.visitors {
            visitor.pending.push_back(packet.clone());
            visitor.flush();
        }
        let _ = fs::remove_file(&self.path);
    }

    fn let_in(&mut self) {
        // An error means that he has left before he was let in.
        if let Ok(fd) = accept4(self.door.as_raw_fd(), SockFlag::SOCK_CLOEXEC) {
            // SAFETY: a fresh descriptor that nobody else owns.
            self.seat(unsafe { OwnedFd::from_raw_fd(fd) });
        }
    }
}

impl Visitor {
    fn flush(&mut self) {
        while let Some(packet) = self.pending.front() {
            match wire::send_packet(self.socket.as_fd(), packet) {
                Ok(()) => drop(self.pending.pop_front()),
                Err(Errno::EAGAIN) => return,
                Err(_) => {
                    self.gone = true;
                    self.pending.clear();
                }
            }
        }
    }
}

/// Step "attach": into the audience of a running container.
pub(crate) fn visit(bundle: &Bundle) -> Result<OwnedFd, StepError> {
    let failed = |syscall| {
        let path = bundle.attach_socket();
        move |errno| StepError::here(Step::Attach, syscall, path.display(), errno)
    };
    let socket = seqpacket().map_err(failed("socket"))?;
    let (_dir, address) = address(bundle).map_err(failed("openat"))?;
    connect(socket.as_raw_fd(), &address).map_err(failed("connect"))?;
    Ok(socket)
}

/// A visitor's two ends, for one who starts a container himself.
pub(crate) fn pair() -> Result<(OwnedFd, OwnedFd), StepError> {
    socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| StepError::here(Step::Attach, "socketpair", "", errno))
}

fn seqpacket() -> Result<OwnedFd, Errno> {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
}

/// An address holds 108 bytes, unix(7), and a store may lie deeper: the folder is named by its descriptor, which must stay
/// open meanwhile.
fn address(bundle: &Bundle) -> Result<(OwnedFd, UnixAddr), Errno> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let dir = open(bundle.dir(), flags, Mode::empty())?;
    let socket = bundle.attach_socket();
    let name = socket.file_name().map(Path::new).unwrap_or(Path::new("attach"));
    let address = UnixAddr::new(&Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name))?;
    Ok((dir, address))
}
