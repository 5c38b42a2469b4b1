//! `pause`, `unpause`, `stats`: what needs nothing but the container's cgroups.

use super::Engine;
use crate::cgroup::{Cgroup, Usage, home};
use crate::container::Container;
use crate::error::Error;
use crate::lifecycle::State;

impl Engine {
    /// Stop every process of a running container where it is, cgroups(7) "cgroup.freeze". They do not notice.
    /// Doing it twice does no harm.
    pub fn pause(&self, query: &str) -> Result<(), Error> {
        Ok(self.running(query, "pause it")?.freeze(true)?)
    }

    /// Let a paused container go on.
    pub fn unpause(&self, query: &str) -> Result<(), Error> {
        Ok(self.running(query, "let it go on")?.freeze(false)?)
    }

    /// Whether the container is paused. One that does not run is not.
    pub fn is_paused(&self, query: &str) -> Result<bool, Error> {
        let container = self.inspect(query)?;
        self.stands_still(&container)
    }

    /// What a running container uses at the moment.
    pub fn usage(&self, query: &str) -> Result<Usage, Error> {
        Ok(self.running(query, "read what it uses")?.usage())
    }

    pub(super) fn stands_still(&self, container: &Container) -> Result<bool, Error> {
        let running = matches!(container.state, State::Running { .. });
        Ok(running && Cgroup::of(&home::of_bundle(&container.bundle)?, container.id()).is_frozen())
    }

    /// The groups of a container that must be running.
    fn running(&self, query: &str, operation: &'static str) -> Result<Cgroup, Error> {
        let container = self.inspect(query)?;
        match container.state {
            State::Running { .. } => Ok(Cgroup::of(&home::of_bundle(&container.bundle)?, container.id())),
            ref state => {
                Err(Error::WrongState { name: container.name().to_owned(), state: state.word(), operation })
            }
        }
    }
}
