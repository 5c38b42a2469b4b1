//! `start` and `run`: launch a container and stay with it, in this process or in one that stays behind.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::cgroup::Cgroup;
use crate::clock;
use crate::container::Container;
use crate::error::{Error, LaunchError, StepError};
use crate::events::EventKind;
use crate::launch::output::Attach;
use crate::launch::relay::Relay;
use crate::launch::{self, Job, detach, supervise};
use crate::lifecycle::{Exit, State};
use crate::process::ProcessId;
use crate::spec::Spec;
use crate::steps::Step;
use crate::store::bundle::Bundle;
use crate::store::lock::Lock;

/// A foreground container that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// Its id; with `auto_remove` the container is gone.
    pub id: String,
    /// Its name.
    pub name: String,
    /// How its workload ended.
    pub exit: Exit,
    /// The kernel killed for the memory limit.
    pub oom_killed: bool,
    /// What went wrong beside the workload: a full disk under the log, a step of the clean-up.
    pub trouble: Vec<StepError>,
}

impl Engine {
    /// Create and start a container and stay until it has ended. SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and
    /// SIGUSR2 of the calling process are passed on to the workload meanwhile; the third request to end
    /// kills it.
    pub fn run(&self, spec: &Spec, attach: &Attach) -> Result<Finished, Error> {
        let container = self.create(spec)?;
        self.start_attached(container.id(), attach)
    }

    /// Start a created or ended container and stay until it has ended, as [`Engine::run`].
    pub fn start_attached(&self, query: &str, attach: &Attach) -> Result<Finished, Error> {
        let (bundle, container, lock) = self.lock_for_start(query)?;
        self.attend(&bundle, &container, lock, attach, Relay::install(), |_| ())
    }

    /// Start a created or ended container in the background. Returns once its workload was executed; a process
    /// forked from the caller stays behind to keep its log and to see its end. Nothing of the caller's
    /// terminal or descriptors stays open there.
    pub fn start(&self, query: &str) -> Result<Container, Error> {
        let (bundle, container, lock) = self.lock_for_start(query)?;
        let theirs = lock.share().map_err(Error::store("lock", bundle.dir()))?;
        let answer = detach::spawn(&[theirs.as_fd().as_raw_fd()], |pipe| {
            self.stay_behind(&bundle, &container, theirs, pipe);
        })?;
        let outcome = read_answer(answer)?;
        drop(lock);
        match outcome {
            Answer::Started => Ok(bundle.container()?.unwrap_or(container)),
            Answer::Failed(error) => Err(error.into()),
        }
    }

    /// Find, lock, repair if need be, and refuse what cannot be started.
    fn lock_for_start(&self, query: &str) -> Result<(Bundle, Container, Lock), Error> {
        let bundle = self.store.find(query)?;
        let gone = || Error::NoSuchContainer { query: query.to_owned() };
        let lock = bundle.lock()?.ok_or_else(gone)?;
        let container = self.repair(&bundle, &lock)?.ok_or_else(gone)?;
        if container.state.is_live() {
            return Err(Error::WrongState {
                name: container.name().to_owned(),
                state: container.state.word(),
                operation: "start it",
            });
        }
        Ok((bundle, container, lock))
    }

    /// The supervisor's life. Whatever happens before the workload runs is the answer to the waiting caller.
    fn stay_behind(&self, bundle: &Bundle, container: &Container, lock: Lock, pipe: OwnedFd) {
        let mut pipe = Some(File::from(pipe));
        let mut answer = |answer: Answer| {
            if let (Some(mut pipe), Ok(text)) = (pipe.take(), serde_json::to_vec(&answer)) {
                // A caller that is gone needs no answer.
                let _ = pipe.write_all(&text);
            }
        };
        let outcome =
            self.attend(bundle, container, lock, &Attach::nothing(), None, |()| answer(Answer::Started));
        match outcome {
            Err(Error::Launch(error)) => answer(Answer::Failed(error)),
            Err(Error::Step(error)) => answer(Answer::Failed(error.into())),
            // What went wrong after the start is in the container's state and in the event log.
            Ok(_) | Err(_) => {}
        }
    }

    /// Launch, tell that it runs, stay, clean up. The lock is held until the workload runs.
    fn attend(
        &self,
        bundle: &Bundle,
        container: &Container,
        lock: Lock,
        attach: &Attach,
        relay: Option<Relay>,
        mut running: impl FnMut(()),
    ) -> Result<Finished, Error> {
        let job = Job {
            store: &self.store,
            bundle,
            config: &container.config,
            observer: self.observer.as_ref(),
            attach,
        };
        let launched = match launch::launch(&job) {
            Ok(launched) => launched,
            Err(error) => return Err(self.note_failure(bundle, container, error, lock)),
        };
        drop(lock);
        running(());
        let launch::Launched { init, pidfd, cgroup, pipes } = launched;
        let ending = supervise::supervise(&pidfd, pipes, bundle, attach, relay.as_ref());
        drop(relay);
        self.finish(bundle, container, &init, &cgroup, ending)
    }

    /// A failed start stays visible: as an event, and as the container's state unless it removes itself.
    fn note_failure(
        &self,
        bundle: &Bundle,
        container: &Container,
        mut error: LaunchError,
        lock: Lock,
    ) -> Error {
        let kind = EventKind::StepFailed { error: error.first.clone(), cleanup: error.cleanup.clone() };
        error.cleanup.extend(self.record(&container.config.container, kind).err());
        let state = State::Failed { error: error.clone(), failed_unix_ns: clock::unix_ns() };
        if let Err(e) = bundle.write_state(&state) {
            error.cleanup.push(StepError::from_io(Step::RecordState, "write", bundle.dir(), &e));
        }
        if container.config.spec.auto_remove && error.cleanup.is_empty()
            // What cannot be removed stays as a failed container, which says more than this error would.
            && let Err(Error::Step(step)) = self.remove_locked(bundle, &container.config, lock)
        {
            error.cleanup.push(step);
        }
        error.into()
    }

    /// After the workload: cgroups and mount go, state and event stay.
    fn finish(
        &self,
        bundle: &Bundle,
        container: &Container,
        started: &ProcessId,
        cgroup: &Cgroup,
        ending: supervise::Ending,
    ) -> Result<Finished, Error> {
        let identity = container.config.container.clone();
        let mut finished = Finished {
            id: identity.id.clone(),
            name: identity.name.clone(),
            exit: ending.exit,
            oom_killed: cgroup.oom_killed(),
            trouble: ending.trouble.into_iter().collect(),
        };
        // `rm --force` of another process may have finished the job while we waited for the lock.
        let Some(lock) = bundle.lock()? else { return Ok(finished) };
        let State::Running { init, started_unix_ns, .. } = bundle.state()? else { return Ok(finished) };
        if init != *started {
            return Ok(finished);
        }
        finished.trouble.extend(cgroup.end());
        finished.trouble.extend(launch::rootfs::unmount(&bundle.rootfs()).err());
        let exited = EventKind::Exited { exit: finished.exit, oom_killed: finished.oom_killed };
        finished.trouble.extend(self.record(&identity, exited).err());
        for error in finished.trouble.clone() {
            let kind = EventKind::StepFailed { error, cleanup: Vec::new() };
            finished.trouble.extend(self.record(&identity, kind).err());
        }
        if container.config.spec.auto_remove {
            // No final state for what is gone in a moment; if we are killed here, `repair` finds a dead workload.
            self.remove_locked(bundle, &container.config, lock)?;
            return Ok(finished);
        }
        let state = State::Exited {
            exit: finished.exit,
            oom_killed: finished.oom_killed,
            started_unix_ns,
            finished_unix_ns: clock::unix_ns(),
            cleanup: finished.trouble.clone(),
        };
        let wrote = bundle.write_state(&state);
        wrote.map_err(|e| StepError::from_io(Step::RecordState, "write", bundle.dir(), &e))?;
        Ok(finished)
    }
}

/// What the supervisor tells the waiting caller.
#[derive(Serialize, Deserialize)]
enum Answer {
    Started,
    Failed(LaunchError),
}

fn read_answer(pipe: OwnedFd) -> Result<Answer, Error> {
    let mut text = Vec::new();
    let read = File::from(pipe).read_to_end(&mut text);
    let failed = |what: &str, errno| StepError::here(Step::ReadReport, "read", what, errno);
    read.map_err(|e| failed("", Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO))))?;
    serde_json::from_slice(&text)
        .map_err(|_| failed("nothing: the supervisor was killed", Errno::ECHILD).into())
}
