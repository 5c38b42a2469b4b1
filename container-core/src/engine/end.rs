//! Ending: `kill`, `stop`, `rm`.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Engine;
use super::query::wait_for_end;
use super::recover::signal;
use crate::container::{Config, Container};
use crate::error::{Error, StepError};
use crate::events::EventKind;
use crate::launch::detach;
use crate::lifecycle::{Exit, State};
use crate::process::ProcessId;
use crate::spec::{RestartPolicy, Spec};
use crate::steps::Step;
use crate::store::bundle::Bundle;
use crate::store::lock::Lock;
use crate::store::sweep::{self, Maker};

/// How long a killed process is waited for; one in uninterruptible sleep ends when the kernel lets it.
const KILLED: Duration = Duration::from_secs(10);

impl Engine {
    /// Send a signal, signal(7), to the container's first process. A handler must be installed there for
    /// anything but SIGKILL and SIGSTOP to have an effect, pid_namespaces(7). After SIGKILL it has ended, unless the
    /// kernel holds it for longer than ten seconds.
    pub fn kill(&self, query: &str, signal_number: i32) -> Result<(), Error> {
        let bundle = self.store.find(query)?;
        let container = self.look(&bundle)?.ok_or_else(|| no_such(query))?;
        let State::Running { init, .. } = &container.state else {
            return Err(not_running(&container, "signal it"));
        };
        let spec = &container.config.spec;
        if [libc::SIGKILL, spec.stop_signal.unwrap_or(libc::SIGTERM)].contains(&signal_number) {
            // Who sends these wants it to end: no restart.
            self.expect_end(&bundle, spec)?;
        }
        if !signal(init, signal_number)? {
            return Err(not_running(&container, "signal it"));
        }
        if signal_number == libc::SIGKILL && wait_for_end(init, Some(KILLED)) {
            self.await_final(&bundle, container.name())?;
        }
        Ok(())
    }

    /// Ask the workload to end with its stop signal, and kill it when `grace` has passed. `None` when it was
    /// not running.
    pub fn stop(&self, query: &str, grace: Duration) -> Result<Option<Exit>, Error> {
        let bundle = self.store.find(query)?;
        let container = self.look(&bundle)?.ok_or_else(|| no_such(query))?;
        let init = match &container.state {
            State::Running { init, .. } => init,
            State::Restarting { exit, .. } if self.end_restarting(&bundle)? => return Ok(Some(*exit)),
            // It is started again at this very moment.
            State::Restarting { .. } => return self.stop(query, grace),
            _ => return Ok(None),
        };
        self.expect_end(&bundle, &container.config.spec)?;
        if signal(init, container.config.spec.stop_signal.unwrap_or(libc::SIGTERM))?
            && !wait_for_end(init, Some(grace))
        {
            signal(init, libc::SIGKILL)?;
            wait_for_end(init, None);
        }
        self.await_final(&bundle, container.name())?;
        let exit = match self.look(&bundle)?.map(|container| container.state) {
            Some(State::Exited { exit, .. }) => exit,
            _ => self.exit_on_record(&bundle),
        };
        Ok(Some(exit))
    }

    /// Remove a container that is not running; with `force` kill it first. Its mount, cgroups and folder are
    /// gone afterwards, also when an engine was killed half-way; its events stay.
    pub fn remove(&self, query: &str, force: bool) -> Result<(), Error> {
        let bundle = self.store.find(query)?;
        loop {
            let Some(lock) = bundle.lock()? else { break };
            let Some(container) = self.repair(&bundle, &lock)? else { break };
            match &container.state {
                State::Running { .. } | State::Restarting { .. } if !force => {
                    return Err(not_running(&container, "remove it without force"));
                }
                State::Running { init, .. } => {
                    let init = init.clone();
                    self.expect_end(&bundle, &container.config.spec)?;
                    drop(lock);
                    signal(&init, libc::SIGKILL)?;
                    wait_for_end(&init, None);
                    self.await_final(&bundle, container.name())?;
                }
                _ => {
                    // A supervisor that waits for a restart sees that there is nothing to start any more.
                    self.clear(&bundle, &container.config, None)?;
                    self.remove_locked(&bundle, &container.config, lock)?;
                    break;
                }
            }
        }
        sweep::sweep(&self.store.containers())
    }

    /// A restart policy must not bring it back.
    fn expect_end(&self, bundle: &Bundle, spec: &Spec) -> Result<(), Error> {
        match spec.restart {
            RestartPolicy::No => Ok(()),
            _ => bundle.mark_stopped(true),
        }
    }

    /// Step "remove container files", of a container of which nothing is left in the kernel.
    pub(super) fn remove_locked(&self, bundle: &Bundle, config: &Config, lock: Lock) -> Result<(), Error> {
        let gone = self.put_away(bundle, config, lock)?;
        self.observer.step(&config.container, Step::RemoveFiles);
        Ok(delete(&gone)?)
    }

    /// The same, for somebody who waits for the container's end and not for the disk: a process that stays behind deletes
    /// the files. On some disks every folder is a wait (ext4 without a journal, mounted with `discard`).
    pub(super) fn remove_behind(&self, bundle: &Bundle, config: &Config, lock: Lock) -> Result<(), Error> {
        let gone = self.put_away(bundle, config, lock)?;
        self.observer.step(&config.container, Step::RemoveFiles);
        // Whoever sweeps meanwhile sees that it is being done.
        let held = Lock::try_folder(&gone).map_err(refused("openat", &gone))?;
        let keep: Vec<RawFd> = held.iter().map(|lock| lock.as_fd().as_raw_fd()).collect();
        let left = detach::leave_to_child(&keep, || {
            if let Err(error) = delete(&gone) {
                // Nobody is there to be told. What is left is tried again by the next one who lists containers.
                let _ = self.record(&config.container, EventKind::StepFailed { error, cleanup: Vec::new() });
            }
        });
        match left {
            Ok(()) => Ok(()),
            // No room for another process: then here.
            Err(_) => Ok(delete(&gone)?),
        }
    }

    /// Renaming the folder away is the moment at which the container is gone; what a kill leaves after that is swept.
    fn put_away(&self, bundle: &Bundle, config: &Config, lock: Lock) -> Result<PathBuf, Error> {
        let container = &config.container;
        self.observer.step(container, Step::RemoveFiles);
        let maker = Maker::current(&ProcessId::current());
        let gone = self.store.containers().join(maker.being_deleted(&container.id));
        let store_lock = self.store.lock()?;
        self.store.drop_name(&container.name)?;
        fs::rename(bundle.dir(), &gone).map_err(refused("rename", bundle.dir()))?;
        drop((store_lock, lock));
        self.record(container, EventKind::Removed)?;
        Ok(gone)
    }
}

fn delete(gone: &Path) -> Result<(), StepError> {
    fs::remove_dir_all(gone).map_err(refused("unlinkat", gone))
}

fn refused(syscall: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> StepError {
    move |e| StepError::from_io(Step::RemoveFiles, syscall, path, &e)
}

fn no_such(query: &str) -> Error {
    Error::NoSuchContainer { query: query.to_owned() }
}

fn not_running(container: &Container, operation: &'static str) -> Error {
    Error::WrongState { name: container.name().to_owned(), state: container.state.word(), operation }
}
