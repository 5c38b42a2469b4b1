//! Which engine a cgroup path belongs to: one row per engine and driver.

/// What a cgroup path says about its container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recognised {
    pub engine: &'static str,
    pub id: String,
}

/// How a path component names a container.
struct Shape {
    engine: &'static str,
    /// The component starts with this …
    prefix: &'static str,
    /// … ends with this …
    suffix: &'static str,
    /// … and its parent is called this, when the component alone says too little.
    parent: Option<&'static str>,
}

const fn shape(engine: &'static str, prefix: &'static str, suffix: &'static str) -> Shape {
    Shape { engine, prefix, suffix, parent: None }
}

const fn below(engine: &'static str, parent: &'static str) -> Shape {
    Shape { engine, prefix: "", suffix: "", parent: Some(parent) }
}

/// systemd driver first: its scopes carry the engine's name. Then the cgroupfs driver's plain folders.
static SHAPES: &[Shape] = &[
    shape("docker", "docker-", ".scope"),
    shape("podman", "libpod-", ".scope"),
    shape("containerd", "cri-containerd-", ".scope"),
    shape("cri-o", "crio-", ".scope"),
    shape("podman", "libpod-", ""),
    below("diag", "diag"),
    below("docker", "docker"),
];

/// The container a cgroup path belongs to: the deepest component that some shape fits.
pub fn recognise(path: &str) -> Option<Recognised> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    (0..parts.len()).rev().find_map(|i| {
        let parent = i.checked_sub(1).map(|p| parts[p]);
        SHAPES.iter().find_map(|s| fit(s, parts[i], parent))
    })
}

fn fit(s: &Shape, part: &str, parent: Option<&str>) -> Option<Recognised> {
    if s.parent.is_some() && s.parent != parent {
        return None;
    }
    let id = part.strip_prefix(s.prefix)?.strip_suffix(s.suffix)?;
    // Every engine here uses 64 hexadecimal digits; `libpod-conmon-…` and user slices do not.
    let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    is_id.then(|| Recognised { engine: s.engine, id: id.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f2a9c0d1e2b3a4f5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3";

    #[test]
    fn each_engine_is_known_by_its_path() {
        for (path, engine) in [
            (format!("/diag/{ID}"), "diag"),
            (format!("/docker/{ID}"), "docker"),
            (format!("/system.slice/docker-{ID}.scope"), "docker"),
            (format!("/machine.slice/libpod-{ID}.scope/container"), "podman"),
            (format!("/kubepods.slice/kubepods-besteffort.slice/cri-containerd-{ID}.scope"), "containerd"),
            (format!("/kubepods/burstable/crio-{ID}.scope"), "cri-o"),
        ] {
            let found = recognise(&path).unwrap_or_else(|| panic!("{path}"));
            assert_eq!((found.engine, found.id.as_str()), (engine, ID), "{path}");
        }
    }

    #[test]
    fn neighbours_are_not_containers() {
        for path in ["/", "/system.slice/docker.service", "/diag", "/user.slice/diag/notes"] {
            assert_eq!(recognise(path), None, "{path}");
        }
        assert_eq!(recognise(&format!("/machine.slice/libpod-conmon-{ID}.scope")), None);
    }
}
