//! The store: what lies where under the engine's root folder, and how it is written.
//!
//! ```text
//! <root>/                      mode 0700
//!   lock                       held for the moments in which names, images and folders change
//!   events.jsonl               the event log (events/)
//!   images.json                names of images -> layers
//!   network.json network.lock  the bridge and who has which address (network/)
//!   layers/sha256-<hex>/       a layer's tree in fs/ and its figures in layer.json, shared between images
//!   downloads/                 blobs from registries that are not unpacked yet (image/pull/downloads.rs)
//!   names/<name>               symbolic link to the start of a container's id: makes names unique
//!   containers/<id>/           config.json state.json lock log attach hosts hostname resolv.conf cgroups
//!                              rootfs/ upper/ work/
//!   containers/.new-…, .gone-… being made, being deleted; swept once their maker is dead
//! ```

pub(crate) mod bundle;
pub(crate) mod json;
pub(crate) mod lock;
pub(crate) mod lookup;
pub(crate) mod sweep;

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::error::Error;
use bundle::Bundle;
use lock::Lock;

/// The folders of one engine.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// Open the store at `root`, made if it is not there.
    pub(crate) fn open(root: &Path) -> Result<Store, Error> {
        make_private_dir(root)?;
        let root = root.canonicalize().map_err(Error::store("resolve", root))?;
        let store = Store { root };
        for dir in [store.containers(), store.names(), store.layers()] {
            make_private_dir(&dir)?;
        }
        Ok(store)
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    pub(crate) fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    pub(crate) fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.root.join("downloads")
    }

    pub(crate) fn images_file(&self) -> PathBuf {
        self.root.join("images.json")
    }

    /// The folder of the container with this id.
    pub(crate) fn bundle(&self, id: &str) -> Bundle {
        Bundle::at(self.containers().join(id))
    }

    /// The lock of the whole store. Never held while waiting for a container.
    pub(crate) fn lock(&self) -> Result<Lock, Error> {
        let path = self.root.join("lock");
        Lock::exclusive(&path).map_err(Error::store("lock", &path))
    }
}

/// mkdir -p with mode 0700: what lies in a store may be anybody's secret.
pub(crate) fn make_private_dir(dir: &Path) -> Result<(), Error> {
    match DirBuilder::new().recursive(true).mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(Error::store("create", dir)(e)),
        _ => Ok(()),
    }
}
