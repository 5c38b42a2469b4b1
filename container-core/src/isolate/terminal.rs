//! A pseudo terminal for the workload, pty(7): opened inside the container, so that its name means something there.
//!
//! The side that the engine reads and writes (ptmx) travels to it over a socket; the side of the workload becomes its
//! standard streams and the controlling terminal of its session.

use std::ffi::CStr;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, fstat, makedev};

use super::{Failure, refused};
use crate::steps::Step;
use crate::sys;
use crate::terminal::Window;

const PTMX: &CStr = c"/dev/pts/ptmx";
const CONSOLE: &CStr = c"/dev/console";

/// What the process that opens the terminal needs.
#[derive(Debug)]
pub(crate) struct ChildTerminal {
    /// Where the engine waits for its side.
    pub(crate) door: OwnedFd,
    /// Its size from the first moment on.
    pub(crate) window: Option<Window>,
    /// The user that the workload runs as, who owns the terminal.
    pub(crate) owner: u32,
    /// Whether /dev/console is this terminal too: for the container's first process.
    pub(crate) console: bool,
}

/// Steps "open terminal", "hand over terminal", "bind console" and "take controlling terminal". The session must be new.
pub(crate) fn open_and_connect(terminal: &ChildTerminal) -> Result<(), Failure<'static>> {
    let (ours, theirs) = open_pair(terminal)?;
    if terminal.console {
        bind_console(&ours)?;
    }
    sys::send_descriptor(terminal.door.as_fd(), ours.as_fd()).map_err(refused(
        Step::HandOverTerminal,
        "sendmsg",
        PTMX,
    ))?;
    ioctl(&theirs, libc::TIOCSCTTY as _, 0).map_err(refused(Step::ControlTerminal, "ioctl", c"TIOCSCTTY"))?;
    for (to, name) in [(0, c"0"), (1, c"1"), (2, c"2")] {
        // SAFETY: 0, 1 and 2 are nobody's OwnedFd; replacing them is the purpose.
        let ret = unsafe { libc::dup3(theirs.as_raw_fd(), to, 0) };
        Errno::result(ret).map_err(refused(Step::ConnectStreams, "dup3", name))?;
    }
    Ok(())
}

/// Step "open terminal". Root in the container may have put anything at that path before an `exec`: what was opened must
/// be the kernel's own multiplexer, ptmx(4). The other side is asked for by descriptor, TIOCGPTPEER (kernel ≥ 4.13).
fn open_pair(terminal: &ChildTerminal) -> Result<(OwnedFd, OwnedFd), Failure<'static>> {
    let failed = |syscall| refused(Step::OpenTerminal, syscall, PTMX);
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let ours = open(PTMX, flags, Mode::empty()).map_err(failed("openat"))?;
    let found = fstat(&ours).map_err(failed("newfstatat"))?;
    if found.st_rdev != makedev(5, 2) {
        return Err(failed("newfstatat")(Errno::ENOTTY));
    }
    let unlocked: libc::c_int = 0;
    ioctl(&ours, libc::TIOCSPTLCK as _, (&raw const unlocked) as usize).map_err(failed("ioctl"))?;
    let peer =
        ioctl(&ours, libc::TIOCGPTPEER as _, (libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC) as usize)
            .map_err(failed("ioctl"))?;
    // SAFETY: a fresh descriptor that nobody else owns.
    let theirs = unsafe { OwnedFd::from_raw_fd(peer) };
    if let Some(window) = terminal.window {
        let size = window.as_winsize();
        ioctl(&ours, libc::TIOCSWINSZ as _, (&raw const size) as usize).map_err(failed("ioctl"))?;
    }
    // SAFETY: integers only; -1 leaves the group as devpts has set it.
    let ret = unsafe { libc::fchown(theirs.as_raw_fd(), terminal.owner, u32::MAX) };
    Errno::result(ret).map_err(failed("fchown"))?;
    Ok((ours, theirs))
}

/// Step "bind console": programs that write to /dev/console speak to whoever is attached.
fn bind_console(ours: &OwnedFd) -> Result<(), Failure<'static>> {
    let failed = |syscall| refused(Step::BindConsole, syscall, CONSOLE);
    let mut number: libc::c_uint = 0;
    ioctl(ours, libc::TIOCGPTN as _, (&raw mut number) as usize).map_err(failed("ioctl"))?;
    let flags = OFlag::O_CREAT | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(CONSOLE, flags, Mode::from_bits_truncate(0o600)).map_err(failed("openat"))?;
    let mut buffer = [0u8; 32];
    // The buffer is full of zeroes, so what is written into it ends with one.
    let _ = write!(buffer.as_mut_slice(), "/dev/pts/{number}");
    let path = CStr::from_bytes_until_nul(&buffer).unwrap_or(c"");
    mount(Some(path), CONSOLE, None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>).map_err(failed("mount"))
}

fn ioctl(fd: &OwnedFd, request: libc::Ioctl, argument: usize) -> Result<libc::c_int, Errno> {
    // SAFETY: the argument is an integer, or the address of a value of the type that the request names.
    Errno::result(unsafe { libc::ioctl(fd.as_raw_fd(), request, argument) })
}
