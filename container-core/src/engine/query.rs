//! Looking: `ps`, `inspect`, `logs`, `wait`.

use std::time::{Duration, Instant};

use super::Engine;
use crate::container::Container;
use crate::error::Error;
use crate::events::{self, EventKind};
use crate::launch::open_pidfd;
use crate::lifecycle::{Exit, State};
use crate::log::LogFollow;
use crate::process::ProcessId;
use crate::store::bundle::Bundle;
use crate::store::lock::Lock;
use crate::store::sweep;

/// How long a supervisor may take from the end of its workload to the final state, on a busy machine.
const TIDYING: Duration = Duration::from_secs(30);

/// How long the child of a killed engine, which has inherited its lock, may take to die.
const DYING: Duration = Duration::from_secs(2);

impl Engine {
    /// All containers, oldest first. What killed engines left is finished on the way.
    pub fn list(&self) -> Result<Vec<Container>, Error> {
        sweep::sweep(&self.store.containers())?;
        let mut containers = Vec::new();
        for id in self.store.ids()? {
            containers.extend(self.look(&self.store.bundle(&id))?);
        }
        containers.sort_by_key(|container| container.config.created_unix_ns);
        Ok(containers)
    }

    /// One container.
    pub fn inspect(&self, query: &str) -> Result<Container, Error> {
        let bundle = self.store.find(query)?;
        self.look(&bundle)?.ok_or_else(|| Error::NoSuchContainer { query: query.to_owned() })
    }

    /// The container's state, repaired if its engine was killed and nobody else is at it.
    pub(super) fn look(&self, bundle: &Bundle) -> Result<Option<Container>, Error> {
        let container = bundle.container()?;
        match &container {
            Some(abandoned) if abandoned.state.is_abandoned() => match lock_within(bundle, DYING)? {
                Some(lock) => self.repair(bundle, &lock),
                // Somebody else is repairing it.
                None => bundle.container(),
            },
            _ => Ok(container),
        }
    }

    /// The log of a container: its lines so far, and later ones by asking again.
    pub fn logs(&self, query: &str) -> Result<LogFollow, Error> {
        Ok(LogFollow::new(self.store.find(query)?.log()))
    }

    /// Wait until the container has ended and everything of it is cleaned up; how it ended.
    pub fn wait(&self, query: &str) -> Result<Exit, Error> {
        let bundle = self.store.find(query)?;
        loop {
            match self.look(&bundle)?.map(|container| (container.name().to_owned(), container.state)) {
                Some((name, State::Running { init, .. })) => {
                    wait_for_end(&init, None);
                    self.await_final(&bundle, &name)?;
                }
                // Between two runs: the end is that of the last one.
                Some((_, State::Restarting { .. })) => std::thread::sleep(Duration::from_millis(20)),
                Some((name, State::Starting { .. })) => self.await_final(&bundle, &name)?,
                Some((_, State::Exited { exit, .. })) => return Ok(exit),
                Some((name, state)) => {
                    return Err(Error::WrongState {
                        name,
                        state: state.word(),
                        operation: "wait for its end",
                    });
                }
                None => return Ok(self.exit_on_record(&bundle)),
            }
        }
    }

    /// Wait for the state that follows the end of the workload: written by the supervisor once it has cleaned
    /// up, or by us when it was killed. Also returns when the container is gone, was started anew, or waits
    /// for that.
    pub(super) fn await_final(&self, bundle: &Bundle, name: &str) -> Result<(), Error> {
        let deadline = Instant::now() + TIDYING;
        let mut pause = Duration::from_micros(500);
        loop {
            match self.look(bundle)?.map(|container| container.state) {
                Some(State::Running { init, .. }) if init.is_alive() => return Ok(()),
                Some(State::Restarting { .. }) => return Ok(()),
                Some(state) if state.is_live() => {}
                _ => return Ok(()),
            }
            if Instant::now() > deadline {
                let seconds = TIDYING.as_secs();
                return Err(Error::TimedOut {
                    name: name.to_owned(),
                    what: "reach its final state",
                    seconds,
                });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// How a container ended that has removed itself: the event log still knows.
    pub(super) fn exit_on_record(&self, bundle: &Bundle) -> Exit {
        let id = bundle.dir().file_name().unwrap_or_default().to_string_lossy();
        let events = events::read(self.root()).map(|log| log.events).unwrap_or_default();
        let exits = events.into_iter().rev().filter(|event| event.container.id == *id);
        let mut exits = exits.filter_map(|event| match event.kind {
            EventKind::Exited { exit, .. } => Some(exit),
            _ => None,
        });
        exits.next().unwrap_or(Exit::unseen())
    }
}

/// The container's lock, if it comes free in time.
fn lock_within(bundle: &Bundle, patience: Duration) -> Result<Option<Lock>, Error> {
    let deadline = Instant::now() + patience;
    loop {
        match bundle.try_lock()? {
            None if bundle.exists() && Instant::now() < deadline => {}
            done => return Ok(done),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// Wait for the end of a process that need not be our child: its pidfd becomes readable. False when `patience`
/// ran out first.
pub(super) fn wait_for_end(process: &ProcessId, patience: Option<Duration>) -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    let deadline = patience.map(|patience| Instant::now() + patience);
    let Ok(pidfd) = open_pidfd(process.pid) else { return true };
    while process.is_alive() {
        let timeout = match deadline.map(|at| at.saturating_duration_since(Instant::now())) {
            Some(left) if left.is_zero() => return false,
            Some(left) => PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX),
            None => PollTimeout::NONE,
        };
        let mut fds = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
        if poll(&mut fds, timeout).is_ok_and(|count| count > 0) {
            return true;
        }
    }
    true
}
