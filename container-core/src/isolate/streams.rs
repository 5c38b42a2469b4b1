//! Descriptors 0, 1 and 2 of the workload.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;

use super::{Failure, refused};
use crate::steps::Step;

/// What becomes the workload's standard streams. All three lie above 2, so that putting one in place never
/// overwrites another.
#[derive(Debug)]
pub(crate) struct ChildStreams {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
}

/// Step "connect standard streams".
pub(crate) fn connect(streams: &ChildStreams) -> Result<(), Failure<'static>> {
    let places = [(&streams.stdin, 0, c"0"), (&streams.stdout, 1, c"1"), (&streams.stderr, 2, c"2")];
    for (from, to, name) in places {
        // SAFETY: 0, 1 and 2 are nobody's OwnedFd; replacing them is the purpose.
        let ret = unsafe { libc::dup3(from.as_raw_fd(), to, 0) };
        Errno::result(ret).map_err(refused(Step::ConnectStreams, "dup3", name))?;
    }
    Ok(())
}
