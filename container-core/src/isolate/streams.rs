//! Descriptors 0, 1 and 2 of the workload.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::terminal::{self, ChildTerminal};
use super::{Failure, refused};
use crate::steps::Step;

/// What becomes the workload's standard streams.
#[derive(Debug)]
pub(crate) enum ChildStreams {
    /// Three files. All lie above 2, so that putting one in place never overwrites another.
    Files { stdin: OwnedFd, stdout: OwnedFd, stderr: OwnedFd },
    /// A terminal that is still to be opened.
    Terminal(ChildTerminal),
}

/// Step "connect standard streams", after those of the terminal if there is to be one.
pub(crate) fn connect(streams: &ChildStreams) -> Result<(), Failure<'static>> {
    let (stdin, stdout, stderr) = match streams {
        ChildStreams::Files { stdin, stdout, stderr } => (stdin, stdout, stderr),
        ChildStreams::Terminal(terminal) => return terminal::open_and_connect(terminal),
    };
    for (from, to, name) in [(stdin, 0, c"0"), (stdout, 1, c"1"), (stderr, 2, c"2")] {
        // SAFETY: 0, 1 and 2 are nobody's OwnedFd; replacing them is the purpose.
        let ret = unsafe { libc::dup3(from.as_raw_fd(), to, 0) };
        Errno::result(ret).map_err(refused(Step::ConnectStreams, "dup3", name))?;
    }
    Ok(())
}
