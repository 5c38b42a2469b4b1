//! A layer on its way into the store, and the collection of those that nobody names any more.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::id;
use crate::process::ProcessId;
use crate::store::Store;
use crate::store::json::{self, Durability};
use crate::store::sweep::{self, Maker};

/// A folder beside the layers that becomes one, or disappears.
#[derive(Debug)]
pub(super) struct Draft {
    dir: PathBuf,
}

impl Draft {
    pub(super) fn new(store: &Store) -> Result<Draft, Error> {
        sweep::sweep(&store.layers())?;
        let name = Maker::current(&ProcessId::current()).being_made(&id::container_id()[..12]);
        let dir = store.layers().join(name);
        let draft = Draft { dir };
        for dir in [&draft.dir, &draft.tree()] {
            fs::DirBuilder::new().mode(0o755).create(dir).map_err(Error::store("create", dir))?;
        }
        Ok(draft)
    }

    /// The folder that becomes the layer's root.
    pub(super) fn tree(&self) -> PathBuf {
        self.dir.join("fs")
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Moved away when it became a layer; else the next sweep tries again.
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A complete layer, not yet in its place.
#[derive(Debug)]
pub(super) struct NewLayer {
    pub(super) draft: Draft,
    /// `sha256:<hex>`.
    pub(super) digest: String,
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

impl NewLayer {
    /// Move it to its place; one of the same digest that is there already is the same layer. The store's lock
    /// must be held. Files reach the disk before the name does: syncfs(2), then rename(2).
    pub(super) fn settle(&self, store: &Store) -> Result<(), Error> {
        let place = layer_dir(store, &self.digest);
        if place.join("fs").exists() {
            return Ok(());
        }
        let facts = self.draft.dir.join(FACTS);
        json::write(&facts, &Facts { bytes: self.bytes, entries: self.entries }, Durability::Replaced)
            .map_err(Error::store("write", &facts))?;
        flush(&self.draft.dir).map_err(Error::store("flush", &self.draft.dir))?;
        fs::rename(&self.draft.dir, &place).map_err(Error::store("create", &place))
    }
}

/// The file beside a layer's tree.
const FACTS: &str = "layer.json";

/// What is known of a layer that lies in the store.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Facts {
    /// Bytes of regular files.
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// The facts about the layer `digest`; `None` when it is not in the store.
pub(super) fn facts(store: &Store, digest: &str) -> Result<Option<Facts>, Error> {
    let dir = layer_dir(store, digest);
    if !dir.join("fs").exists() {
        return Ok(None);
    }
    Ok(Some(json::read(&dir.join(FACTS))?.unwrap_or_default()))
}

fn layer_dir(store: &Store, digest: &str) -> PathBuf {
    store.layers().join(digest.replacen(':', "-", 1))
}

fn flush(dir: &Path) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let dir = fs::File::open(dir)?;
    // SAFETY: an open descriptor and nothing else.
    match unsafe { libc::syncfs(dir.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The layers that neither an image (`named`) nor a container uses.
pub(super) fn unused(store: &Store, named: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    let mut used = named.clone();
    for id in store.ids()? {
        used.extend(store.bundle(&id).config()?.into_iter().flat_map(|config| config.layers));
    }
    let dir = store.layers();
    let entries = fs::read_dir(&dir).map_err(Error::store("read", &dir))?.flatten();
    let digests = entries.filter_map(|entry| {
        let hex = entry.file_name().to_str()?.strip_prefix("sha256-")?.to_owned();
        Some(format!("sha256:{hex}"))
    });
    Ok(digests.filter(|digest| !used.contains(digest)).collect())
}

/// Delete the layers that neither an image (`named`) nor a container uses; returns their digests. The store's
/// lock must be held.
pub(super) fn collect(store: &Store, named: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    let unused = unused(store, named)?;
    for digest in &unused {
        // Renamed first, so that a kill cannot leave half a layer under a whole layer's name.
        let place = layer_dir(store, digest);
        let short: String = digest.trim_start_matches("sha256:").chars().take(12).collect();
        let gone = store.layers().join(Maker::current(&ProcessId::current()).being_deleted(&short));
        fs::rename(&place, &gone).map_err(Error::store("remove", &place))?;
        fs::remove_dir_all(&gone).map_err(Error::store("remove", &gone))?;
    }
    Ok(unused)
}
