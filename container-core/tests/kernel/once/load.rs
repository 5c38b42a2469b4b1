//! Loading archives of images: both formats, every compression, the image's config, and every changed byte noticed.

use std::fs;
use std::time::Duration;

use container_core::{Error, Image, LoadOptions, Spec};
use tar::EntryType;

use crate::saved::{
    Tar, base_layer, config, docker, gzip, layers, layout, load, pack, reason, save, upper_layer, zstd,
};
use crate::scene::Scene;

#[test]
fn both_formats_and_every_compression_give_one_image() {
    let Some(scene) = Scene::new("formats") else { return };
    let before = layers(&scene.engine);
    let plain = [base_layer(), upper_layer()];
    let config = config(&[&plain[0], &plain[1]]);
    let mixed = [gzip(&plain[0]), zstd(&plain[1])];
    let folder = scene.dir.join("layout");
    for (name, bytes) in layout(&config, &mixed) {
        fs::create_dir_all(folder.join(&name).parent().unwrap()).unwrap();
        fs::write(folder.join(&name), bytes).unwrap();
    }
    let oci = pack(&layout(&config, &plain));
    let all = [
        save(&scene, "oci.tar", &oci),
        save(&scene, "oci.tar.gz", &gzip(&oci)),
        save(&scene, "oci.tar.zst", &zstd(&oci)),
        save(&scene, "docker.tar", &pack(&docker(&config, &plain))),
        folder,
    ];
    let mut first: Option<Image> = None;
    for path in &all {
        let image = load(&scene.engine, path).unwrap().remove(0);
        let first = first.get_or_insert_with(|| image.clone());
        assert_eq!((&image.id, &image.layers), (&first.id, &first.layers), "{}", path.display());
        assert_eq!((image.name.as_str(), image.bytes, image.entries), ("app:1", first.bytes, first.entries));
    }
    assert_eq!(layers(&scene.engine), before + 2, "layers are shared");
    let id = first.unwrap().id.unwrap();
    assert_eq!(scene.engine.image(&id[7..19]).unwrap().id.unwrap(), id);
    // The folder's blobs are compressed, so it alone is read by two digests when nothing is there yet.
    for image in ["app:1", "app:latest"] {
        scene.engine.remove_image(image).unwrap();
    }
    assert_eq!(layers(&scene.engine), before, "nothing names them any more");
    load(&scene.engine, &all[4]).unwrap();
    assert_eq!(layers(&scene.engine), before + 2);
}

#[test]
fn what_the_image_says_is_respected() {
    let Some(scene) = Scene::new("config") else { return };
    let plain = [base_layer(), upper_layer()];
    let files = docker(&config(&[&plain[0], &plain[1]]), &plain);
    load(&scene.engine, &save(&scene, "docker.tar", &pack(&files))).unwrap();
    let run = |spec: &Spec| {
        let finished = scene.run(spec).unwrap();
        let log = scene.log(&finished.name);
        scene.engine.remove(&finished.id, false).unwrap();
        log
    };
    let default = run(&Spec::new("app:1", [""; 0]));
    // The whiteout and the opaque folder of the upper layer hide what the lower one has.
    assert_eq!(default, "run by default as 33 in /srv with 1; /old:\nnew\n\n/srv:\n");
    let given = Spec {
        env: vec!["A=2".into()],
        user_name: Some("0".into()),
        working_dir: Some("/".into()),
        ..Spec::new("app", ["now"])
    };
    assert!(run(&given).starts_with("run now as 0 in / with 2;"));
    let entry = Some(vec!["/bin/busybox".to_owned(), "ls".to_owned()]);
    assert_eq!(run(&Spec { entrypoint: entry, ..Spec::new("app", ["-d", "/data"]) }), "/data\n");
    let waits = Spec {
        entrypoint: Some(vec!["/bin/sh".into(), "-c".into()]),
        ..Spec::new("app", ["trap 'exit 7' USR1; echo up; while :; do /bin/busybox sleep 0.05; done"])
    };
    let container = scene.engine.create(&waits).unwrap();
    scene.engine.start(container.id()).unwrap();
    while scene.log(container.id()).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let exit = scene.engine.stop(container.id(), Duration::from_secs(20)).unwrap().unwrap();
    assert_eq!(exit.code, Some(7), "stopped by the image's own signal");
}

#[test]
fn every_changed_byte_is_noticed() {
    let Some(scene) = Scene::new("changed") else { return };
    let before = layers(&scene.engine);
    let plain = [base_layer(), upper_layer()];
    let config = config(&[&plain[0], &plain[1]]);
    let whole = layout(&config, &plain.each_ref().map(|layer| gzip(layer)));
    for index in 0..whole.len() - 2 {
        let mut files = whole.clone();
        *files[index].1.last_mut().unwrap() ^= 1;
        let refused = load(&scene.engine, &save(&scene, "changed.tar", &pack(&files)));
        assert!(matches!(refused, Err(Error::NotAnImage { .. })), "{}: {refused:?}", files[index].0);
        let mut files = whole.clone();
        files[index].1.push(0);
        let text = reason(load(&scene.engine, &save(&scene, "longer.tar", &pack(&files))));
        assert!(text.contains("announced"), "{text}");
        let mut files = whole.clone();
        files.remove(index);
        assert!(reason(load(&scene.engine, &save(&scene, "less.tar", &pack(&files)))).contains("missing"));
    }
    // A docker-archive has no digest for its layers but the config's.
    let mut files = docker(&config, &plain);
    files[1].1 = Tar::new().file("run.sh", b"evil").done();
    let text = reason(load(&scene.engine, &save(&scene, "swapped.tar", &pack(&files))));
    assert!(text.contains("it was changed"), "{text}");
    assert_eq!(layers(&scene.engine), before);
    assert_eq!(scene.engine.images().unwrap().len(), 1);
}

#[test]
fn what_does_not_fit_is_refused_with_a_sentence() {
    let Some(scene) = Scene::new("unfit") else { return };
    let plain = [base_layer()];
    let mut foreign = config(&[&plain[0]]);
    foreign["architecture"] = "riscv64".into();
    let path = save(&scene, "foreign.tar", &pack(&layout(&foreign, &plain)));
    assert!(reason(load(&scene.engine, &path)).contains("is for linux/riscv64"));
    let options = LoadOptions { platform: Some("linux/riscv64".into()), name: Some("other:2".into()) };
    assert_eq!(scene.engine.load(&path, &options).unwrap()[0].name, "other:2");
    let nothing = save(&scene, "nothing.tar", &Tar::new().file("x", b"y").done());
    assert!(reason(load(&scene.engine, &nothing)).contains("index.json"));
    let path = save(&scene, "none.tar", &pack(&docker(&config(&[]), &[])));
    assert!(reason(load(&scene.engine, &path)).contains("no layer"));
    let loops = Tar::new().add("index.json", EntryType::Symlink, "index.json", b"").done();
    assert!(reason(load(&scene.engine, &save(&scene, "loop.tar", &loops))).contains("leads nowhere"));
}

#[test]
fn an_image_of_many_layers_runs() {
    let Some(scene) = Scene::new("many") else { return };
    let mut all = vec![base_layer()];
    // Two equal ones among them: overlayfs would refuse the same folder twice.
    all.extend((0..90).map(|number| Tar::new().file(&format!("layer-{}", number % 89), b"x").done()));
    let borrowed: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    load(&scene.engine, &save(&scene, "many.tar", &pack(&layout(&config(&borrowed), &all)))).unwrap();
    let entry = Some(vec!["/bin/sh".into(), "-c".into()]);
    let spec = Spec { entrypoint: entry, ..Spec::new("app:1", ["echo /layer-* | /bin/busybox wc -w"]) };
    let finished = scene.run(&spec).unwrap();
    assert_eq!(scene.log(&finished.name), "89\n");
}

#[test]
fn what_podman_saves_is_loaded() {
    let Some(scene) = Scene::new("podman") else { return };
    let podman = |args: &[&str]| {
        let storage = scene.dir.join("podman");
        let mut command = std::process::Command::new("podman");
        command.arg("--root").arg(storage.join("root")).arg("--runroot").arg(storage.join("run"));
        command.args(["--storage-driver", "vfs"]).args(args);
        command.output().is_ok_and(|output| output.status.success())
    };
    let rootfs = save(&scene, "rootfs.tar", &base_layer());
    let change = "ENTRYPOINT [\"/bin/busybox\",\"echo\"]";
    if !podman(&["import", "-q", "--change", change, rootfs.to_str().unwrap(), "localhost/saved:1"]) {
        println!("skipped: no podman that works");
        return;
    }
    for format in ["docker-archive", "oci-archive", "oci-dir"] {
        let path = scene.dir.join(format);
        assert!(podman(&[
            "save",
            "-q",
            "--format",
            format,
            "-o",
            path.to_str().unwrap(),
            "localhost/saved:1"
        ]));
        let options = LoadOptions { name: Some(format!("saved:{format}")), ..LoadOptions::default() };
        scene.engine.load(&path, &options).unwrap();
        let finished = scene.run(&Spec::new(format!("saved:{format}"), ["hello"])).unwrap();
        assert_eq!(scene.log(&finished.name), "hello\n", "{format}");
        scene.engine.remove(&finished.id, false).unwrap();
    }
}
