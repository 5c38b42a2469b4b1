//! Being told while it happens, by a callback in the engine's own process.

use crate::container::ContainerRef;
use crate::events::Event;
use crate::steps::Step;

/// Told about each step and event of the engine that it was given to. All methods default to nothing.
///
/// For a detached container the calls come from the supervisor, a forked copy of the caller: what they change
/// in memory is not seen by the caller. Programs that only want to know should read [`crate::events`].
pub trait Observer: Send + Sync {
    /// The engine is about to take this step. Steps of the container's own first process are not announced:
    /// nothing may be called there; [`Observer::passed`] tells of them later.
    fn step(&self, container: &ContainerRef, step: Step) {
        let _ = (container, step);
    }

    /// The container's own first process began this step at that time, CLOCK_MONOTONIC in nanoseconds. Told once it
    /// executes the workload; not of every step.
    fn passed(&self, container: &ContainerRef, step: Step, monotonic_ns: u64) {
        let _ = (container, step, monotonic_ns);
    }

    /// This event is about to be written.
    fn event(&self, event: &Event) {
        let _ = event;
    }
}

/// Listens to nothing.
pub(crate) struct Nobody;

impl Observer for Nobody {}
