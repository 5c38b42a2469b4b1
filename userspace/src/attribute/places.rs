//! Paths that belong to one container: engines lay their files out by container or by layer, and a call on such a
//! path is work for that container, whoever makes it.

use super::recognise;

/// Whose a path is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The path holds the container's own id.
    Container { engine: &'static str, id: String },
    /// It is in a layer of an engine's store, whose files say which container's layer that is.
    Layer { engine: &'static str, store: String, layer: String },
}

/// The container a system call's text is about: a path, or the options of an overlay mount.
pub fn place_in(text: &str) -> Option<Place> {
    // `lowerdir=A:B,upperdir=C`
    text.split([',', '=', ':']).filter(|piece| piece.starts_with('/')).find_map(of_path)
}

fn of_path(path: &str) -> Option<Place> {
    // A cgroup that is mounted, or written to, for the container.
    if path.starts_with("/sys/fs/cgroup/") {
        return recognise(path).map(|found| Place::Container { engine: found.engine, id: found.id });
    }
    let parts: Vec<&str> = path.split('/').collect();
    let container = |engine, id: &str| Some(Place::Container { engine, id: id.to_owned() });
    parts.iter().enumerate().find_map(|(at, part)| {
        let behind = |n: usize| parts.get(at + n).copied().filter(|part| !part.is_empty());
        let hex = |n: usize| behind(n).filter(|part| is_id(part));
        let layer = |engine, name: &str| {
            let store = parts[..at].join("/");
            Some(Place::Layer { engine, store, layer: name.to_owned() })
        };
        match *part {
            // containerd, core/runtime/v2/bundle.go: STATE/io.containerd.runtime.v2.task/NAMESPACE/ID
            "io.containerd.runtime.v2.task" => match (behind(1)?, behind(2)?) {
                ("moby", id) => container("docker", id),
                (_, id) => container("containerd", id),
            },
            // containers/storage, store.go: ROOT/overlay-containers/ID
            "overlay-containers" => container("podman", hex(1)?),
            // moby, daemon/snapshotter/mount.go: DATA-ROOT/rootfs/SNAPSHOTTER/ID
            "rootfs" => container("docker", hex(2)?),
            // moby, daemon/container/container.go: DATA-ROOT/containers/ID/mounts/shm
            "containers" if behind(2) == Some("mounts") => container("docker", hex(1)?),
            // moby, daemon/graphdriver/overlay2: DATA-ROOT/overlay2/LAYER/merged, and LAYER-init while it is made.
            "overlay2" => {
                let name = behind(1)?;
                is_id(name.strip_suffix("-init").unwrap_or(name)).then(|| layer("docker", name)).flatten()
            }
            // containers/storage, drivers/overlay/overlay.go: ROOT/overlay/LAYER/merged
            "overlay" => layer("podman", hex(1)?),
            _ => None,
        }
    })
}

/// Both engines make ids and names of layers of 32 random bytes.
fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f2a9c0d1e2b3a4f5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3";

    fn container(engine: &'static str, id: &str) -> Option<Place> {
        Some(Place::Container { engine, id: id.into() })
    }

    fn layer(engine: &'static str, store: &str, layer: &str) -> Option<Place> {
        Some(Place::Layer { engine, store: store.into(), layer: layer.into() })
    }

    #[test]
    fn paths_with_an_id_name_their_container() {
        let docker = format!("/run/docker/containerd/daemon/io.containerd.runtime.v2.task/moby/{ID}/rootfs");
        assert_eq!(place_in(&docker), container("docker", ID));
        let ctr = "/run/containerd/io.containerd.runtime.v2.task/default/web/rootfs";
        assert_eq!(place_in(ctr), container("containerd", "web"));
        let podman = format!("/var/lib/containers/storage/overlay-containers/{ID}/userdata/shm");
        assert_eq!(place_in(&podman), container("podman", ID));
        assert_eq!(place_in(&format!("/sys/fs/cgroup/cpu/docker/{ID}")), container("docker", ID));
        assert_eq!(place_in(&format!("/srv/d/containers/{ID}/mounts/shm")), container("docker", ID));
        assert_eq!(place_in(&format!("/var/lib/docker/rootfs/overlayfs/{ID}")), container("docker", ID));
    }

    #[test]
    fn layers_are_left_to_the_store() {
        let merged = format!("/srv/d/overlay2/{ID}-init/merged");
        assert_eq!(place_in(&merged), layer("docker", "/srv/d", &format!("{ID}-init")));
        let data = format!(
            "lowerdir=/srv/d/overlay2/l/ABC:/srv/d/overlay2/l/DEF,upperdir=/srv/d/overlay2/{ID}/diff"
        );
        assert_eq!(place_in(&data), layer("docker", "/srv/d", ID));
        assert_eq!(place_in(&format!("/p/root/overlay/{ID}/merged")), layer("podman", "/p/root", ID));
    }

    #[test]
    fn other_paths_are_nobodys() {
        for text in
            ["", "/proc", "overlay", "/var/lib/docker/overlay2/l", "/srv/containers/web/mounts", "a=b"]
        {
            assert_eq!(place_in(text), None, "{text}");
        }
        assert_eq!(place_in(&format!("/containers/{ID}/rootfs")), None, "the bundled engine's are known");
    }
}
