//! containerd and what stands on it: the bundle's configuration, whose annotations name pod and container.

use super::Found;
use crate::limits::read::Root;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Where bundles lie by default: containerd's state folder, and CRI-O's.
const TASKS: &str = "run/containerd/io.containerd.runtime.v2.task";
const CRIO: &str = "run/containers/storage/overlay-containers";

/// The annotations by which the two CRI implementations name the container, its image and its pod
/// (containerd, internal/cri/annotations; cri-o, pkg/annotations).
const CONTAINER: [&str; 2] = ["io.kubernetes.cri.container-name", "io.kubernetes.container.name"];
const IMAGE: [&str; 2] = ["io.kubernetes.cri.image-name", "io.kubernetes.cri-o.ImageName"];
const POD: [&str; 2] = ["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"];
const NAMESPACE: [&str; 2] = ["io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace"];

pub(super) fn find(root: &Root, id: &str) -> Option<Found> {
    let bundles = bundles(root, id);
    bundles.iter().find_map(|bundle| read(&fs::read_to_string(bundle.join("config.json")).ok()?))
}

/// One folder a namespace, and the working folder of the container's own shim, wherever the state lies.
fn bundles(root: &Root, id: &str) -> Vec<PathBuf> {
    let mut out = vec![root.join(CRIO).join(id).join("userdata")];
    if let Ok(namespaces) = fs::read_dir(root.join(TASKS)) {
        out.extend(namespaces.filter_map(Result::ok).map(|namespace| namespace.path().join(id)));
    }
    out.retain(|bundle| bundle.join("config.json").exists());
    out
}

fn read(text: &str) -> Option<Found> {
    let config: Value = serde_json::from_str(text).ok()?;
    let annotation = |names: [&str; 2]| names.iter().find_map(|name| config["annotations"][*name].as_str());
    let pod = annotation(POD).map(|pod| match annotation(NAMESPACE) {
        Some(namespace) => format!("{namespace}/{pod}"),
        None => pod.to_owned(),
    });
    let name = match (pod, annotation(CONTAINER)) {
        (Some(pod), Some(container)) => Some(format!("{pod}/{container}")),
        (Some(pod), None) => Some(pod),
        (None, container) => container.map(str::to_owned),
    };
    Some(Found { name, image: annotation(IMAGE).map(str::to_owned), state: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_name_pod_container_and_image() {
        let text = r#"{"annotations":{"io.kubernetes.cri.container-name":"app","io.kubernetes.cri.image-name":"r/app:1",
            "io.kubernetes.cri.sandbox-name":"web-7c","io.kubernetes.cri.sandbox-namespace":"shop"}}"#;
        let found = read(text).unwrap();
        assert_eq!(
            (found.name.as_deref(), found.image.as_deref()),
            (Some("shop/web-7c/app"), Some("r/app:1"))
        );
    }

    #[test]
    fn a_bundle_is_found_in_any_namespace() {
        let dir = tempfile::tempdir().unwrap();
        let bundle = dir.path().join(TASKS).join("k8s.io").join("abc");
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("config.json"), r#"{"annotations":{"io.kubernetes.cri.container-name":"a"}}"#)
            .unwrap();
        assert_eq!(find(&Root::at(dir.path()), "abc").unwrap().name.as_deref(), Some("a"));
        assert_eq!(find(&Root::at(dir.path()), "abd"), None);
    }
}
