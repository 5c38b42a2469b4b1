//! The caller's own terminal: raw while he talks to another one, and as it was on every way out.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

use super::keys::Scanner;
use super::{DetachKeys, Window};
use crate::error::StepError;
use crate::launch::output::{Attach, forward};
use crate::log::Stream;
use crate::steps::Step;

/// The streams of a caller, and what is special about them when they are a terminal.
#[derive(Debug)]
pub(crate) struct Near<'a> {
    attach: &'a Attach,
    /// While there is more input to come.
    open: bool,
    /// Only held, to be put back in the end.
    _raw: Option<RawMode<'a>>,
    scanner: Scanner,
}

/// What came from the caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Typed {
    Bytes(Vec<u8>),
    End,
    /// The detach keys, and what was typed before them.
    Detach(Vec<u8>),
}

impl<'a> Near<'a> {
    /// With `raw`, and where the input is a terminal, every key goes to the other side, Ctrl-C included.
    pub(crate) fn open(attach: &'a Attach, raw: bool, keys: DetachKeys) -> Result<Near<'a>, StepError> {
        let terminal = attach.stdin.as_ref().filter(|fd| raw && is_terminal(fd.as_fd()));
        let raw = terminal.map(|fd| RawMode::enter(fd.as_fd())).transpose()?;
        // Keys are looked for in what a person types, not in a file.
        let keys = if raw.is_some() { keys } else { DetachKeys::none() };
        Ok(Near { attach, open: attach.stdin.is_some(), _raw: raw, scanner: Scanner::new(keys) })
    }

    /// The descriptor to poll for input.
    pub(crate) fn input(&self) -> Option<BorrowedFd<'_>> {
        self.attach.stdin.as_ref().filter(|_| self.open).map(AsFd::as_fd)
    }

    /// Read what is there.
    pub(crate) fn read(&mut self) -> Option<Typed> {
        let fd = self.attach.stdin.as_ref().filter(|_| self.open)?;
        let mut buffer = [0u8; 4096];
        match nix::unistd::read(fd, &mut buffer) {
            Ok(count) if count > 0 => match self.scanner.pass(&buffer[..count]) {
                (meant, true) => Some(Typed::Detach(meant)),
                (meant, false) if meant.is_empty() => None,
                (meant, false) => Some(Typed::Bytes(meant)),
            },
            Err(Errno::EINTR | Errno::EAGAIN) => None,
            // EIO: the terminal is gone.
            Ok(_) | Err(_) => {
                self.open = false;
                Some(Typed::End)
            }
        }
    }

    /// Show what the workload wrote. False when nobody is there to see it any more.
    pub(crate) fn show(&self, stream: Stream, bytes: &[u8]) -> bool {
        let to = match stream {
            Stream::Stdout => self.attach.stdout.as_ref(),
            Stream::Stderr => self.attach.stderr.as_ref(),
        };
        to.is_none_or(|to| forward(to.as_fd(), bytes))
    }
}

/// The size of the terminal that the caller sits at: of his output, else of his input.
pub(crate) fn window(attach: &Attach) -> Option<Window> {
    let sized = |fd: &OwnedFd| {
        // SAFETY: winsize is plain data that the kernel fills.
        let mut size: libc::winsize = unsafe { std::mem::zeroed() };
        // SAFETY: size is a winsize to write to.
        let ret = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TIOCGWINSZ as _, &raw mut size) };
        (ret == 0 && size.ws_col > 0).then_some(Window { rows: size.ws_row, columns: size.ws_col })
    };
    [&attach.stdout, &attach.stdin].into_iter().flatten().find_map(sized)
}

fn is_terminal(fd: BorrowedFd<'_>) -> bool {
    tcgetattr(fd).is_ok()
}

/// Holds a terminal in raw mode, termios(3); puts it back when dropped.
#[derive(Debug)]
struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> RawMode<'a> {
    /// Step "set terminal to raw mode".
    fn enter(terminal: BorrowedFd<'a>) -> Result<RawMode<'a>, StepError> {
        let failed = |errno| StepError::here(Step::RawTerminal, "ioctl", "standard input", errno);
        let before = tcgetattr(terminal).map_err(failed)?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(terminal, SetArg::TCSADRAIN, &raw).map_err(failed)?;
        Ok(RawMode { terminal, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // What cannot be put back is a terminal that is gone.
        let _ = tcsetattr(self.terminal, SetArg::TCSADRAIN, &self.before);
    }
}
