//! Signals to a foreground engine are signals to its workload: caught here, passed on by the supervising loop.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

use nix::fcntl::OFlag;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::pipe2;

const RELAYED: [Signal; 7] = [
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGHUP,
    Signal::SIGQUIT,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    // The terminal's size has changed: nobody ends by default, so to pass it on does no harm.
    Signal::SIGWINCH,
];

/// The writing end of the pipe that wakes the loop; -1 while nobody relays.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// While it lives, these signals do not reach the program but [`Relay::next`]. One per process at a time:
/// signal handlers belong to the whole process.
#[derive(Debug)]
pub(crate) struct Relay {
    pipe: OwnedFd,
    before: Vec<(Signal, SigAction)>,
}

impl Relay {
    /// `None` when another thread already relays, or the pipe cannot be made: then signals do what they did.
    pub(crate) fn install() -> Option<Relay> {
        let (read, write) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).ok()?;
        WAKE.compare_exchange(-1, write.as_raw_fd(), Ordering::SeqCst, Ordering::SeqCst).ok()?;
        // Owned by WAKE from here on.
        let _ = write.into_raw_fd();
        let action = SigAction::new(SigHandler::Handler(wake), SaFlags::SA_RESTART, SigSet::empty());
        let mut before = Vec::new();
        for signal in RELAYED {
            // SAFETY: the handler only calls write(2) and keeps errno.
            if let Ok(old) = unsafe { sigaction(signal, &action) } {
                before.push((signal, old));
            }
        }
        let ignore = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
        // SAFETY: installs no handler. A reader of our output that goes away (`run … | head`) must not end us, for
        // the container would end with us; the write that fails tells (EPIPE).
        if let Ok(old) = unsafe { sigaction(Signal::SIGPIPE, &ignore) } {
            before.push((Signal::SIGPIPE, old));
        }
        Some(Relay { pipe: read, before })
    }

    /// The next signal that came, if any.
    pub(crate) fn next(&self) -> Option<i32> {
        let mut number = [0];
        match nix::unistd::read(&self.pipe, &mut number) {
            Ok(1) => Some(i32::from(number[0])),
            _ => None,
        }
    }
}

impl AsFd for Relay {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        for (signal, action) in &self.before {
            // SAFETY: puts back what was there.
            let _ = unsafe { sigaction(*signal, action) };
        }
        let write = WAKE.swap(-1, Ordering::SeqCst);
        if write >= 0 {
            // SAFETY: this is the descriptor that `install` gave up; no handler writes to it any more.
            unsafe { libc::close(write) };
        }
    }
}

extern "C" fn wake(signal: libc::c_int) {
    let pipe = WAKE.load(Ordering::SeqCst);
    if pipe >= 0 {
        let number = [signal as u8];
        // SAFETY: errno is saved and put back, for the handler may interrupt any code; write(2) is signal-safe.
        unsafe {
            let errno = *libc::__errno_location();
            libc::write(pipe, number.as_ptr().cast(), 1);
            *libc::__errno_location() = errno;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_caught_and_afterwards_is_not() {
        let relay = Relay::install().unwrap();
        assert!(Relay::install().is_none(), "one at a time");
        nix::sys::signal::raise(Signal::SIGUSR1).unwrap();
        assert_eq!(relay.next(), Some(libc::SIGUSR1));
        assert_eq!(relay.next(), None);
        drop(relay);
        assert!(Relay::install().is_some());
    }
}
