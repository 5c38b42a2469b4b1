//! The workload's standard streams: what they are connected to, on both sides.

use std::fs::OpenOptions;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::unistd::pipe2;

use crate::error::StepError;
use crate::isolate::streams::ChildStreams;
use crate::steps::Step;

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

/// The engine's ends of the workload's output.
#[derive(Debug)]
pub(crate) struct OutputPipes {
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Step "open standard streams" of a start: output goes through pipes, for it is logged.
pub(crate) fn open(attach: &Attach) -> Result<(OutputPipes, ChildStreams), StepError> {
    let stdin = direct(attach.stdin.as_ref())?;
    let (stdout, child_stdout) = pipe()?;
    let (stderr, child_stderr) = pipe()?;
    let child = ChildStreams { stdin, stdout: child_stdout, stderr: child_stderr };
    Ok((OutputPipes { stdout, stderr }, child))
}

/// Step "open standard streams" of an exec: the command writes where it was told to, nothing in between.
pub(crate) fn open_direct(attach: &Attach) -> Result<ChildStreams, StepError> {
    Ok(ChildStreams {
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
    let (read, write) =
        pipe2(OFlag::O_CLOEXEC).map_err(|e| StepError::here(Step::OpenStreams, "pipe2", "", e))?;
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
