//! What a failed start must take back, in reverse order.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::rootfs;
use crate::cgroup::Cgroup;
use crate::error::StepError;
use crate::steps::Step;

/// The traces of a start so far.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    cgroup: Option<Cgroup>,
    rootfs: Option<PathBuf>,
    child: Option<i32>,
}

impl Undo {
    /// From now on there may be cgroups.
    pub(crate) fn grouped(&mut self, cgroup: Cgroup) {
        self.cgroup = Some(cgroup);
    }

    /// From now on the rootfs is mounted.
    pub(crate) fn mounted(&mut self, rootfs: PathBuf) {
        self.rootfs = Some(rootfs);
    }

    /// From now on there is a child.
    pub(crate) fn born(&mut self, pid: i32) {
        self.child = Some(pid);
    }

    /// Take everything back; returns what could not be.
    pub(crate) fn run(&mut self) -> Vec<StepError> {
        let mut failed = Vec::new();
        if let Some(pid) = self.child.take() {
            failed.extend(end_child(pid).err());
        }
        if let Some(cgroup) = self.cgroup.take() {
            failed.extend(cgroup.end());
        }
        if let Some(rootfs) = self.rootfs.take() {
            failed.extend(rootfs::unmount(&rootfs).err());
        }
        failed
    }
}

/// Kill and reap. Our own unreaped child cannot have been recycled, so its pid is safe to use.
fn end_child(pid: i32) -> Result<(), StepError> {
    let pid = Pid::from_raw(pid);
    match kill(pid, Signal::SIGKILL) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => return Err(StepError::here(Step::SignalWorkload, "kill", pid, errno)),
    }
    loop {
        match waitpid(pid, None) {
            Ok(_) | Err(Errno::ECHILD) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(StepError::here(Step::WaitWorkload, "wait4", pid, errno)),
        }
    }
}
