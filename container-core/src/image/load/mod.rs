//! Taking images over from archives and folders that other tools wrote.
//!
//! Everything is verified on its way in: each blob by the digest that names it, over the bytes as they lie there, and
//! each layer by the digest in the image's config, over the uncompressed stream (OCI: DiffID). A layer that is in
//! the store already is not read again.

pub(super) mod manifest;
pub(super) mod platform;
pub(super) mod source;

use std::io::{self, BufReader, Read};
use std::path::Path;

use oci_spec::image::ImageConfiguration;
use sha2::{Digest, Sha256};

use super::archive::Ending;
use super::config::ImageConfig;
use super::layer::{self, Draft, Facts, NewLayer};
use super::{Image, archive, compression, put, reference};
use crate::clock;
use crate::error::Error;
use crate::id::hex;
use crate::store::Store;
use manifest::{Blob, Found};
use platform::Platform;
use source::Source;

/// How often layers may vanish under our hands (another process removes images) before we give up.
const ATTEMPTS: usize = 5;

/// What to take of an archive, and how to call it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// The image's name, in place of those in the archive. Needed when it has none.
    pub name: Option<String>,
    /// `os/architecture[/variant]`, where it is not this machine's.
    pub platform: Option<String>,
}

/// An image read and verified, its new layers beside their places.
struct Ready {
    names: Vec<String>,
    image: Image,
    fresh: Vec<NewLayer>,
}

/// How a reason becomes the error of whoever takes images over.
pub(super) type Refuse<'a> = dyn Fn(String) -> Error + 'a;

/// Load every image of `path` that fits. All of them, or none.
pub(crate) fn load(store: &Store, path: &Path, options: &LoadOptions) -> Result<Vec<Image>, Error> {
    let refuse = |reason: String| Error::NotAnImage { path: path.to_owned(), reason };
    let platform = Platform::asked(options.platform.as_deref())?;
    let source = Source::open(path, store)?;
    let found = manifest::find(&source, &platform).map_err(refuse)?;
    if found.is_empty() {
        return Err(refuse("it names no image".to_owned()));
    }
    let names = name_all(&found, options.name.as_deref()).map_err(refuse)?;
    take_over(store, &source, &found, &names, &platform, &refuse)
}

/// Read, verify and keep the images found in a source, each under its names. All of them, or none.
pub(super) fn take_over(
    store: &Store,
    source: &Source,
    found: &[Found],
    names: &[Vec<String>],
    platform: &Platform,
    refuse: &Refuse<'_>,
) -> Result<Vec<Image>, Error> {
    for _ in 0..ATTEMPTS {
        let mut ready = Vec::new();
        for (found, names) in found.iter().zip(names) {
            ready.push(prepare(store, source, found, names, platform, refuse)?);
        }
        if let Some(images) = settle(store, &ready)? {
            return Ok(images);
        }
    }
    Err(refuse("layers of it that are in the store are being removed at the same time".to_owned()))
}

/// The names for each image: given, or its own, or its tag of the name given.
fn name_all(found: &[Found], given: Option<&str>) -> Result<Vec<Vec<String>>, String> {
    let of = |image: &Found| -> Result<Vec<String>, String> {
        let names = match (given, &image.tag) {
            (None, _) => image.names.clone(),
            (Some(name), _) if found.len() == 1 => vec![name.to_owned()],
            (Some(name), Some(tag)) => vec![format!("{name}:{tag}")],
            (Some(_), None) => {
                return Err("it holds several images: they cannot all have one name".to_owned());
            }
        };
        if names.is_empty() {
            let tag = image.tag.as_ref().map_or(String::new(), |tag| format!(" but the tag {tag:?}"));
            return Err(format!("its image has no name{tag}: give it one"));
        }
        names.iter().map(|name| reference::canonical(name).map_err(|e| e.to_string())).collect()
    };
    found.iter().map(of).collect()
}

/// Read one image's config and those of its layers that the store lacks.
fn prepare(
    store: &Store,
    source: &Source,
    found: &Found,
    names: &[String],
    platform: &Platform,
    refuse: &Refuse<'_>,
) -> Result<Ready, Error> {
    let text = found.config.read(source).map_err(refuse)?;
    let config: ImageConfiguration = serde_json::from_slice(&text)
        .map_err(|e| refuse(format!("its config {}: {e}", found.config.file)))?;
    let variant = config.variant().as_deref();
    let is_for = Platform::name(config.os(), config.architecture(), variant);
    if !platform.fits(config.os(), config.architecture(), variant) {
        return Err(refuse(format!("its image is for {is_for}, not for {platform}")));
    }
    let diff_ids = config.rootfs().diff_ids();
    if diff_ids.len() != found.layers.len() {
        let (layers, ids) = (found.layers.len(), diff_ids.len());
        return Err(refuse(format!("it has {layers} layers, but its config names {ids}")));
    }
    let mut image = Image {
        id: Some(format!("sha256:{}", hex(&Sha256::digest(&text)))),
        manifest: found.manifest.clone(),
        platform: Some(is_for),
        config: ImageConfig::of(config.config().as_ref()),
        created_unix_ns: clock::unix_ns(),
        ..Image::default()
    };
    let mut fresh: Vec<NewLayer> = Vec::new();
    for (index, (diff_id, blob)) in diff_ids.iter().zip(&found.layers).enumerate() {
        // Overlayfs refuses a folder that is there twice, and of two equal layers only the upper one shows.
        if diff_ids[index + 1..].contains(diff_id) {
            continue;
        }
        let facts = match layer::facts(store, diff_id)? {
            Some(facts) => facts,
            None => {
                let layer = read_layer(source, blob, diff_id, Draft::new(store)?)
                    .map_err(|reason| refuse(format!("layer {}: {reason}", blob.file)))?;
                let facts = Facts { bytes: layer.bytes, entries: layer.entries };
                fresh.push(layer);
                facts
            }
        };
        image.bytes += facts.bytes;
        image.entries += facts.entries;
        image.layers.push(diff_id.clone());
    }
    Ok(Ready { names: names.to_vec(), image, fresh })
}

/// One layer into its draft, both digests verified.
fn read_layer(source: &Source, blob: &Blob, diff_id: &str, draft: Draft) -> Result<NewLayer, String> {
    let reading = source.file(&blob.file)?.ok_or("it is missing")?;
    if let Some(announced) = blob.size.filter(|announced| *announced != reading.size) {
        return Err(format!("it has {} bytes, not the {announced} announced", reading.size));
    }
    let counted = Counted { inner: reading.content, hash: Sha256::new(), bytes: 0 };
    let mut raw = BufReader::with_capacity(256 * 1024, counted);
    let layer = archive::unpack(compression::decompressed(&mut raw)?, draft, Ending::Vouched)?;
    // What lies behind the compressed stream is covered by the digest too.
    io::copy(&mut raw, &mut io::sink()).map_err(|e| e.to_string())?;
    let Counted { hash, bytes, .. } = raw.into_inner();
    if bytes != reading.size {
        return Err(format!("it ends after {bytes} of {} bytes", reading.size));
    }
    blob.verify(bytes, &hex(&hash.finalize()))?;
    match layer.digest == diff_id {
        true => Ok(layer),
        false => Err(format!("it was changed: unpacked it is {}, not {diff_id}", layer.digest)),
    }
}

/// Everything to its place under the store's lock; `None` when a layer that was there has gone meanwhile.
fn settle(store: &Store, ready: &[Ready]) -> Result<Option<Vec<Image>>, Error> {
    let _lock = store.lock()?;
    for layer in ready.iter().flat_map(|ready| &ready.fresh) {
        layer.settle(store)?;
    }
    for digest in ready.iter().flat_map(|ready| &ready.image.layers) {
        if layer::facts(store, digest)?.is_none() {
            return Ok(None);
        }
    }
    let named = ready
        .iter()
        .flat_map(|ready| ready.names.iter().map(|name| Image { name: name.clone(), ..ready.image.clone() }));
    let images: Vec<Image> = named.collect();
    put(store, &images)?;
    Ok(Some(images))
}

/// A blob as it lies there, hashed on its way.
struct Counted {
    inner: Box<dyn Read>,
    hash: Sha256,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}
