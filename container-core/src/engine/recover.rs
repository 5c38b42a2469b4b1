//! What a killed engine left behind: recognised by the dead process that answered for it, and finished.

use std::os::fd::AsFd;

use nix::errno::Errno;

use super::Engine;
use crate::cgroup::{Cgroup, home};
use crate::clock;
use crate::container::{Config, Container};
use crate::error::{Error, StepError};
use crate::events::EventKind;
use crate::launch::{open_pidfd, rootfs, userns};
use crate::lifecycle::{Exit, State};
use crate::network;
use crate::process::ProcessId;
use crate::spec::Network;
use crate::steps::Step;
use crate::store::bundle::Bundle;
use crate::store::lock::Lock;
use crate::sys;

impl Engine {
    /// The container as it is, after finishing what a killed engine could not. `None` when it is gone. The
    /// lock must be that of the bundle: whoever starts a container holds it until the workload runs.
    pub(super) fn repair(&self, bundle: &Bundle, _lock: &Lock) -> Result<Option<Container>, Error> {
        let Some(mut container) = bundle.container()? else { return Ok(None) };
        if !container.state.is_abandoned() {
            return Ok(Some(container));
        }
        let noticed_unix_ns = clock::unix_ns();
        let (init, next) = match &container.state {
            State::Running { init, started_unix_ns, .. } => {
                let exited = State::Exited {
                    exit: Exit::unseen(),
                    oom_killed: false,
                    started_unix_ns: *started_unix_ns,
                    finished_unix_ns: noticed_unix_ns,
                    cleanup: Vec::new(),
                };
                (Some(init), exited)
            }
            State::Restarting { exit, .. } => (None, State::ended(*exit)),
            _ => (None, State::Interrupted { noticed_unix_ns }),
        };
        self.clear(bundle, &container.config, init)?;
        // The end of a run after which only a pause was cut short is on record.
        if !matches!(container.state, State::Restarting { .. }) {
            let unseen = EventKind::Exited { exit: Exit::unseen(), oom_killed: false };
            self.record(&container.config.container, unseen)?;
        }
        bundle
            .write_state(&next)
            .map_err(|e| StepError::from_io(Step::RecordState, "write", bundle.dir(), &e))?;
        container.state = next;
        Ok(Some(container))
    }

    /// No process, no cgroup, no mount of this container from here on. Doing it twice does no harm.
    pub(super) fn clear(
        &self,
        bundle: &Bundle,
        config: &Config,
        init: Option<&ProcessId>,
    ) -> Result<(), StepError> {
        if let Some(init) = init {
            signal(init, libc::SIGKILL)?;
        }
        let cgroup = home::of_bundle(bundle.dir()).map(|found| Cgroup::of(&found, &config.container.id));
        let failed = self.undo_kernel(bundle, config, cgroup.as_ref().map_err(Clone::clone));
        match failed.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Take back all that a start has made in the kernel, whether it is there or not; what could not be.
    pub(super) fn undo_kernel(
        &self,
        bundle: &Bundle,
        config: &Config,
        cgroup: Result<&Cgroup, StepError>,
    ) -> Vec<StepError> {
        let mut failed = Vec::new();
        let step = |step| self.observer.step(&config.container, step);
        step(Step::RemoveCgroup);
        match cgroup {
            Ok(cgroup) => failed.extend(cgroup.end()),
            Err(error) => failed.push(error),
        }
        step(Step::UnmountRootfs);
        failed.extend(rootfs::unmount(&bundle.rootfs()).err());
        failed.extend(userns::detach_shifted(bundle).err());
        if config.spec.network == Network::Bridge {
            step(Step::RemoveNetwork);
            failed.extend(network::disconnect(&self.store, &config.container.id).err());
        }
        failed
    }
}

/// Step "signal workload". The pidfd is opened first and the identity checked after, so the signal cannot hit
/// another process that got the same pid. False when it no longer runs.
pub(super) fn signal(init: &ProcessId, signal: i32) -> Result<bool, StepError> {
    let pidfd = match open_pidfd(init.pid) {
        Ok(pidfd) => pidfd,
        Err(error) if error.errno == Errno::ESRCH as i32 => return Ok(false),
        Err(error) => return Err(error),
    };
    if !init.is_alive() {
        return Ok(false);
    }
    match sys::pidfd_send_signal(pidfd.as_fd(), signal) {
        Ok(()) => Ok(true),
        Err(Errno::ESRCH) => Ok(false),
        Err(errno) => Err(StepError::here(Step::SignalWorkload, "pidfd_send_signal", init.pid, errno)),
    }
}
