//! Where a controller's cgroups are, on any layout.

use anyhow::bail;
use std::fs;
use std::path::{Path, PathBuf};

/// A mounted hierarchy, and where this process is in it.
pub(super) struct Hierarchy {
    pub(super) top: PathBuf,
    pub(super) own: PathBuf,
    pub(super) v1: bool,
}

/// The hierarchy that has a controller: v1, v2, or v2 beside v1.
pub(super) fn of(controller: &str) -> anyhow::Result<Hierarchy> {
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let base = Path::new("/sys/fs/cgroup");
    for (top, v1) in [(base.join(controller), true), (base.to_owned(), false), (base.join("unified"), false)]
    {
        let listed = fs::read_to_string(top.join("cgroup.controllers")).unwrap_or_default();
        let usable = match v1 {
            true => top.join("cgroup.procs").exists() && listed.is_empty(),
            false => listed.split_whitespace().any(|c| c == controller),
        };
        let wanted = if v1 { controller } else { "" };
        let path = own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            controllers.split(',').any(|c| c == wanted).then(|| path.trim_start_matches('/').to_owned())
        });
        if let (true, Some(path)) = (usable, path) {
            return Ok(Hierarchy { own: top.join(path), top, v1 });
        }
    }
    bail!("no cgroup hierarchy with the {controller} controller is mounted below /sys/fs/cgroup")
}
