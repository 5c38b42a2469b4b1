//! Which images an archive holds, in the two formats: an OCI layout (OCI image specification, "Image Layout") and
//! what `docker save` writes (moby: image/spec/v1.2.md).

use std::collections::BTreeSet;

use oci_spec::image::{Descriptor, ImageIndex, ImageManifest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use super::platform::Platform;
use super::source::Source;
use crate::id::hex;

/// Most bytes of a manifest, an index or a config.
pub(in crate::image) const MAX_JSON: u64 = 16 << 20;
/// An index in an index in an index …
pub(in crate::image) const MAX_DEPTH: usize = 4;
/// More layers than overlayfs stacks (kernel: OVL_MAX_STACK), and more than any builder makes.
const MAX_LAYERS: usize = 500;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const FULL_NAME: &str = "io.containerd.image.name";

/// An image of the source, not looked into yet.
#[derive(Debug)]
pub(in crate::image) struct Found {
    pub(in crate::image) names: Vec<String>,
    /// Only a tag is known, not what it is a tag of.
    pub(in crate::image) tag: Option<String>,
    /// Digest of the manifest, where there is one.
    pub(in crate::image) manifest: Option<String>,
    pub(in crate::image) config: Blob,
    pub(in crate::image) layers: Vec<Blob>,
}

/// A file of the source and what its bytes must be.
#[derive(Debug, Clone)]
pub(in crate::image) struct Blob {
    pub(in crate::image) file: String,
    /// Hexadecimal digits of the SHA-256 over the file as it lies there, where something says so.
    pub(in crate::image) sha256: Option<String>,
    pub(in crate::image) size: Option<u64>,
}

/// The images in the source that fit the platform. The error is a reason.
pub(in crate::image) fn find(source: &Source, platform: &Platform) -> Result<Vec<Found>, String> {
    // Newer versions of docker write both; only the OCI layout has a digest for everything.
    if let Some(index) = source.small("index.json", MAX_JSON)? {
        return in_layout(source, &parse("index.json", &index)?, platform);
    }
    match source.small("manifest.json", MAX_JSON)? {
        Some(manifest) => of_docker(&parse::<Vec<DockerManifest>>("manifest.json", &manifest)?),
        None => Err("it has neither an index.json (OCI) nor a manifest.json (docker save); \
                     a plain root file system is imported"
            .to_owned()),
    }
}

pub(in crate::image) fn parse<T: DeserializeOwned>(name: &str, text: &[u8]) -> Result<T, String> {
    serde_json::from_slice(text).map_err(|e| format!("{name}: {e}"))
}

/// One image of `manifest.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DockerManifest {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

fn of_docker(manifests: &[DockerManifest]) -> Result<Vec<Found>, String> {
    let found = |manifest: &DockerManifest| {
        let layers = manifest.layers.as_deref().unwrap_or_default();
        check_count(layers.len())?;
        // The config's name is its digest; layers are known by the digests in the config alone.
        let stem = manifest.config.rsplit('/').next().unwrap_or_default().trim_end_matches(".json");
        let blob = |file: &String, sha256| Blob { file: file.clone(), sha256, size: None };
        Ok(Found {
            names: manifest.repo_tags.clone().unwrap_or_default(),
            tag: None,
            manifest: None,
            config: blob(&manifest.config, is_sha256(stem).then(|| stem.to_owned())),
            layers: layers.iter().map(|file| blob(file, None)).collect(),
        })
    };
    manifests.iter().map(found).collect()
}

fn in_layout(source: &Source, index: &ImageIndex, platform: &Platform) -> Result<Vec<Found>, String> {
    let mut search = Search { source, platform, others: BTreeSet::new(), found: Vec::new() };
    for descriptor in index.manifests() {
        search.descend(descriptor, descriptor, 0)?;
    }
    match search.found.is_empty() {
        false => Ok(search.found),
        true if search.others.is_empty() => Err("its index names no image".to_owned()),
        true => {
            let others: Vec<String> = search.others.into_iter().collect();
            Err(format!("it holds no image for {platform}, but for {}", others.join(", ")))
        }
    }
}

struct Search<'a> {
    source: &'a Source,
    platform: &'a Platform,
    /// Platforms passed over.
    others: BTreeSet<String>,
    found: Vec<Found>,
}

impl Search<'_> {
    /// Below `named`, a descriptor of the layout's index, which has the name. Of an index within it the first
    /// manifest that fits is taken. True when one was.
    fn descend(&mut self, named: &Descriptor, at: &Descriptor, depth: usize) -> Result<bool, String> {
        if depth > MAX_DEPTH {
            return Err(format!("its indexes are nested more than {MAX_DEPTH} deep"));
        }
        if let Some(platform) = at.platform()
            && !self.platform.fits(platform.os(), platform.architecture(), platform.variant().as_deref())
        {
            let name = Platform::name(platform.os(), platform.architecture(), platform.variant().as_deref());
            // Attestations of the build are listed as images for no platform.
            self.others.extend(Some(name).filter(|name| !name.contains("unknown")));
            return Ok(false);
        }
        let kind = at.media_type().to_string();
        if is_index(&kind) {
            let index: ImageIndex = self.json(at)?;
            for descriptor in index.manifests() {
                if self.descend(named, descriptor, depth + 1)? {
                    return Ok(true);
                }
            }
            return Ok(false);
        }
        if !is_manifest(&kind) {
            return Ok(false);
        }
        let manifest: ImageManifest = self.json(at)?;
        let Some(found) = Found::of(&manifest, at.digest().to_string())? else { return Ok(false) };
        let (names, tag) = names(named);
        self.found.push(Found { names, tag, ..found });
        Ok(true)
    }

    fn json<T: DeserializeOwned>(&self, descriptor: &Descriptor) -> Result<T, String> {
        let blob = blob(descriptor)?;
        parse(&blob.file, &blob.read(self.source)?)
    }
}

/// Whether a media type is that of an index: OCI's, or docker's manifest list.
pub(in crate::image) fn is_index(kind: &str) -> bool {
    kind.ends_with("image.index.v1+json") || kind.ends_with("manifest.list.v2+json")
}

/// Whether a media type is that of one image's manifest.
pub(in crate::image) fn is_manifest(kind: &str) -> bool {
    kind.ends_with("image.manifest.v1+json") || kind.ends_with("manifest.v2+json")
}

impl Found {
    /// What a manifest names, without a name of its own. `None` when it is an artifact that is no image: a chart,
    /// a signature.
    pub(in crate::image) fn of(manifest: &ImageManifest, digest: String) -> Result<Option<Found>, String> {
        let config = manifest.config().media_type().to_string();
        if !config.ends_with("image.config.v1+json") && !config.ends_with("container.image.v1+json") {
            return Ok(None);
        }
        check_count(manifest.layers().len())?;
        Ok(Some(Found {
            names: Vec::new(),
            tag: None,
            manifest: Some(digest),
            config: blob(manifest.config())?,
            layers: manifest.layers().iter().map(blob).collect::<Result<_, _>>()?,
        }))
    }
}

/// The names that a descriptor of the layout's index carries, or its tag.
fn names(descriptor: &Descriptor) -> (Vec<String>, Option<String>) {
    let annotation = |key| descriptor.annotations().as_ref().and_then(|all| all.get(key)).cloned();
    match (annotation(FULL_NAME), annotation(REF_NAME)) {
        (Some(name), _) => (vec![name], None),
        (None, Some(name)) if name.contains([':', '/']) => (vec![name], None),
        (None, tag) => (Vec::new(), tag),
    }
}

fn blob(descriptor: &Descriptor) -> Result<Blob, String> {
    let digest = descriptor.digest().to_string();
    let hex = digest.strip_prefix("sha256:").filter(|hex| is_sha256(hex));
    let hex = hex.ok_or_else(|| format!("the digest {digest:?} is none of SHA-256"))?;
    Ok(Blob {
        file: format!("blobs/sha256/{hex}"),
        sha256: Some(hex.to_owned()),
        size: Some(descriptor.size()),
    })
}

impl Blob {
    /// `sha256:<hex>`; empty where nothing says so, which no manifest of a registry allows.
    pub(in crate::image) fn digest(&self) -> String {
        self.sha256.as_ref().map_or(String::new(), |hex| format!("sha256:{hex}"))
    }

    /// All of a small blob, verified.
    pub(in crate::image) fn read(&self, source: &Source) -> Result<Vec<u8>, String> {
        let bytes = source.small(&self.file, MAX_JSON)?;
        let bytes = bytes.ok_or_else(|| format!("{} is missing", self.file))?;
        self.verify(bytes.len() as u64, &hex(&Sha256::digest(&bytes)))?;
        Ok(bytes)
    }

    /// Whether length and digest are those that were announced.
    pub(in crate::image) fn verify(&self, size: u64, sha256: &str) -> Result<(), String> {
        if let Some(announced) = self.size.filter(|announced| *announced != size) {
            return Err(format!("{} has {size} bytes, not the {announced} announced", self.file));
        }
        match &self.sha256 {
            Some(announced) if announced != sha256 => {
                Err(format!("{} was changed: its digest is sha256:{sha256}", self.file))
            }
            _ => Ok(()),
        }
    }
}

fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn check_count(layers: usize) -> Result<(), String> {
    match layers {
        0 => Err("an image in it has no layer".to_owned()),
        many if many > MAX_LAYERS => Err(format!("an image in it has more than {MAX_LAYERS} layers")),
        _ => Ok(()),
    }
}
