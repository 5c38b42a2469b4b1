//! The caller's side of a conversation without a supervisor: an `exec` whose terminal the caller holds himself.

use std::collections::VecDeque;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::near::{self, Near, Typed};
use super::{DetachKeys, Window};
use crate::error::StepError;
use crate::launch::output::Attach;
use crate::launch::relay::Relay;
use crate::launch::supervise::pass_on_one;
use crate::log::Stream;
use crate::steps::Step;

/// What a terminal takes for the end of its input, termios(3) VEOF.
pub(crate) const END_OF_INPUT: u8 = 4;

/// Our side of a workload's terminal. Reading and writing do not wait.
#[derive(Debug)]
pub(crate) struct Terminal {
    fd: OwnedFd,
    /// Typed faster than the workload reads.
    pending: VecDeque<u8>,
}

impl Terminal {
    pub(crate) fn new(fd: OwnedFd) -> Result<Terminal, StepError> {
        let flags = OFlag::O_RDWR | OFlag::O_NONBLOCK;
        fcntl(&fd, FcntlArg::F_SETFL(flags))
            .map_err(|errno| StepError::here(Step::ReceiveTerminal, "fcntl", "", errno))?;
        Ok(Terminal { fd, pending: VecDeque::new() })
    }

    pub(crate) fn resize(&self, window: Window) {
        resize(self.fd.as_fd(), window);
    }

    fn type_in(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
        self.flush();
    }

    fn flush(&mut self) {
        flush(self.fd.as_fd(), &mut self.pending);
    }
}

/// TIOCSWINSZ; the kernel tells the foreground processes of the terminal with SIGWINCH.
pub(crate) fn resize(terminal: BorrowedFd<'_>, window: Window) {
    let size = window.as_winsize();
    // SAFETY: size is a winsize that is only read.
    unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) };
}

/// Write what goes in without waiting. What a reader who is gone would have got is dropped.
pub(crate) fn flush(to: BorrowedFd<'_>, pending: &mut VecDeque<u8>) {
    while !pending.is_empty() {
        match nix::unistd::write(to, pending.as_slices().0) {
            Ok(count) => drop(pending.drain(..count)),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return,
            Err(_) => pending.clear(),
        }
    }
}

/// Be the terminal's user until the process of `pidfd` has ended and all that it wrote is shown.
pub(crate) fn converse(
    mut terminal: Terminal,
    attach: &Attach,
    pidfd: &OwnedFd,
    relay: Option<&Relay>,
) -> Result<(), StepError> {
    // Without a supervisor nobody would be left to hold the terminal: there is no leaving.
    let mut near = Near::open(attach, true, DetachKeys::none())?;
    let mut insistence = 0;
    let mut silent = false;
    loop {
        let room = if terminal.pending.is_empty() { near.input() } else { None };
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, !terminal.pending.is_empty());
        let sources: [Option<(BorrowedFd<'_>, PollFlags)>; 4] = [
            Some((pidfd.as_fd(), PollFlags::POLLIN)),
            (!silent).then(|| (terminal.fd.as_fd(), flags)),
            room.map(|fd| (fd, PollFlags::POLLIN)),
            relay.map(|relay| (relay.as_fd(), PollFlags::POLLIN)),
        ];
        let mut polled: Vec<PollFd<'_>> =
            sources.iter().flatten().map(|(fd, flags)| PollFd::new(*fd, *flags)).collect();
        match poll(&mut polled, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => continue,
            Err(errno) => return Err(StepError::here(Step::WaitWorkload, "poll", "", errno)),
        }
        let mut answers = polled.iter().map(|fd| fd.any().unwrap_or(false));
        let [ended, spoke, typed, signalled] =
            sources.map(|source| source.is_some() && answers.next().unwrap_or(false));
        if spoke {
            terminal.flush();
            silent = !show(&terminal, &near);
        }
        if typed {
            match near.read() {
                Some(Typed::Bytes(bytes) | Typed::Detach(bytes)) => terminal.type_in(&bytes),
                Some(Typed::End) => terminal.type_in(&[END_OF_INPUT]),
                None => {}
            }
        }
        if signalled {
            while let Some(signal) = relay.and_then(Relay::next) {
                match signal {
                    libc::SIGWINCH => near::window(attach).into_iter().for_each(|size| terminal.resize(size)),
                    other => pass_on_one(other, pidfd, &mut insistence),
                }
            }
        }
        if ended {
            show(&terminal, &near);
            return Ok(());
        }
    }
}

/// Show all that is there; false when the terminal has nobody on its other side any more (EIO).
fn show(terminal: &Terminal, near: &Near<'_>) -> bool {
    let mut buffer = [0u8; 16 * 1024];
    loop {
        match nix::unistd::read(&terminal.fd, &mut buffer) {
            Ok(count) if count > 0 => {
                near.show(Stream::Stdout, &buffer[..count]);
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return true,
            Ok(_) | Err(_) => return false,
        }
    }
}
