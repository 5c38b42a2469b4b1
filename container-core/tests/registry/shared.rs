//! Layers that images share, indexes for several platforms, digests as names, and what is left afterwards.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use container_core::{Engine, Error, Image, PullEvent, PullListener, PullOptions, Refusal, Spec};
use serde_json::{Value, json};

use crate::made::nobody;
use crate::saved::{base_layer, config, gzip, layers, layout, sha256, upper_layer};
use crate::scene::Scene;
use crate::served::Registry;
use crate::tools::copy;

/// A listener and what it heard.
pub(crate) fn listener() -> (PullListener, Arc<Mutex<Vec<PullEvent>>>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let ear = heard.clone();
    (Arc::new(move |event| ear.lock().unwrap().push(event)), heard)
}

/// Write files of a layout into a folder.
fn write(dir: &Path, files: &[(String, Vec<u8>)]) {
    for (name, bytes) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// Push an image of these layers; returns its layers' digests as the registry has them.
pub(crate) fn push(scene: &Scene, name: &str, raw: &[Vec<u8>]) -> Vec<String> {
    let blobs: Vec<Vec<u8>> = raw.iter().map(|layer| gzip(layer)).collect();
    let parts: Vec<&[u8]> = raw.iter().map(Vec::as_slice).collect();
    let dir = scene.dir.join(format!("layout-{}", sha256(name.as_bytes())));
    write(&dir, &layout(&config(&parts), &blobs));
    // As it is: another compression would give other digests.
    copy(&format!("oci:{}", dir.display()), &format!("docker://{name}"), &[]);
    blobs.iter().map(|blob| format!("sha256:{}", sha256(blob))).collect()
}

fn pull(engine: &Engine, name: &str) -> Result<Image, Error> {
    engine.pull(name, &PullOptions::default(), &nobody())
}

#[test]
fn a_layer_that_is_there_is_not_fetched_again() {
    let Some(scene) = Scene::new("shared-layers") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let (one, two) = (registry.image("base:1"), registry.image("app:1"));
    let before = layers(&scene.engine);
    let base = push(&scene, &one, &[base_layer()]);
    let app = push(&scene, &two, &[base_layer(), upper_layer()]);
    assert_eq!(base[0], app[0]);
    pull(&scene.engine, &one).unwrap();
    let asked_before = registry.requests_for(&base[0]);
    let (ear, heard) = listener();
    scene.engine.pull(&two, &PullOptions::default(), &ear).unwrap();
    assert_eq!(registry.requests_for(&base[0]), asked_before);
    let heard = heard.lock().unwrap();
    assert!(heard.contains(&PullEvent::Present { digest: base[0].clone() }), "{heard:?}");
    assert!(heard.contains(&PullEvent::Complete { digest: app[1].clone() }), "{heard:?}");

    assert_eq!(layers(&scene.engine), before + 2);
    let said = scene.run(&Spec::new(&two, [""; 0])).unwrap();
    assert!(scene.log(&said.name).starts_with("run by default as 33 in /srv"), "{}", scene.log(&said.name));
    scene.engine.remove(&said.name, false).unwrap();

    // Nothing is left of the downloads, and layers go with the last image that names them.
    let blobs = scene.engine.root().join("downloads/blobs/sha256");
    assert_eq!(fs::read_dir(blobs).unwrap().count(), 0);
    assert_eq!(scene.engine.remove_image(&two).unwrap().len(), 1);
    assert_eq!(scene.engine.remove_image(&one).unwrap().len(), 1);
    assert_eq!(layers(&scene.engine), before);
}

#[test]
fn many_layers_at_once_and_two_pulls_at_once() {
    let Some(scene) = Scene::new("side-by-side") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let name = registry.image("many:1");
    let numbered =
        |number: u8| crate::saved::Tar::new().file(&format!("n{number}"), &[number; 70_000]).done();
    let raw: Vec<Vec<u8>> = std::iter::once(base_layer()).chain((0..20).map(numbered)).collect();
    push(&scene, &name, &raw);
    std::thread::scope(|scope| {
        let pulls: Vec<_> = (0..2).map(|_| scope.spawn(|| pull(&scene.engine, &name).unwrap())).collect();
        for pull in pulls {
            assert_eq!(pull.join().unwrap().layers.len(), 21);
        }
    });
    let finished = scene.run(&Spec {
        entrypoint: Some(vec![]),
        ..Spec::new(&name, ["/bin/busybox", "wc", "-c", "/n0", "/n19"])
    });
    assert_eq!(finished.unwrap().exit.code, Some(0));
}

/// Two images under one name: for this platform and for another.
fn push_index(scene: &Scene, name: &str) -> String {
    let dir = scene.dir.join("index");
    let own = config(&[&base_layer()]);
    let mut other = own.clone();
    other["architecture"] = json!("s390x");
    let mut entries = Vec::new();
    for (config, architecture) in [(&other, "s390x"), (&own, own["architecture"].as_str().unwrap())] {
        let files = layout(config, &[gzip(&base_layer())]);
        write(&dir, &files);
        let index: Value = serde_json::from_slice(&fs::read(dir.join("index.json")).unwrap()).unwrap();
        let mut entry = index["manifests"][0].clone();
        entry.as_object_mut().unwrap().remove("annotations");
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entries.push(entry);
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries});
    let text = index.to_string().into_bytes();
    let digest = sha256(&text);
    let top = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": "application/vnd.oci.image.index.v1+json", "digest": format!("sha256:{digest}"),
        "size": text.len(), "annotations": {"org.opencontainers.image.ref.name": "both"}}]});
    write(&dir, &[(format!("blobs/sha256/{digest}"), text)]);
    write(&dir, &[("index.json".to_owned(), top.to_string().into_bytes())]);
    copy(&format!("oci:{}:both", dir.display()), &format!("docker://{name}"), &["--all"]);
    format!("sha256:{digest}")
}

#[test]
fn of_an_index_the_platform_is_taken() {
    let Some(scene) = Scene::new("index") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let name = registry.image("both:1");
    let index = push_index(&scene, &name);
    let platform = |text: &str| PullOptions { platform: Some(text.to_owned()), insecure: false };
    let other = scene.engine.pull(&name, &platform("linux/s390x"), &nobody()).unwrap();
    assert_eq!(other.platform.as_deref(), Some("linux/s390x"));
    let own = pull(&scene.engine, &name).unwrap();
    assert_ne!(own.platform, other.platform);
    assert_eq!(own.layers, other.layers);
    let refused = scene.engine.pull(&name, &platform("linux/riscv64"), &nobody());
    let Err(Error::Pull { refusal, .. }) = refused else { panic!("{refused:?}") };
    let Refusal::OtherPlatform { there, .. } = *refusal else { panic!("{refusal}") };
    assert!(there.contains(&"linux/s390x".to_owned()), "{there:?}");

    // The digest is a name too, and one that cannot come to mean something else.
    let pinned = format!("{}@{index}", registry.image("both"));
    assert_eq!(pull(&scene.engine, &pinned).unwrap().id, own.id);
    let spec = Spec { entrypoint: Some(vec![]), ..Spec::new(&pinned, ["/bin/busybox", "true"]) };
    assert_eq!(scene.run(&spec).unwrap().exit.code, Some(0));
}
