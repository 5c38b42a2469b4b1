//! Images as buildah, podman, skopeo and umoci make them: pushed and pulled, saved and loaded, and run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use container_core::{LoadOptions, PullListener, PullOptions, Spec};

use crate::scene::{Scene, fill_rootfs};
use crate::served::Registry;
use crate::tools::{containers, copy, output, umoci};

pub(crate) fn nobody() -> PullListener {
    Arc::new(|_| ())
}

/// What every image's command says, with the tool's name.
const SAYS: &str = "echo made by $TOOL as $(id -u) in $PWD";

/// Run an image as it is and compare what it says.
fn assert_runs(scene: &Scene, image: &str, says: &str) {
    let finished = scene.run(&Spec::new(image, [""; 0])).unwrap();
    assert_eq!(finished.exit.code, Some(0), "{image}: {}", scene.log(&finished.name));
    assert_eq!(scene.log(&finished.name).trim_end(), says, "{image}");
    scene.engine.remove(&finished.name, false).unwrap();
}

fn pull(scene: &Scene, image: &str) {
    let pulled = scene.engine.pull(image, &PullOptions::default(), &nobody()).unwrap();
    assert!(pulled.manifest.is_some() && pulled.id.is_some(), "{pulled:?}");
}

fn rootfs(scene: &Scene) -> PathBuf {
    let dir = scene.dir.join("made");
    if !dir.exists() {
        fill_rootfs(&dir);
        std::fs::create_dir_all(dir.join("srv")).unwrap();
        std::fs::write(dir.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/srv:/bin/sh\n")
            .unwrap();
    }
    dir
}

/// With buildah: from nothing, a user by name and a working directory; returns the name of the image there.
fn with_buildah(scene: &Scene, dir: &Path, format: &str) -> String {
    let container = containers("buildah", dir, &["from", "scratch"]);
    let tree = containers("buildah", dir, &["mount", &container]);
    output(Command::new("cp").arg("-a").arg(rootfs(scene).join(".")).arg(&tree));
    let entrypoint = r#"["/bin/sh","-c"]"#;
    let settings = ["--env", "TOOL=buildah", "--user", "web", "--workingdir", "/srv"];
    let words = [&["config", "--entrypoint", entrypoint, "--cmd", ""], &settings[..], &[&container]].concat();
    containers("buildah", dir, &words);
    // The command is one word with blanks in it, which only the exec form keeps together.
    let entrypoint = format!(r#"["/bin/sh","-c","{SAYS}"]"#);
    containers("buildah", dir, &["config", "--entrypoint", &entrypoint, &container]);
    containers("buildah", dir, &["commit", "--quiet", "--format", format, &container, "made"]);
    "made".to_owned()
}

/// With podman: an imported root file system and changes of its configuration.
fn with_podman(scene: &Scene, dir: &Path) -> String {
    let tar = dir.join("root.tar");
    output(Command::new("tar").arg("-C").arg(rootfs(scene)).arg("-cf").arg(&tar).arg("."));
    let cmd = format!(r#"CMD ["/bin/sh","-c","{SAYS}"]"#);
    let changes = ["--change", &cmd, "--change", "ENV TOOL=podman", "--change", "WORKDIR /tmp"];
    let words = [&["import", "--quiet"], &changes[..], &[tar.to_str().unwrap(), "localhost/made:1"]].concat();
    containers("podman", dir, &words);
    "localhost/made:1".to_owned()
}

/// With umoci: a layout with two layers; returns its folder.
fn with_umoci(scene: &Scene, dir: &Path) -> String {
    let layout = dir.join("layout").display().to_string();
    let image = format!("{layout}:one");
    umoci(&["init", "--layout", &layout]);
    umoci(&["new", "--image", &image]);
    umoci(&["insert", "--image", &image, rootfs(scene).to_str().unwrap(), "/"]);
    std::fs::write(dir.join("said"), "umoci\n").unwrap();
    umoci(&["insert", "--image", &image, dir.join("said").to_str().unwrap(), "/said"]);
    let script = "echo made by $(cat /said) as $(id -u) in $PWD";
    let words =
        ["--config.cmd", "/bin/sh", "--config.cmd", "-c", "--config.cmd", script, "--config.user", "7"];
    umoci(&[&["config", "--image", &image], &words[..]].concat());
    layout
}

fn folder(scene: &Scene, name: &str) -> PathBuf {
    let dir = scene.dir.join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn what_buildah_pushes_is_pulled_and_runs() {
    let Some(scene) = Scene::new("buildah") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let dir = folder(&scene, "buildah");
    for format in ["oci", "docker"] {
        let made = with_buildah(&scene, &dir, format);
        let name = registry.image(&format!("team/of/buildah-{format}:1.0"));
        containers("buildah", &dir, &["push", "--quiet", "--tls-verify=false", &made, &name]);
        pull(&scene, &name);
        assert_runs(&scene, &name, "made by buildah as 33 in /srv");
    }
}

#[test]
fn what_podman_pushes_and_saves_runs() {
    let Some(scene) = Scene::new("podman") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let dir = folder(&scene, "podman");
    let made = with_podman(&scene, &dir);
    let name = registry.image("podman");
    containers("podman", &dir, &["push", "--quiet", "--tls-verify=false", &made, &name]);
    pull(&scene, &name);
    assert_runs(&scene, &name, "made by podman as 0 in /tmp");
    for format in ["docker-archive", "oci-archive"] {
        let file = dir.join(format);
        containers(
            "podman",
            &dir,
            &["save", "--quiet", "--format", format, "-o", file.to_str().unwrap(), &made],
        );
        let options = LoadOptions { name: Some(format.to_owned()), platform: None };
        scene.engine.load(&file, &options).unwrap();
        assert_runs(&scene, format, "made by podman as 0 in /tmp");
    }
}

#[test]
fn what_umoci_makes_and_skopeo_copies_runs() {
    let Some(scene) = Scene::new("umoci") else { return };
    let registry = Registry::open(&scene.dir.join("registry"));
    let dir = folder(&scene, "umoci");
    let layout = with_umoci(&scene, &dir);
    let says = "made by umoci as 7 in /";
    let options = LoadOptions { name: Some("layout".to_owned()), platform: None };
    scene.engine.load(Path::new(&layout), &options).unwrap();
    assert_runs(&scene, "layout", says);

    let source = format!("oci:{layout}:one");
    for (number, more) in [
        vec!["--dest-compress-format", "gzip"],
        vec!["--dest-compress-format", "zstd"],
        vec!["--format", "v2s2"],
    ]
    .iter()
    .enumerate()
    {
        let name = registry.image(&format!("umoci:{number}"));
        copy(&source, &format!("docker://{name}"), more);
        pull(&scene, &name);
        assert_runs(&scene, &name, says);
    }
    for kind in ["oci-archive", "docker-archive"] {
        let file = dir.join(kind).display().to_string();
        let tag = if kind == "docker-archive" { "app:1" } else { "1" };
        copy(&source, &format!("{kind}:{file}:{tag}"), &[]);
        let options = LoadOptions { name: Some(kind.to_owned()), platform: None };
        scene.engine.load(Path::new(&file), &options).unwrap();
        assert_runs(&scene, kind, says);
    }
}
