//! `attach`: talk to a container that runs in the background.

use std::os::fd::OwnedFd;

use super::Engine;
use super::recover::signal;
use crate::container::Container;
use crate::error::Error;
use crate::launch::output::Attach;
use crate::lifecycle::State;
use crate::terminal::visit::{self, Manners};
use crate::terminal::{DetachKeys, Parting, audience};

impl Engine {
    /// Join the audience of a running container: its output from now on goes to the attached streams, the attached input
    /// to the container if it keeps its input open or has a terminal. Returns when the workload has ended or the caller
    /// left by `keys`.
    ///
    /// At a container with a terminal, an attached input that is one too is raw meanwhile and as before on every way out
    /// but SIGKILL; its size follows the caller's window. Signals to the calling process end the conversation there;
    /// without a terminal they are passed on to the workload.
    pub fn attach(&self, query: &str, attach: &Attach, keys: DetachKeys) -> Result<Parting, Error> {
        let container = self.inspect(query)?;
        if !matches!(container.state, State::Running { .. }) {
            return Err(Error::WrongState {
                name: container.name().to_owned(),
                state: container.state.word(),
                operation: "attach to it",
            });
        }
        let socket = audience::visit(&self.store.bundle(container.id()))?;
        self.converse(&container, &socket, attach, keys)
    }

    pub(super) fn converse(
        &self,
        container: &Container,
        socket: &OwnedFd,
        attach: &Attach,
        keys: DetachKeys,
    ) -> Result<Parting, Error> {
        let pass_on = |number: i32| {
            if let State::Running { init, .. } = &container.state {
                // One that has just ended needs no signal.
                let _ = signal(init, number);
            }
        };
        let manners = Manners { terminal: container.config.spec.tty, keys, signal: &pass_on };
        match visit::talk(socket, attach, manners)? {
            Some(parting) => Ok(parting),
            // The supervisor was killed, and its container with it.
            None => Ok(Parting::Ended(self.wait(container.id())?)),
        }
    }
}
