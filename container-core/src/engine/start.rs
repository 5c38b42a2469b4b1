//! `start` and `run`: launch a container and stay with it, in this process or in one that stays behind.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Engine;
use super::attend::Stay;
use crate::cgroup::home;
use crate::container::Container;
use crate::error::{Error, LaunchError, StepError};
use crate::launch::detach;
use crate::launch::output::Attach;
use crate::launch::relay::Relay;
use crate::lifecycle::{Exit, State};
use crate::spec::{RestartPolicy, Spec};
use crate::steps::Step;
use crate::store::bundle::Bundle;
use crate::store::lock::Lock;
use crate::terminal::{DetachKeys, Parting, Window, audience, near};

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

    /// Start a created or ended container and stay until it has ended, as [`Engine::run`]. One with a terminal gets no
    /// input this way: [`Engine::start_interactive`] is for that.
    pub fn start_attached(&self, query: &str, attach: &Attach) -> Result<Finished, Error> {
        let (bundle, container, lock) = self.lock_for_start(query)?;
        let window = near::window(attach);
        let stay = Stay { attach, relay: Relay::install(), window, visitor: None };
        self.attend(&bundle, &container, lock, stay, |()| ())
    }

    /// Start a created or ended container in the background. Returns once its workload was executed; a process
    /// forked from the caller stays behind to keep its log and to see its end. Nothing of the caller's
    /// terminal or descriptors stays open there.
    pub fn start(&self, query: &str) -> Result<Container, Error> {
        self.start_behind(query, None, None)
    }

    /// Start a created or ended container in the background with the caller attached from its first byte on, as
    /// [`Engine::attach`] does later.
    pub fn start_interactive(
        &self,
        query: &str,
        attach: &Attach,
        keys: DetachKeys,
    ) -> Result<Parting, Error> {
        let (ours, theirs) = audience::pair()?;
        let container = self.start_behind(query, near::window(attach), Some(theirs))?;
        self.converse(&container, &ours, attach, keys)
    }

    /// Start those containers whose restart policy says that they run after a boot; the name of each, and why it could not
    /// be started if so.
    pub fn start_after_boot(&self) -> Result<Vec<(String, Option<Error>)>, Error> {
        let wanted = |container: &Container| match container.config.spec.restart {
            RestartPolicy::Always => true,
            RestartPolicy::UnlessStopped => !self.store.bundle(container.id()).is_marked_stopped(),
            RestartPolicy::No | RestartPolicy::OnFailure { .. } => false,
        };
        let ended =
            |container: &Container| !container.state.is_live() && !matches!(container.state, State::Created);
        let containers = self.list()?.into_iter().filter(|container| wanted(container) && ended(container));
        Ok(containers.map(|c| (c.name().to_owned(), self.start(c.id()).err())).collect())
    }

    fn start_behind(
        &self,
        query: &str,
        window: Option<Window>,
        visitor: Option<OwnedFd>,
    ) -> Result<Container, Error> {
        let (bundle, container, lock) = self.lock_for_start(query)?;
        let theirs = lock.share().map_err(Error::store("lock", bundle.dir()))?;
        let mut keep = vec![theirs.as_fd().as_raw_fd()];
        keep.extend(visitor.as_ref().map(AsRawFd::as_raw_fd));
        home::make_room();
        let answer = detach::spawn(&keep, |pipe| {
            let stay = Stay { attach: &Attach::nothing(), relay: None, window, visitor };
            self.stay_behind(&bundle, &container, theirs, stay, pipe);
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
        bundle.mark_stopped(false)?;
        Ok((bundle, container, lock))
    }

    /// The supervisor's life. Whatever happens before the workload runs is the answer to the waiting caller.
    fn stay_behind(&self, bundle: &Bundle, container: &Container, lock: Lock, stay: Stay<'_>, pipe: OwnedFd) {
        let mut pipe = Some(File::from(pipe));
        let mut answer = |answer: Answer| {
            if let (Some(mut pipe), Ok(text)) = (pipe.take(), serde_json::to_vec(&answer)) {
                // A caller that is gone needs no answer.
                let _ = pipe.write_all(&text);
            }
        };
        let outcome = self.attend(bundle, container, lock, stay, |()| answer(Answer::Started));
        match outcome {
            Err(Error::Launch(error)) => answer(Answer::Failed(error)),
            Err(Error::Step(error)) => answer(Answer::Failed(error.into())),
            // What went wrong after the start is in the container's state and in the event log.
            Ok(_) | Err(_) => {}
        }
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
