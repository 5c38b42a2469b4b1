//! Whose layer it is: engines that keep a container's files in a layer with a name of its own write down which
//! container that is.

use crate::limits::read::Root;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// The engine and the id of the container that owns a layer of a store.
pub(super) fn owner(root: &Root, engine: &str, store: &str, layer: &str) -> Option<(String, String)> {
    let store = root.join(store.trim_start_matches('/'));
    match engine {
        "docker" => docker(&store, layer).map(|id| ("docker".to_owned(), id)),
        "podman" => {
            let list = fs::read_to_string(store.join("overlay-containers/containers.json")).ok()?;
            storage(&list, layer)
        }
        _ => None,
    }
}

/// moby, layer/filestore.go: `DATA-ROOT/image/DRIVER/layerdb/mounts/CONTAINER/{mount-id,init-id}`. They are written
/// when both layers are made, so a container whose first mount fails is not there.
fn docker(data_root: &Path, layer: &str) -> Option<String> {
    let mounts = fs::read_dir(data_root.join("image/overlay2/layerdb/mounts")).ok()?;
    let owns = |folder: &Path| {
        let names = ["mount-id", "init-id"].map(|file| fs::read_to_string(folder.join(file)));
        names.iter().flatten().any(|name| name.trim() == layer)
    };
    let owner = mounts.filter_map(Result::ok).find(|entry| owns(&entry.path()))?;
    Some(owner.file_name().to_string_lossy().into_owned())
}

/// containers/storage's list, which podman and CRI-O share; CRI-O's metadata names the pod.
fn storage(list: &str, layer: &str) -> Option<(String, String)> {
    let all: Value = serde_json::from_str(list).ok()?;
    let container = all.as_array()?.iter().find(|container| container["layer"].as_str() == Some(layer))?;
    let metadata = container["metadata"].as_str().unwrap_or_default();
    let engine = if metadata.contains("\"pod-id\"") { "cri-o" } else { "podman" };
    Some((engine.to_owned(), container["id"].as_str()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_layers_of_a_docker_container_lead_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let id = "ab".repeat(32);
        let mounts = dir.path().join("srv/d/image/overlay2/layerdb/mounts").join(&id);
        fs::create_dir_all(&mounts).unwrap();
        fs::write(mounts.join("mount-id"), "cd").unwrap();
        fs::write(mounts.join("init-id"), "cd-init").unwrap();
        let root = Root::at(dir.path());
        for layer in ["cd", "cd-init"] {
            assert_eq!(owner(&root, "docker", "/srv/d", layer), Some(("docker".into(), id.clone())));
        }
        assert_eq!(owner(&root, "docker", "/srv/d", "ce"), None);
    }

    #[test]
    fn the_storage_list_leads_from_the_layer_to_the_container() {
        let list = r#"[{"id":"aa","layer":"l1","metadata":"{\"name\":\"web\"}"},
            {"id":"bb","layer":"l2","metadata":"{\"pod-id\":\"p\",\"pod-name\":\"web\"}"}]"#;
        assert_eq!(storage(list, "l1"), Some(("podman".into(), "aa".into())));
        assert_eq!(storage(list, "l2"), Some(("cri-o".into(), "bb".into())));
        assert_eq!(storage(list, "l3"), None);
    }
}
