//! A container as its owner sees it: identity, description, state.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::lifecycle::State;
use crate::spec::Spec;

/// What every event and every list says about a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContainerRef {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its unique name.
    pub name: String,
    /// The image it was made from, `name:tag`.
    pub image: String,
}

impl ContainerRef {
    /// The first twelve digits, as lists show an id.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}

/// What is written once, when the container is created (`config.json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Config {
    /// Identity.
    #[serde(flatten)]
    pub container: ContainerRef,
    /// Digests of the image's layers, lowest first.
    pub layers: Vec<String>,
    /// The description, with its image's defaults filled in.
    pub spec: Spec,
    /// When, in nanoseconds since the epoch.
    pub created_unix_ns: u64,
}

/// One group of a container in one cgroup hierarchy, cgroups(7).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupRef {
    /// `v2`, or the name of the v1 controller: `pids`, `memory`, `cpu`.
    pub hierarchy: String,
    /// The folder.
    pub path: PathBuf,
    /// Its inode number, which is the kernel's cgroup id (`bpf_get_current_cgroup_id` for v2).
    pub id: u64,
}

/// A container with its present state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// What it is.
    #[serde(flatten)]
    pub config: Config,
    /// Where it stands.
    pub state: State,
    /// Its folder: `config.json`, `state.json`, `rootfs`, `upper`, `work`, `log`.
    pub bundle: PathBuf,
}

impl Container {
    /// Its unique name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.container.name
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.config.container.id
    }
}
