//! What a command says on stderr: passed on as it comes, and its end kept.
//!
//! Where our own stderr is a terminal the command gets one too, or it would leave out colours and progress bars.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{cfmakeraw, tcgetattr};
use nix::unistd::{pipe2, read, write};
use std::collections::VecDeque;
use std::io::{IsTerminal, stderr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, spawn};

/// Kept of what was said: the last of it, where errors are.
const MOST: usize = 64 << 10;
/// How long a thread waits for more before it looks whether it is still wanted.
const PATIENCE_MS: u16 = 50;

/// Both ends, before the command runs.
#[derive(Debug)]
pub(super) struct Ends {
    pub(super) ours: OwnedFd,
    pub(super) commands: OwnedFd,
}

pub(super) fn ends() -> nix::Result<Ends> {
    if stderr().is_terminal() {
        let mut size = Winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCGWINSZ writes a winsize (ioctl_tty(2)).
        unsafe { libc::ioctl(libc::STDERR_FILENO, libc::TIOCGWINSZ, &raw mut size) };
        let mut modes = tcgetattr(stderr().as_fd())?;
        // The terminal itself makes new lines and echoes; in between nothing may be changed.
        cfmakeraw(&mut modes);
        let pair = openpty(&size, &modes)?;
        for end in [&pair.master, &pair.slave] {
            nix::fcntl::fcntl(end, nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC))?;
        }
        return Ok(Ends { ours: pair.master, commands: pair.slave });
    }
    let (ours, commands) = pipe2(nix::fcntl::OFlag::O_CLOEXEC)?;
    Ok(Ends { ours, commands })
}

/// A thread that listens.
#[derive(Debug)]
pub(super) struct Hearing {
    wanted: Arc<AtomicBool>,
    thread: JoinHandle<VecDeque<u8>>,
}

impl Hearing {
    pub(super) fn start(from: OwnedFd) -> Self {
        let wanted = Arc::new(AtomicBool::new(true));
        let still = Arc::clone(&wanted);
        Self { wanted, thread: spawn(move || listen(&from, &still)) }
    }

    /// Everything that was said until now. What the command left behind may hold the other end open, so this does
    /// not wait for it.
    pub(super) fn end(self) -> String {
        self.wanted.store(false, Ordering::Relaxed);
        let kept = self.thread.join().unwrap_or_default();
        String::from_utf8_lossy(&Vec::from(kept)).into_owned()
    }
}

fn listen(from: &OwnedFd, wanted: &AtomicBool) -> VecDeque<u8> {
    let mut kept = VecDeque::new();
    let mut buffer = [0; 4096];
    loop {
        let last_look = !wanted.load(Ordering::Relaxed);
        let mut fds = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
        let patience = if last_look { PollTimeout::ZERO } else { PollTimeout::from(PATIENCE_MS) };
        match poll(&mut fds, patience) {
            Ok(0) if last_look => return kept,
            Ok(0) | Err(nix::errno::Errno::EINTR) => continue,
            Ok(_) => {}
            Err(_) => return kept,
        }
        // EIO: the last one that had the terminal is gone (pty(7)).
        let Ok(count @ 1..) = read(from, &mut buffer) else { return kept };
        pass_on(&buffer[..count]);
        kept.extend(&buffer[..count]);
        let beyond = kept.len().saturating_sub(MOST);
        kept.drain(..beyond);
    }
}

fn pass_on(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match write(stderr().as_fd(), bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(nix::errno::Errno::EINTR) => {}
            // Nobody listens to us: the command's words are kept all the same.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_it_is_kept_and_an_open_end_keeps_nobody() {
        let (ours, commands) = pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let hearing = Hearing::start(ours);
        write(&commands, b"first\n").unwrap();
        write(&commands, b"docker: Error\n").unwrap();
        assert_eq!(hearing.end(), "first\ndocker: Error\n");
    }
}
