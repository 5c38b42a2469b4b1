//! Pulling an image from a registry (OCI distribution specification; docker's registry API v2 is the same).
//!
//! A name leads to a manifest, by way of an index where there is one for each platform; the manifest names the config,
//! and the config says what the layers unpack to, so layers that are in the store are not fetched again. The others
//! arrive side by side in the store's `downloads` (downloads.rs), each verified by its digest, and stay there when
//! the pull breaks off: the next one goes on where this one stopped. When all are there they are loaded as if another
//! tool had saved them (load/), which verifies what they unpack to.

mod credentials;
mod download;
mod downloads;
mod refusal;
mod registry;

use std::collections::BTreeSet;
use std::sync::Arc;

use oci_spec::image::{ImageConfiguration, ImageIndex, ImageManifest};
use sha2::{Digest, Sha256};
use tokio::task::JoinSet;

use super::load::manifest::{self, Blob, Found};
use super::load::platform::Platform;
use super::{Image, layer, load, reference};
use crate::error::Error;
use crate::id::hex;
use crate::store::Store;
use downloads::Downloads;
pub use refusal::Refusal;
use registry::Registry;

/// As many layers at a time as docker takes: more connections make none faster.
const SIDE_BY_SIDE: usize = 3;

/// Which image, and how to reach it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PullOptions {
    /// `os/architecture[/variant]`, where it is not this machine's.
    pub platform: Option<String>,
    /// Also a registry that does not prove who it is, and one without TLS. Loopback addresses need no permission.
    pub insecure: bool,
}

/// What a pull tells while it works, for progress bars. Digests are `sha256:<hex>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PullEvent {
    /// The layer is in the store.
    Present {
        /// Of the layer as the registry has it.
        digest: String,
    },
    /// A layer begins to arrive, or begins again.
    Begun {
        /// Of the layer as the registry has it.
        digest: String,
        /// Bytes in all.
        size: u64,
        /// Bytes that an earlier attempt left.
        from: u64,
    },
    /// Bytes have arrived.
    Received {
        /// Of the layer as the registry has it.
        digest: String,
        /// How many more.
        bytes: u64,
    },
    /// The layer is whole, and is what its digest says.
    Complete {
        /// Of the layer as the registry has it.
        digest: String,
    },
    /// Everything has arrived and is being unpacked.
    Unpacking,
}

/// Who hears the events. Called from one thread at a time.
pub type PullListener = Arc<dyn Fn(PullEvent) + Send + Sync>;

/// Pull the image `name` and keep it under that name.
pub(crate) fn pull(
    store: &Store,
    name: &str,
    options: &PullOptions,
    listener: &PullListener,
) -> Result<Image, Error> {
    let own_name = reference::canonical(name)?;
    let platform = Platform::asked(options.platform.as_deref())?;
    let refuse = |refusal: Refusal| Error::Pull { image: name.to_owned(), refusal: Box::new(refusal) };
    let downloads = Arc::new(Downloads::open(store)?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::store("start a runtime for", downloads.dir()))?;
    let found = runtime.block_on(async {
        let registry = Registry::connect(name, options.insecure).await?;
        fetch(store, Arc::new(registry), &downloads, &platform, listener).await
    });
    drop(runtime);
    let found = found.map_err(refuse)?;
    listener(PullEvent::Unpacking);
    let unfit = |reason: String| refuse(Refusal::of_unpacking(store.root(), reason));
    let (source, names) = (downloads.source()?, [vec![own_name]]);
    let images = load::take_over(store, &source, std::slice::from_ref(&found), &names, &platform, &unfit);
    // What cannot be unpacked will not get better by keeping it; on a full disk there was only no room for it.
    let is_full = |error: &Error| matches!(error, Error::Pull { refusal, .. } if matches!(**refusal, Refusal::Disk { .. }));
    if !images.as_ref().is_err_and(is_full) {
        downloads.discard(&found);
    }
    images?.pop().ok_or_else(|| unfit("nothing came of it".to_owned()))
}

/// Everything that the image needs and the store lacks, into `downloads`.
async fn fetch(
    store: &Store,
    registry: Arc<Registry>,
    downloads: &Arc<Downloads>,
    platform: &Platform,
    listener: &PullListener,
) -> Result<Found, Refusal> {
    let found = find(&registry, platform).await?;
    let quiet: PullListener = Arc::new(|_| ());
    download::blob(&registry, downloads, &found.config, &quiet).await?;
    let missing = missing_layers(store, downloads, &found, listener)?;
    let mut waiting = missing.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < SIDE_BY_SIDE
            && let Some(blob) = waiting.next()
        {
            let (registry, downloads, listener) = (registry.clone(), downloads.clone(), listener.clone());
            running.spawn(async move { download::blob(&registry, &downloads, &blob, &listener).await });
        }
        match running.join_next().await {
            // The first failure ends the pull; what the others have is kept, for the set aborts them.
            Some(Ok(done)) => done?,
            Some(Err(error)) => return Err(Refusal::NotAnImage { reason: error.to_string() }),
            None => return Ok(found),
        }
    }
}

/// The layers to be fetched, each once.
fn missing_layers(
    store: &Store,
    downloads: &Downloads,
    found: &Found,
    listener: &PullListener,
) -> Result<Vec<Blob>, Refusal> {
    let unfit = |reason: String| Refusal::NotAnImage { reason };
    let text = downloads.small(&found.config).map_err(unfit)?;
    let config: ImageConfiguration = manifest::parse("its config", &text).map_err(unfit)?;
    let mut seen = BTreeSet::new();
    let mut missing = Vec::new();
    let mut diff_ids = config.rootfs().diff_ids().iter();
    for blob in &found.layers {
        let known = diff_ids.next().map(|diff_id| layer::facts(store, diff_id));
        // A damaged figure beside a layer is found out when it is loaded.
        if matches!(known, Some(Ok(Some(_)))) {
            listener(PullEvent::Present { digest: blob.digest() });
        } else if seen.insert(blob.file.clone()) {
            missing.push(blob.clone());
        }
    }
    Ok(missing)
}

/// The manifest for the platform, through indexes.
async fn find(registry: &Registry, platform: &Platform) -> Result<Found, Refusal> {
    let unfit = |reason: String| Refusal::NotAnImage { reason };
    let mut digest: Option<String> = None;
    for _ in 0..=manifest::MAX_DEPTH {
        let text = registry.manifest(digest.as_deref()).await?;
        let own_digest = format!("sha256:{}", hex(&Sha256::digest(&text)));
        let value: serde_json::Value = manifest::parse("its manifest", &text).map_err(unfit)?;
        let kind = value["mediaType"].as_str().unwrap_or_default();
        // OCI lets the media type be left out.
        if manifest::is_index(kind) || (kind.is_empty() && value["manifests"].is_array()) {
            let index: ImageIndex = manifest::parse("its index", &text).map_err(unfit)?;
            digest = Some(choose(&index, platform)?);
            continue;
        }
        let is_image = manifest::is_manifest(kind) || (kind.is_empty() && value["layers"].is_array());
        if !is_image {
            return Err(unfit(format!("its manifest is of the kind {kind:?}")));
        }
        let image: ImageManifest = manifest::parse("its manifest", &text).map_err(unfit)?;
        let found = Found::of(&image, own_digest).map_err(unfit)?;
        return found
            .ok_or_else(|| unfit("it is an artifact, a chart or a signature for example".to_owned()));
    }
    Err(unfit(format!("its indexes are nested more than {} deep", manifest::MAX_DEPTH)))
}

/// The first entry of an index that fits, or is an index itself.
fn choose(index: &ImageIndex, platform: &Platform) -> Result<String, Refusal> {
    let mut others = BTreeSet::new();
    for entry in index.manifests() {
        let kind = entry.media_type().to_string();
        let is_for = entry.platform().as_ref();
        let fits = is_for.is_none_or(|is_for| {
            platform.fits(is_for.os(), is_for.architecture(), is_for.variant().as_deref())
        });
        if fits && (manifest::is_index(&kind) || manifest::is_manifest(&kind)) {
            return Ok(entry.digest().to_string());
        }
        let name = is_for.map(|p| Platform::name(p.os(), p.architecture(), p.variant().as_deref()));
        // Attestations of the build are listed as images for no platform.
        others.extend(name.filter(|name| !name.contains("unknown")));
    }
    Err(Refusal::OtherPlatform { wanted: platform.to_string(), there: others.into_iter().collect() })
}
