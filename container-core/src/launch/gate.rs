//! Where the child waits for what only the engine can do for it: a pipe, and a byte for each time that it may pass.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::{pipe2, read, write};

use super::child::Plan;
use super::output::above_standard;
use crate::error::StepError;
use crate::isolate::{Failure, refused};
use crate::steps::Step;

/// The engine's end.
pub(super) struct Gate(OwnedFd);

impl Gate {
    /// Give the child its end.
    pub(super) fn open(plan: &mut Plan) -> Result<Gate, StepError> {
        let failed = |errno| StepError::here(Step::CreateReportPipe, "pipe2", "", errno);
        let (theirs, ours) = pipe2(OFlag::O_CLOEXEC).map_err(failed)?;
        plan.engine_ends.push(ours.as_raw_fd());
        plan.gate = Some(above_standard(theirs.as_fd())?);
        Ok(Gate(ours))
    }

    /// Let the child go on. One that is dead says so in its report.
    pub(super) fn pass(&self) {
        let _ = write(&self.0, &[1]);
    }
}

/// Wait at the gate, in the child. It ends without a byte when the engine dies meanwhile.
pub(super) fn wait(gate: Option<&OwnedFd>, step: Step) -> Result<(), Failure<'static>> {
    let Some(gate) = gate else { return Ok(()) };
    loop {
        match read(gate, &mut [0]) {
            Ok(1) => return Ok(()),
            Err(Errno::EINTR) => {}
            Ok(_) => return Err(refused(step, "read", c"the gate: the engine is gone")(Errno::ECHILD)),
            Err(errno) => return Err(refused(step, "read", c"the gate")(errno)),
        }
    }
}
