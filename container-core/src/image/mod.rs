//! Images: names for stacks of layers, and the layers, content-addressed and shared.
//!
//! `<root>/images.json` maps names to layers. A layer lies at `<root>/layers/sha256-<hex>/fs` (a dash where its
//! digest `sha256:<hex>` has a colon, for overlayfs separates folders by colons) and is never changed.

mod archive;
mod compression;
mod config;
mod entry;
mod extract;
mod folder;
mod layer;
mod load;
mod pull;
mod reference;
mod sparse;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::Error;
use crate::id;
use crate::store::Store;
use crate::store::json::{self, Durability};
pub use config::ImageConfig;
pub use load::LoadOptions;
pub(crate) use load::load;
pub(crate) use pull::pull;
pub use pull::{PullEvent, PullListener, PullOptions, Refusal};

/// An image as lists show it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// `name:tag`.
    pub name: String,
    /// Digest of its config, which other engines call the image's id; none for an imported root file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Digest of its manifest, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// What it was built for, `linux/amd64`; unknown for an imported root file system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// What it says about running it.
    #[serde(default)]
    pub config: ImageConfig,
    /// Digests of its layers, `sha256:<hex>`, lowest first. For an archive the digest is that of the
    /// uncompressed tar stream (OCI image specification: DiffID).
    pub layers: Vec<String>,
    /// Bytes of regular files in all layers.
    pub bytes: u64,
    /// Files, folders, links and devices in all layers.
    pub entries: u64,
    /// When it was imported, in nanoseconds since the epoch.
    pub created_unix_ns: u64,
}

/// Fewer digits than that are a name.
const SHORTEST_ID: usize = 6;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Index {
    images: Vec<Image>,
}

/// The folder that is a layer's root.
pub(crate) fn layer_tree(store: &Store, digest: &str) -> PathBuf {
    store.layers().join(digest.replacen(':', "-", 1)).join("fs")
}

/// Copy a folder with all that is in it into `to`, which exists and is empty. The error is a reason.
pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), String> {
    folder::copy(from, to)
}

/// Import a folder or an archive as `name`.
pub(crate) fn import(store: &Store, name: &str, path: &Path) -> Result<Image, Error> {
    let name = reference::canonical(name)?;
    // The lock is not held while reading: that may take minutes.
    let draft = layer::Draft::new(store)?;
    let layer = if path.is_dir() { folder::read(path, draft)? } else { archive::read(path, draft)? };
    let lock = store.lock()?;
    layer.settle(store)?;
    let image = Image {
        name,
        layers: vec![layer.digest.clone()],
        bytes: layer.bytes,
        entries: layer.entries,
        created_unix_ns: clock::unix_ns(),
        ..Image::default()
    };
    put(store, std::slice::from_ref(&image))?;
    drop(lock);
    Ok(image)
}

/// Name images, in place of those that had their names. The store's lock must be held.
fn put(store: &Store, images: &[Image]) -> Result<(), Error> {
    let mut index = load_index(store)?;
    index.images.retain(|old| images.iter().all(|new| new.name != old.name));
    index.images.extend_from_slice(images);
    save(store, &index)?;
    // The layers of images that had the names before, if nothing else uses them.
    collect(store, &index).map(drop)
}

fn collect(store: &Store, index: &Index) -> Result<Vec<String>, Error> {
    layer::collect(store, &named(index))
}

/// Layers that nothing uses, and sentences about those that are missing.
pub(crate) fn account(store: &Store) -> Result<(Vec<String>, Vec<String>), Error> {
    let index = load_index(store)?;
    let mut missing = Vec::new();
    for image in &index.images {
        for digest in image.layers.iter().filter(|digest| !layer_tree(store, digest).exists()) {
            missing.push(format!("image {} needs layer {digest}, which is not there", image.name));
        }
    }
    Ok((layer::unused(store, &named(&index))?, missing))
}

/// Delete the layers that nothing uses; returns their digests.
pub(crate) fn collect_unused(store: &Store) -> Result<Vec<String>, Error> {
    let _lock = store.lock()?;
    collect(store, &load_index(store)?)
}

fn named(index: &Index) -> BTreeSet<String> {
    index.images.iter().flat_map(|image| image.layers.clone()).collect()
}

/// All images, by name.
pub(crate) fn list(store: &Store) -> Result<Vec<Image>, Error> {
    let mut images = load_index(store)?.images;
    images.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(images)
}

/// The image that `name` means: a name, or an id or the start of one, with or without `sha256:`.
pub(crate) fn find(store: &Store, name: &str) -> Result<Image, Error> {
    let missing = || Error::NoSuchImage { name: name.to_owned() };
    let images = load_index(store)?.images;
    let by_name = reference::canonical(name);
    if let Ok(wanted) = &by_name
        && let Some(image) = images.iter().find(|image| image.name == *wanted)
    {
        return Ok(image.clone());
    }
    let digits = name.strip_prefix("sha256:").unwrap_or(name);
    if digits.len() < SHORTEST_ID || !id::is_id_prefix(digits) {
        return Err(by_name.err().unwrap_or_else(missing));
    }
    let is_meant = |image: &Image| {
        image.id.as_ref().and_then(|id| id.strip_prefix("sha256:")).is_some_and(|id| id.starts_with(digits))
    };
    let mut meant: Vec<Image> = images.into_iter().filter(is_meant).collect();
    // Several names of one image are one image.
    meant.dedup_by(|a, b| a.id == b.id);
    match meant.len() {
        0 => Err(missing()),
        1 => Ok(meant.remove(0)),
        _ => Err(Error::Ambiguous {
            query: name.to_owned(),
            matches: meant.into_iter().map(|image| image.name).collect(),
        }),
    }
}

/// Forget an image that no container was made from; returns the layers deleted.
pub(crate) fn remove(store: &Store, name: &str) -> Result<Vec<String>, Error> {
    let _lock = store.lock()?;
    let image = find(store, name)?;
    for id in store.ids()? {
        if let Some(config) = store.bundle(&id).config()?
            && config.container.image == image.name
        {
            return Err(Error::ImageInUse { name: image.name, container: config.container.name });
        }
    }
    let mut index = load_index(store)?;
    index.images.retain(|other| other.name != image.name);
    save(store, &index)?;
    collect(store, &index)
}

fn load_index(store: &Store) -> Result<Index, Error> {
    Ok(json::read(&store.images_file())?.unwrap_or_default())
}

fn save(store: &Store, index: &Index) -> Result<(), Error> {
    let path = store.images_file();
    json::write(&path, index, Durability::Flushed).map_err(Error::store("write", &path))
}
