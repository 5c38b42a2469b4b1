//! Images as other tools save them, made by hand: layers, an OCI layout, a docker-archive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use container_core::{Engine, Error, Image, LoadOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

use crate::scene::{Scene, busybox};

/// An archive in memory. Names are written raw: the tar crate refuses to write what an attacker would.
pub(crate) struct Tar(Builder<Vec<u8>>);

impl Tar {
    pub(crate) fn new() -> Tar {
        Tar(Builder::new(Vec::new()))
    }

    pub(crate) fn header(name: &str, kind: EntryType, link: &str, size: usize) -> Header {
        let mut header = Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_gnu_mut().unwrap().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o755);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(size as u64);
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_cksum();
        header
    }

    pub(crate) fn add(mut self, name: &str, kind: EntryType, link: &str, data: &[u8]) -> Tar {
        self.0.append(&Tar::header(name, kind, link, data.len()), data).unwrap();
        self
    }

    pub(crate) fn file(self, name: &str, data: &[u8]) -> Tar {
        self.add(name, EntryType::Regular, "", data)
    }

    pub(crate) fn dir(self, name: &str) -> Tar {
        self.add(name, EntryType::Directory, "", b"")
    }

    pub(crate) fn pax(mut self, pairs: &[(&str, &[u8])]) -> Tar {
        self.0.append_pax_extensions(pairs.iter().copied()).unwrap();
        self
    }

    pub(crate) fn done(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(crate) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub(crate) fn base_layer() -> Vec<u8> {
    let passwd = b"root:x:0:0::/root:/bin/sh\nweb:x:33:34::/srv:/bin/sh\n";
    Tar::new()
        .dir("bin/")
        .file("bin/busybox", &fs::read(busybox()).unwrap())
        .add("bin/sh", EntryType::Symlink, "busybox", b"")
        .dir("etc/")
        .file("etc/passwd", passwd)
        .dir("srv/")
        .file("srv/gone", b"x")
        .dir("old/")
        .file("old/below", b"x")
        .done()
}

/// Adds, hides one file and one folder's content.
pub(crate) fn upper_layer() -> Vec<u8> {
    let run = b"#!/bin/sh\necho \"run $* as $(/bin/busybox id -u) in $PWD with $A; $(/bin/busybox ls /srv /old)\"\n";
    Tar::new()
        .file("run.sh", run)
        .file("srv/.wh.gone", b"")
        .file("old/.wh..wh..opq", b"")
        .file("old/new", b"")
        .done()
}

pub(crate) fn config(layers: &[&[u8]]) -> Value {
    let diff_ids: Vec<String> = layers.iter().map(|layer| format!("sha256:{}", sha256(layer))).collect();
    json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }, "os": "linux",
        "config": {
            "Entrypoint": ["/run.sh"], "Cmd": ["by", "default"], "Env": ["PATH=/bin", "A=1"], "User": "web",
            "WorkingDir": "/srv", "StopSignal": "SIGUSR1", "Volumes": {"/data": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

/// An OCI layout: its files by name.
pub(crate) fn layout(config: &Value, blobs: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut put = |bytes: Vec<u8>, kind: &str| {
        let digest = sha256(&bytes);
        let size = bytes.len();
        files.push((format!("blobs/sha256/{digest}"), bytes));
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size})
    };
    let config = put(config.to_string().into_bytes(), "application/vnd.oci.image.config.v1+json");
    let layers: Vec<Value> =
        blobs.iter().map(|b| put(b.clone(), "application/vnd.oci.image.layer.v1.tar")).collect();
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config, "layers": layers});
    let mut entry = put(manifest.to_string().into_bytes(), "application/vnd.oci.image.manifest.v1+json");
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "docker.io/library/app:1"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]});
    files.push(("index.json".into(), index.to_string().into_bytes()));
    files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    files
}

pub(crate) fn docker(config: &Value, layers: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    let config = config.to_string().into_bytes();
    let name = format!("{}.json", sha256(&config));
    let paths: Vec<String> = (0..layers.len()).map(|number| format!("{number}/layer.tar")).collect();
    let manifest = json!([{"Config": name, "RepoTags": ["app:1", "app:latest"], "Layers": paths}]);
    let mut files: Vec<(String, Vec<u8>)> = paths.into_iter().zip(layers.iter().cloned()).collect();
    files.push((name, config));
    files.push(("manifest.json".into(), manifest.to_string().into_bytes()));
    files
}

pub(crate) fn pack(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    files.iter().fold(Tar::new(), |tar, (name, data)| tar.file(name, data)).done()
}

pub(crate) fn save(scene: &Scene, name: &str, bytes: &[u8]) -> PathBuf {
    let path = scene.dir.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

pub(crate) fn load(engine: &Engine, path: &Path) -> Result<Vec<Image>, Error> {
    engine.load(path, &LoadOptions::default())
}

pub(crate) fn layers(engine: &Engine) -> usize {
    fs::read_dir(engine.root().join("layers")).unwrap().count()
}

pub(crate) fn reason(result: Result<impl std::fmt::Debug, Error>) -> String {
    match result.unwrap_err() {
        Error::NotAnImage { reason, .. } => reason,
        other => panic!("{other}"),
    }
}
