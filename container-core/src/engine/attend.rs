//! The life of the process that answers for a container: launch, stay, clean up, and again when the restart policy
//! wants it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use super::{Engine, Finished};
use crate::cgroup::Cgroup;
use crate::clock;
use crate::container::Container;
use crate::error::{Error, LaunchError, StepError};
use crate::events::EventKind;
use crate::launch::output::Attach;
use crate::launch::relay::Relay;
use crate::launch::{self, Job, supervise};
use crate::lifecycle::{Exit, State};
use crate::process::ProcessId;
use crate::spec::{BackOff, RestartPolicy};
use crate::steps::Step;
use crate::store::bundle::Bundle;
use crate::store::lock::Lock;
use crate::terminal::Window;

/// How often a supervisor that waits for a restart looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What the process that stays is connected to.
pub(super) struct Stay<'a> {
    pub(super) attach: &'a Attach,
    pub(super) relay: Option<Relay>,
    pub(super) window: Option<Window>,
    /// Somebody who is in the audience from the beginning.
    pub(super) visitor: Option<OwnedFd>,
}

impl Engine {
    /// Launch, tell that it runs, stay, clean up; until no restart is wanted. The lock is held until the workload runs.
    pub(super) fn attend(
        &self,
        bundle: &Bundle,
        container: &Container,
        mut lock: Lock,
        mut stay: Stay<'_>,
        mut running: impl FnMut(()),
    ) -> Result<Finished, Error> {
        let mut back_off = BackOff::default();
        loop {
            let begun = Instant::now();
            let launched = match self.launch(bundle, container, &stay) {
                Ok(launched) => launched,
                Err(error) => return Err(self.note_failure(bundle, container, error, lock)),
            };
            drop(lock);
            running(());
            let launch::Launched { init, pidfd, cgroup, pipes, mut audience, lease } = launched;
            stay.visitor.take().into_iter().for_each(|visitor| audience.seat(visitor));
            let relay = stay.relay.as_ref();
            self.observer.step(&container.config.container, Step::WaitWorkload);
            let ending = supervise::supervise(&pidfd, pipes, bundle, stay.attach, relay, &mut audience);
            drop(lease);
            back_off.ran(begun.elapsed());
            if container.config.spec.restart == RestartPolicy::No {
                // A clean-up that hangs can be ended by a signal.
                stay.relay = None;
            }
            let finished = self.finish(bundle, container, &init, &cgroup, ending, &mut back_off);
            audience.farewell(finished.as_ref().map_or(Exit::unseen(), |(finished, _)| finished.exit));
            let (finished, pause) = finished?;
            let Some(pause) = pause else { return Ok(finished) };
            match self.wait_for_restart(bundle, pause, stay.relay.as_ref())? {
                Some(next) => lock = next,
                None => return Ok(finished),
            }
        }
    }

    fn launch(
        &self,
        bundle: &Bundle,
        container: &Container,
        stay: &Stay<'_>,
    ) -> Result<launch::Launched, LaunchError> {
        launch::launch(&Job {
            store: &self.store,
            bundle,
            config: &container.config,
            observer: self.observer.as_ref(),
            attach: stay.attach,
            window: stay.window,
        })
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

    /// After the workload: cgroups and mount go, state and event stay. Also the pause before it is started again, if
    /// it is to be.
    fn finish(
        &self,
        bundle: &Bundle,
        container: &Container,
        started: &ProcessId,
        cgroup: &Cgroup,
        ending: supervise::Ending,
        back_off: &mut BackOff,
    ) -> Result<(Finished, Option<Duration>), Error> {
        let identity = container.config.container.clone();
        let mut finished = Finished {
            id: identity.id.clone(),
            name: identity.name.clone(),
            exit: ending.exit,
            oom_killed: cgroup.oom_killed(),
            trouble: ending.trouble.into_iter().collect(),
        };
        // `rm --force` of another process may have finished the job while we waited for the lock.
        let Some(lock) = bundle.lock()? else { return Ok((finished, None)) };
        let State::Running { init, started_unix_ns, .. } = bundle.state()? else {
            return Ok((finished, None));
        };
        if init != *started {
            return Ok((finished, None));
        }
        finished.trouble.extend(self.undo_kernel(bundle, &container.config, Ok(cgroup)));
        let exited = EventKind::Exited { exit: finished.exit, oom_killed: finished.oom_killed };
        finished.trouble.extend(self.record(&identity, exited).err());
        for error in finished.trouble.clone() {
            let kind = EventKind::StepFailed { error, cleanup: Vec::new() };
            finished.trouble.extend(self.record(&identity, kind).err());
        }
        if container.config.spec.auto_remove {
            // No final state for what is gone in a moment; if we are killed here, `repair` finds a dead workload.
            self.remove_behind(bundle, &container.config, lock)?;
            return Ok((finished, None));
        }
        let again = container.config.spec.restart.wants(finished.exit, back_off.restarts())
            && !bundle.is_marked_stopped();
        let (state, pause) = match again {
            true => self.restarting(container, finished.exit, back_off)?,
            false => {
                let state = State::Exited {
                    exit: finished.exit,
                    oom_killed: finished.oom_killed,
                    started_unix_ns,
                    finished_unix_ns: clock::unix_ns(),
                    cleanup: finished.trouble.clone(),
                };
                (state, None)
            }
        };
        write_state(bundle, &state)?;
        Ok((finished, pause))
    }

    /// The state between two runs, announced.
    fn restarting(
        &self,
        container: &Container,
        exit: Exit,
        back_off: &mut BackOff,
    ) -> Result<(State, Option<Duration>), Error> {
        let pause = back_off.pause();
        let restarts = back_off.restarts();
        let after_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.record(&container.config.container, EventKind::Restarting { restarts, after_ms })?;
        let next_unix_ns = clock::unix_ns().saturating_add(after_ms.saturating_mul(1_000_000));
        Ok((
            State::Restarting { exit, supervisor: ProcessId::current(), restarts, next_unix_ns },
            Some(pause),
        ))
    }

    /// Let the pause pass. The lock for the next start, unless somebody has decided otherwise: by a call (the state is
    /// another one then), or by a signal to this process.
    fn wait_for_restart(
        &self,
        bundle: &Bundle,
        pause: Duration,
        relay: Option<&Relay>,
    ) -> Result<Option<Lock>, Error> {
        let is_ours = |state: &State| matches!(state, State::Restarting { supervisor, .. } if *supervisor == ProcessId::current());
        let until = Instant::now() + pause;
        loop {
            if !is_ours(&bundle.state()?) {
                return Ok(None);
            }
            if relay.and_then(Relay::next).is_some_and(|signal| signal != libc::SIGWINCH) {
                self.end_restarting(bundle)?;
                return Ok(None);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::sleep(left.min(LOOK_EVERY));
        }
        let Some(lock) = bundle.lock()? else { return Ok(None) };
        Ok(is_ours(&bundle.state()?).then_some(lock))
    }

    /// No further run of a container that waits for one. False when it does not wait.
    pub(super) fn end_restarting(&self, bundle: &Bundle) -> Result<bool, Error> {
        let Some(_lock) = bundle.lock()? else { return Ok(true) };
        let State::Restarting { exit, .. } = bundle.state()? else { return Ok(false) };
        bundle.mark_stopped(true)?;
        write_state(bundle, &State::ended(exit))?;
        Ok(true)
    }
}

fn write_state(bundle: &Bundle, state: &State) -> Result<(), StepError> {
    bundle.write_state(state).map_err(|e| StepError::from_io(Step::RecordState, "write", bundle.dir(), &e))
}
