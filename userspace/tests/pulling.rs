//! `diag pull`, and `diag run` of an image that is not here, from a real registry (Debian's docker-registry). As root, on
//! this machine only: guests have no registry.
#![allow(
    clippy::unwrap_used,
    reason = "this is all test code; clippy's own exception knows only #[test] functions"
)]
#![allow(clippy::print_stdout, reason = "tests say why they were skipped")]

#[path = "../../container-core/tests/registry/served.rs"]
#[allow(dead_code, reason = "shared with the engine's own tests, which use all of it")]
mod served;
#[path = "../../container-core/tests/registry/tools.rs"]
#[allow(dead_code, reason = "shared with the engine's own tests, which use all of it")]
mod tools;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use served::Registry;
use tools::containers;

fn diag(store: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diag"));
    command.arg("--root").arg(store).args(words).env_remove("DOCKER_CONFIG");
    command.output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An image of busybox, made and pushed by podman.
fn push(dir: &Path, name: &str) {
    let busybox = std::env::var_os("DIAG_BUSYBOX").expect("DIAG_BUSYBOX is not set: ring 3 sets it");
    let rootfs = dir.join("rootfs/bin");
    fs::create_dir_all(&rootfs).unwrap();
    fs::copy(busybox, rootfs.join("busybox")).unwrap();
    let tar = dir.join("root.tar");
    tools::output(Command::new("tar").arg("-C").arg(dir.join("rootfs")).arg("-cf").arg(&tar).arg("."));
    let cmd = r#"CMD ["/bin/busybox","echo","pulled and run"]"#;
    containers(
        "podman",
        dir,
        &["import", "--quiet", "--change", cmd, tar.to_str().unwrap(), "localhost/made:1"],
    );
    containers("podman", dir, &["push", "--quiet", "--tls-verify=false", "localhost/made:1", name]);
}

#[test]
fn an_image_that_is_not_here_is_pulled_and_runs() {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("DIAG_REQUIRE_ROOT").is_none(), "DIAG_REQUIRE_ROOT=1, but not root");
        println!("skipped: needs root");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (store, registry) = (dir.path().join("store"), Registry::open(&dir.path().join("registry")));
    let name = registry.image("team/app:1");
    push(dir.path(), &name);

    let never = diag(&store, &["run", "--rm", "--pull", "never", &name]);
    assert_eq!(never.status.code(), Some(125), "{}", err(&never));
    assert!(err(&never).contains("no image is called"), "{}", err(&never));

    let run = diag(&store, &["run", "--rm", &name]);
    assert_eq!((run.status.code(), out(&run).as_str()), (Some(0), "pulled and run\n"), "{}", err(&run));
    // No terminal, no progress bars.
    assert_eq!(err(&run), "");

    // What is here is not asked for again, unless that is wanted.
    let asked = || registry.log().matches("msg=\"response completed\"").count();
    let before = asked();
    assert_eq!(diag(&store, &["run", "--rm", &name]).status.code(), Some(0));
    assert_eq!(asked(), before);
    assert_eq!(diag(&store, &["run", "--rm", "--pull", "always", &name]).status.code(), Some(0));
    assert!(asked() > before);

    let pulled = diag(&store, &["pull", &name]);
    assert_eq!((pulled.status.code(), out(&pulled)), (Some(0), format!("{name}\n")), "{}", err(&pulled));
    let missing = diag(&store, &["pull", &registry.image("team/app:2")]);
    assert_eq!(missing.status.code(), Some(2));
    assert_eq!(err(&missing).lines().count(), 1, "{}", err(&missing));
    assert!(err(&missing).contains("has team/app, but not 2: it has 1"), "{}", err(&missing));
    let missing = diag(&store, &["run", &registry.image("team/app:2")]);
    assert_eq!(missing.status.code(), Some(125), "{}", err(&missing));

    let created = diag(&store, &["create", "--name", "later", &name]);
    assert_eq!(created.status.code(), Some(0), "{}", err(&created));
    assert_eq!(diag(&store, &["rm", "--all"]).status.code(), Some(0));
    let check = diag(&store, &["system", "check"]);
    assert_eq!((check.status.code(), out(&check).as_str()), (Some(0), ""));
}

#[test]
fn without_certificates_of_authorities_it_says_what_to_install() {
    let dir = tempfile::tempdir().unwrap();
    let mut pull = Command::new(env!("CARGO_BIN_EXE_diag"));
    pull.arg("--root").arg(dir.path()).args(["pull", "registry.invalid/app:1"]);
    pull.env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR");
    let refused = pull.output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", err(&refused));
    assert!(err(&refused).contains("ca-certificates"), "{}", err(&refused));
}
