//! Podman: conmon, the process that stays with each container, is told its name; the image is in the storage.

use super::{Found, command_lines, folders, option_values};
use crate::limits::read::Root;
use serde_json::Value;
use std::fs;

const DEFAULT: &str = "var/lib/containers/storage";

pub(super) fn find(root: &Root, id: &str) -> Option<Found> {
    let mut stores = folders(root, &["podman"], "--root", DEFAULT);
    let mut found = Found::default();
    for words in command_lines(root, &["conmon"]) {
        if !option_values(&words, "-c").chain(option_values(&words, "--cid")).any(|cid| cid == id) {
            continue;
        }
        found.name =
            option_values(&words, "-n").chain(option_values(&words, "--name")).next().map(str::to_owned);
        // `-b <store>/overlay-containers/<id>/userdata`
        let bundle = option_values(&words, "-b").chain(option_values(&words, "--bundle")).next();
        let store = bundle.and_then(|bundle| bundle.split_once("/overlay-containers/"));
        stores.extend(store.map(|(store, _)| root.join(store)));
    }
    for store in stores {
        let list = fs::read_to_string(store.join("overlay-containers/containers.json")).unwrap_or_default();
        if let Some(stored) = read(&list, id) {
            found.name = found.name.or(stored.name);
            found.image = stored.image;
            break;
        }
    }
    (found != Found::default()).then_some(found)
}

/// containers/storage's list; what podman adds is JSON in a string.
fn read(list: &str, id: &str) -> Option<Found> {
    let all: Value = serde_json::from_str(list).ok()?;
    let container = all.as_array()?.iter().find(|container| container["id"].as_str() == Some(id))?;
    let metadata = container["metadata"].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let metadata = metadata.unwrap_or_default();
    Some(Found {
        name: container["names"][0].as_str().map(str::to_owned),
        image: metadata["image-name"].as_str().filter(|name| !name.is_empty()).map(str::to_owned),
        state: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conmon_has_the_name_and_the_store_the_image() {
        let dir = tempfile::tempdir().unwrap();
        let id = "cd".repeat(32);
        let process = dir.path().join("proc/9");
        let store = dir.path().join("srv/p/overlay-containers");
        fs::create_dir_all(&process).unwrap();
        fs::create_dir_all(&store).unwrap();
        fs::write(process.join("comm"), "conmon\n").unwrap();
        let line = format!("conmon\0-c\0{id}\0-b\0/srv/p/overlay-containers/{id}/userdata\0-n\0pod1\0");
        fs::write(process.join("cmdline"), line).unwrap();
        let list = format!(
            r#"[{{"id":"{id}","names":["pod1"],"metadata":"{{\"image-name\":\"localhost/bb:1\"}}"}}]"#
        );
        fs::write(store.join("containers.json"), list).unwrap();
        let found = find(&Root::at(dir.path()), &id).unwrap();
        assert_eq!((found.name.as_deref(), found.image.as_deref()), (Some("pod1"), Some("localhost/bb:1")));
        assert_eq!(find(&Root::at(dir.path()), &"ee".repeat(32)), None);
    }
}
