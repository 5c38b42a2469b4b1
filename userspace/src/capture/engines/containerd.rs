//! containerd and what stands on it: the bundle's configuration, whose annotations name pod and container.

use super::remembered::{Remembered, is_called};
use super::{Found, folders};
use crate::limits::read::Root;
use crate::model::Container;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// Where bundles lie: below containerd's state folder, and CRI-O's.
const TASKS: &str = "io.containerd.runtime.v2.task";
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
    out.extend(namespaces(root).into_iter().map(|namespace| namespace.join(id)));
    out.retain(|bundle| bundle.join("config.json").exists());
    out
}

/// The folders that hold a namespace's bundles, wherever running daemons keep their state. Docker's own namespace is
/// docker's business.
fn namespaces(root: &Root) -> Vec<PathBuf> {
    let states = folders(root, &["containerd"], "--state", "run/containerd");
    let tasks = states.into_iter().filter_map(|state| fs::read_dir(state.join(TASKS)).ok());
    let folders = tasks.flatten().filter_map(Result::ok).map(|namespace| namespace.path());
    folders.filter(|folder| !folder.ends_with("moby")).collect()
}

/// Containers that are called so and have a bundle still: containerd removes it with the task.
pub(super) fn remembered(root: &Root, target: &str) -> Vec<Remembered> {
    let bundles = namespaces(root).into_iter().filter_map(|namespace| fs::read_dir(namespace).ok());
    let of = |entry: fs::DirEntry| {
        let (bundle, id) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        let found = read(&fs::read_to_string(bundle.join("config.json")).ok()?)?;
        if !is_called(target, found.name.as_deref(), &id) {
            return None;
        }
        let since =
            fs::metadata(&bundle).ok()?.modified().ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
        let pid = fs::read_to_string(bundle.join("init.pid")).ok().and_then(|pid| pid.trim().parse().ok());
        Some(Remembered {
            container: Container {
                engine: "containerd".into(),
                id,
                name: found.name,
                image: found.image,
                ..Container::default()
            },
            error: last_log(&bundle.join("log.json")),
            pid,
            unix_ns: i64::try_from(since.as_nanos()).unwrap_or(0),
            ..Remembered::default()
        })
    };
    bundles.flatten().filter_map(Result::ok).filter_map(of).collect()
}

/// The last error that runc logged: `{"level":"error","msg":"…"}`, a line each.
pub(super) fn last_log(file: &std::path::Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let error = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        let bad = matches!(line["level"].as_str(), Some("error" | "fatal"));
        bad.then(|| line["msg"].as_str().map(str::to_owned)).flatten()
    };
    text.lines().rev().find_map(error)
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
        let bundle = dir.path().join("run/containerd").join(TASKS).join("k8s.io").join("abc");
        fs::create_dir_all(&bundle).unwrap();
        fs::write(bundle.join("config.json"), r#"{"annotations":{"io.kubernetes.cri.container-name":"a"}}"#)
            .unwrap();
        assert_eq!(find(&Root::at(dir.path()), "abc").unwrap().name.as_deref(), Some("a"));
        assert_eq!(find(&Root::at(dir.path()), "abd"), None);
        let log =
            "{\"level\":\"error\",\"msg\":\"first\"}\n{\"level\":\"error\",\"msg\":\"runc create failed\"}\n";
        fs::write(bundle.join("log.json"), log).unwrap();
        fs::write(bundle.join("init.pid"), "77").unwrap();
        let known = remembered(&Root::at(dir.path()), "a");
        assert_eq!((known[0].error.as_deref(), known[0].pid), (Some("runc create failed"), Some(77)));
        assert_eq!(remembered(&Root::at(dir.path()), "b"), []);
    }
}
