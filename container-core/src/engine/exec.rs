//! `exec`: a further command in a running container.

use std::path::PathBuf;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use serde::{Deserialize, Serialize};

use super::Engine;
use crate::cgroup::{Cgroup, home};
use crate::error::{Error, LaunchError, StepError};
use crate::events::EventKind;
use crate::isolate::privileges::Privileges;
use crate::launch::exec::{self, Command, Meeting};
use crate::launch::output::Attach;
use crate::launch::{open_pidfd, user};
use crate::lifecycle::{Exit, State};
use crate::rootless;
use crate::spec::{User, complete_env, validate_command};
use crate::steps::Step;

/// The command to run in a running container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecSpec {
    /// Command and arguments, as in [`crate::Spec`].
    pub args: Vec<String>,
    /// Added to the container's environment, before it, `KEY=value` each.
    pub env: Vec<String>,
    /// Working directory; the container's by default.
    pub working_dir: Option<String>,
    /// User; the container's by default.
    pub user: Option<User>,
    /// Give it a terminal of its own, pty(7), at which the caller sits.
    #[serde(default)]
    pub tty: bool,
}

impl Engine {
    /// Run a command inside the container's namespaces and cgroups and stay until it has ended. It reads and
    /// writes the attached streams directly; nothing of it is in the container's log. With `tty`, and where the attached
    /// input is a terminal, that is raw meanwhile.
    pub fn exec(&self, query: &str, spec: &ExecSpec, attach: &Attach) -> Result<Exit, Error> {
        let bundle = self.store.find(query)?;
        let container =
            self.look(&bundle)?.ok_or_else(|| Error::NoSuchContainer { query: query.to_owned() })?;
        validate_command(&spec.args, &spec.env, spec.working_dir.as_deref())?;
        let State::Running { init, .. } = &container.state else {
            return Err(Error::WrongState {
                name: container.name().to_owned(),
                state: container.state.word(),
                operation: "execute a command in it",
            });
        };
        if self.stands_still(&container)? {
            // It would be born into the stopped group and wait there for ever.
            return Err(Error::WrongState {
                name: container.name().to_owned(),
                state: "paused",
                operation: "execute a command in it",
            });
        }
        let own = &container.config.spec;
        // A normal user's container: neither the user namespace is the caller's, nor the mount of its root.
        let elsewhere = rootless::is_elsewhere(init.pid);
        let rootfs = match elsewhere && rootless::is_normal_user() {
            true => PathBuf::from(format!("/proc/{}/root", init.pid)),
            false => bundle.rootfs(),
        };
        let account = match spec.user {
            Some(user) => user::numeric(user),
            None => user::of(own, &rootfs)?,
        };
        // getenv(3) finds the first entry of a name: what was given for this command wins.
        let env = complete_env(
            &[spec.env.as_slice(), own.env.as_slice()].concat(),
            account.home.as_deref(),
            spec.tty,
        );
        let command = Command {
            args: &spec.args,
            env: &env,
            working_dir: spec.working_dir.as_deref().or(own.working_dir.as_deref()).unwrap_or("/"),
            privileges: Privileges::prepare(&own.security, &account.identity, &own.resource_limits)?,
        };
        let run = || -> Result<Exit, StepError> {
            let target = open_pidfd(init.pid)?;
            // Opened first, checked after: what the handle means cannot change any more.
            if !init.is_alive() {
                return Err(StepError::here(Step::OpenPidfd, "pidfd_open", init.pid, Errno::ESRCH));
            }
            let cgroup =
                Cgroup::of(&home::of_bundle(bundle.dir())?, container.id()).entered_with(&own.limits);
            let user_namespace = match elsewhere {
                true => CloneFlags::CLONE_NEWUSER,
                false => CloneFlags::empty(),
            };
            let meeting = Meeting { attach, terminal: spec.tty, owner: account.identity.uid, user_namespace };
            exec::exec(&target, cgroup.open()?, command, &meeting)
        };
        run().map_err(|error| {
            let kind = EventKind::StepFailed { error: error.clone(), cleanup: Vec::new() };
            let cleanup = self.record(&container.config.container, kind).err().into_iter().collect();
            LaunchError { first: error, cleanup }.into()
        })
    }
}
