//! The workload's standard streams: what they are connected to, on both sides.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::pipe2;

use crate::error::StepError;
use crate::isolate::streams::ChildStreams;
use crate::isolate::terminal::ChildTerminal;
use crate::steps::Step;
use crate::sys;
use crate::terminal::Window;

/// What the workload's streams are connected to. `None` means: no input, output only in the log.
#[derive(Debug, Default)]
pub struct Attach {
    /// Becomes the workload's standard input.
    pub stdin: Option<OwnedFd>,
    /// Receives what the workload writes to standard output, besides the log.
    pub stdout: Option<OwnedFd>,
    /// The same for standard error.
    pub stderr: Option<OwnedFd>,
}

impl Attach {
    /// Nothing: as for a detached container.
    #[must_use]
    pub fn nothing() -> Attach {
        Attach::default()
    }

    /// The caller's own standard output and error; its input too if `stdin`.
    pub fn own_streams(stdin: bool) -> std::io::Result<Attach> {
        Ok(Attach {
            stdin: stdin.then(|| std::io::stdin().as_fd().try_clone_to_owned()).transpose()?,
            stdout: Some(std::io::stdout().as_fd().try_clone_to_owned()?),
            stderr: Some(std::io::stderr().as_fd().try_clone_to_owned()?),
        })
    }
}

/// The engine's ends of the workload's streams.
#[derive(Debug)]
pub(crate) struct OutputPipes {
    pub(crate) stdout: OwnedFd,
    /// A terminal has one output only.
    pub(crate) stderr: Option<OwnedFd>,
    /// Where those who attach write to, without waiting; `None` when the workload's input is a file or nothing.
    pub(crate) input: Option<OwnedFd>,
    pub(crate) is_terminal: bool,
}

/// The same while the workload is still on its way: a terminal does not exist before the child has opened it.
#[derive(Debug)]
pub(crate) enum Ends {
    Pipes(OutputPipes),
    Door(OwnedFd),
}

/// What a start's streams are to be.
pub(crate) struct Wishes<'a> {
    pub(crate) attach: &'a Attach,
    pub(crate) terminal: bool,
    /// Keep an input open for those who attach later.
    pub(crate) open_stdin: bool,
    pub(crate) window: Option<Window>,
    /// The workload's user.
    pub(crate) owner: u32,
}

/// Step "open standard streams" of a start: output goes through pipes, for it is logged, or through a terminal.
pub(crate) fn open(wishes: &Wishes<'_>) -> Result<(Ends, ChildStreams), StepError> {
    if wishes.terminal {
        let (door, terminal) = open_door(wishes.window, wishes.owner, true)?;
        return Ok((Ends::Door(door), terminal));
    }
    let mut input = None;
    let stdin = match &wishes.attach.stdin {
        None if wishes.open_stdin => {
            let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe2"))?;
            let flags = FcntlArg::F_SETFL(OFlag::O_WRONLY | OFlag::O_NONBLOCK);
            fcntl(&write, flags).map_err(failed("fcntl"))?;
            input = Some(write);
            above_standard(read.as_fd())?
        }
        given => direct(given.as_ref())?,
    };
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = pipe()?;
    let child = ChildStreams::Files { stdin, stdout: child_stdout, stderr: child_stderr };
    Ok((Ends::Pipes(OutputPipes { stdout, stderr: Some(stderr), input, is_terminal: false }), child))
}

/// The two ends of the socket over which the child hands its terminal out.
pub(crate) fn open_door(
    window: Option<Window>,
    owner: u32,
    console: bool,
) -> Result<(OwnedFd, ChildStreams), StepError> {
    let (door, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .map_err(failed("socketpair"))?;
    let theirs = above_standard(theirs.as_fd())?;
    Ok((door, ChildStreams::Terminal(ChildTerminal { door: theirs, window, owner, console })))
}

impl Ends {
    /// Step "receive terminal", once the workload was executed: what the child sent lies in the socket by then.
    pub(crate) fn ready(self) -> Result<OutputPipes, StepError> {
        match self {
            Ends::Pipes(pipes) => Ok(pipes),
            Ends::Door(door) => {
                let terminal = receive_terminal(&door)?;
                let input = terminal.try_clone();
                let input = input.map_err(|e| {
                    StepError::from_io(Step::ReceiveTerminal, "fcntl", Path::new("F_DUPFD_CLOEXEC"), &e)
                })?;
                fcntl(&input, FcntlArg::F_SETFL(OFlag::O_RDWR | OFlag::O_NONBLOCK))
                    .map_err(|errno| StepError::here(Step::ReceiveTerminal, "fcntl", "", errno))?;
                Ok(OutputPipes { stdout: terminal, stderr: None, input: Some(input), is_terminal: true })
            }
        }
    }
}

/// Step "receive terminal".
pub(crate) fn receive_terminal(door: &OwnedFd) -> Result<OwnedFd, StepError> {
    let failed = |errno| StepError::here(Step::ReceiveTerminal, "recvmsg", "", errno);
    sys::receive_descriptor(door.as_fd()).map_err(failed)?.ok_or_else(|| failed(Errno::EBADMSG))
}

fn failed(syscall: &'static str) -> impl FnOnce(Errno) -> StepError {
    move |errno| StepError::here(Step::OpenStreams, syscall, "", errno)
}

/// Step "open standard streams" of an exec: the command writes where it was told to, nothing in between.
pub(crate) fn open_direct(attach: &Attach) -> Result<ChildStreams, StepError> {
    Ok(ChildStreams::Files {
        stdin: direct(attach.stdin.as_ref())?,
        stdout: direct(attach.stdout.as_ref())?,
        stderr: direct(attach.stderr.as_ref())?,
    })
}

/// A copy of the given descriptor, or /dev/null.
fn direct(given: Option<&OwnedFd>) -> Result<OwnedFd, StepError> {
    if let Some(fd) = given {
        return above_standard(fd.as_fd());
    }
    let path = Path::new("/dev/null");
    let null = OpenOptions::new().read(true).write(true).open(path);
    above_standard(null.map_err(|e| StepError::from_io(Step::OpenStreams, "openat", path, &e))?.as_fd())
}

fn pipe() -> Result<(OwnedFd, OwnedFd), StepError> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe2"))?;
    Ok((read, above_standard(write.as_fd())?))
}

/// A copy with a number above 2, or the child could overwrite it when it puts its streams in place: a caller
/// may have closed its own standard streams, and new descriptors take the lowest free number.
pub(crate) fn above_standard(fd: BorrowedFd<'_>) -> Result<OwnedFd, StepError> {
    match fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(3)) {
        // SAFETY: fcntl has just made this descriptor; nobody else owns it.
        Ok(copy) => Ok(unsafe { OwnedFd::from_raw_fd(copy) }),
        Err(errno) => Err(StepError::here(Step::OpenStreams, "fcntl", fd.as_raw_fd(), errno)),
    }
}

/// Write all of `bytes` to a descriptor that may be a pipe somebody stopped reading. False when it is gone.
pub(crate) fn forward(to: BorrowedFd<'_>, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        match nix::unistd::write(to, bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                // A non-blocking terminal or pipe: wait until it takes more.
                let mut fds = [nix::poll::PollFd::new(to, nix::poll::PollFlags::POLLOUT)];
                let _ = nix::poll::poll(&mut fds, nix::poll::PollTimeout::NONE);
            }
            Err(_) => return false,
        }
    }
    true
}
