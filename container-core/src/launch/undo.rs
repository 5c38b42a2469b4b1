//! What a failed start must take back, in reverse order.

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::waitpid;
use nix::unistd::Pid;

use super::{rootfs, userns};
use crate::cgroup::Cgroup;
use crate::error::StepError;
use crate::network;
use crate::steps::Step;
use crate::store::Store;
use crate::store::bundle::Bundle;

/// The traces of a start so far.
#[derive(Debug, Default)]
pub(crate) struct Undo {
    cgroup: Option<Cgroup>,
    rootfs: Option<Bundle>,
    child: Option<i32>,
    network: Option<(Store, String)>,
}

impl Undo {
    /// From now on there may be cgroups.
    pub(crate) fn grouped(&mut self, cgroup: Cgroup) {
        self.cgroup = Some(cgroup);
    }

    /// From now on the rootfs, or what it stands on, may be mounted.
    pub(crate) fn mounted(&mut self, bundle: &Bundle) {
        self.rootfs = Some(bundle.clone());
    }

    /// From now on the container `id` may have a lease, a link and rules.
    pub(crate) fn networked(&mut self, store: &Store, id: &str) {
        self.network = Some((store.clone(), id.to_owned()));
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
        if let Some((store, id)) = self.network.take() {
            failed.extend(network::disconnect(&store, &id).err());
        }
        if let Some(cgroup) = self.cgroup.take() {
            failed.extend(cgroup.end());
        }
        if let Some(rootfs) = self.rootfs.take() {
            failed.extend(rootfs::unmount(&rootfs.rootfs()).err());
            failed.extend(userns::detach_shifted(&rootfs).err());
        }
        failed
    }
}

/// Kill and reap. Our own unreaped child cannot have been recycled, so its pid is safe to use.
pub(super) fn end_child(pid: i32) -> Result<(), StepError> {
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
