//! The engine: a store, and what can be done with the containers in it.

mod attach;
mod attend;
mod check;
mod create;
mod end;
mod exec;
mod pause;
mod query;
mod recover;
mod start;

use std::path::Path;
use std::sync::Arc;

pub use check::Leftover;
pub use exec::ExecSpec;
pub use start::Finished;

use crate::container::ContainerRef;
use crate::error::{Error, StepError};
use crate::events::{self, EventKind};
use crate::image::{self, Image, LoadOptions, PullListener, PullOptions};
use crate::observe::{Nobody, Observer};
use crate::steps::Step;
use crate::store::Store;

/// A container engine without a daemon: every call works on the store's folder and the kernel directly, and
/// any number of processes may use the same store at the same time.
#[derive(Clone)]
pub struct Engine {
    store: Store,
    observer: Arc<dyn Observer>,
}

impl Engine {
    /// Open the store in the folder `root`, which is made (mode 0700) if it is not there. Opening repairs
    /// nothing and so cannot fail because of what a killed engine left: `list`, `remove` and every call
    /// on a container do that for the containers they touch.
    pub fn open(root: impl AsRef<Path>) -> Result<Engine, Error> {
        Ok(Engine { store: Store::open(root.as_ref())?, observer: Arc::new(Nobody) })
    }

    /// The same engine, telling `observer` about its steps and events.
    #[must_use]
    pub fn with_observer(self, observer: Arc<dyn Observer>) -> Engine {
        Engine { observer, ..self }
    }

    /// The store's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.store.root()
    }

    /// Make the image `name` (or `name:tag`) of a root file system: a folder or a tar archive, plain
    /// or compressed with gzip or zstd. Replaces what the name meant before. On failure nothing is left behind.
    pub fn import(&self, name: &str, path: &Path) -> Result<Image, Error> {
        image::import(&self.store, name, path)
    }

    /// Take over the images of a docker-archive (`docker save`), an OCI archive, or an OCI layout in a folder;
    /// archives may be compressed with gzip or zstd. Digests are verified. All of its images, or none.
    pub fn load(&self, path: &Path, options: &LoadOptions) -> Result<Vec<Image>, Error> {
        image::load(&self.store, path, options)
    }

    /// Pull the image `name` from its registry (docker's own for a name without a host) and keep it under that name.
    /// Credentials are those of `docker login`. Every blob is verified by its digest; layers in the store are not
    /// fetched again, and what a pull that broke off has fetched is not either. Blocks, with a runtime of its own:
    /// not to be called from async code.
    pub fn pull(&self, name: &str, options: &PullOptions, listener: &PullListener) -> Result<Image, Error> {
        image::pull(&self.store, name, options, listener)
    }

    /// All images, by name.
    pub fn images(&self) -> Result<Vec<Image>, Error> {
        image::list(&self.store)
    }

    /// The image of that name.
    pub fn image(&self, name: &str) -> Result<Image, Error> {
        image::find(&self.store, name)
    }

    /// Forget the image `name` and delete the layers that nothing else uses; returns their digests.
    pub fn remove_image(&self, name: &str) -> Result<Vec<String>, Error> {
        image::remove(&self.store, name)
    }

    /// Step "record event", outside of a launch.
    fn record(&self, container: &ContainerRef, kind: EventKind) -> Result<(), StepError> {
        self.observer.step(container, Step::RecordEvent);
        let event = events::now(container, kind);
        self.observer.event(&event);
        events::append(self.root(), &event)
            .map_err(|e| StepError::from_io(Step::RecordEvent, "write", &events::path(self.root()), &e))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("root", &self.root()).finish_non_exhaustive()
    }
}
