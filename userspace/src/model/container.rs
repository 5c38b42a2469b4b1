//! Who a failure belongs to.

use serde::{Deserialize, Serialize};

/// A cgroup as the kernel numbers it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CgroupId {
    /// `v2`, or the v1 controller: `pids`, `memory`, `cpu`, …
    pub hierarchy: String,
    /// `kernfs_node.id`, which is also the inode number of the cgroup's directory.
    pub id: u64,
}

/// A container's identity. It outlives the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Container {
    /// `diag` (the bundled engine), `docker`, `podman`, `containerd`, …
    pub engine: String,
    pub id: String,
    pub name: Option<String>,
    pub image: Option<String>,
    /// The path below the cgroup mount, e.g. `/diag/4f2a…`.
    pub cgroup: Option<String>,
    /// `created`, `running`, `exited (1)`, `failed`, `removed`: the last state seen.
    pub state: Option<String>,
}

impl Container {
    /// The name if it has one, else the first twelve digits of its id.
    pub fn label(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.id.get(..12).unwrap_or(&self.id))
    }
}
