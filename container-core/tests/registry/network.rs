//! Pulls in another process: with other variables, and from addresses that are not loopback, which are given to a
//! network namespace of the test's own.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use container_core::{Engine, PullOptions};
use nix::sched::{CloneFlags, unshare};

use crate::saved::base_layer;
use crate::scene::Scene;
use crate::served::{Registry, ending_with_us};
use crate::shared::push;
use crate::tools::{output, program};

const STORE: &str = "DIAG_PULL_STORE";
const IMAGE: &str = "DIAG_PULL_IMAGE";
const INSECURE: &str = "DIAG_PULL_INSECURE";
const MARK: &str = "the pull said: ";

/// Not a test of its own: what the tests run as another process.
#[test]
fn puller() {
    let (Some(store), Ok(image)) = (std::env::var_os(STORE), std::env::var(IMAGE)) else { return };
    let engine = Engine::open(Path::new(&store)).unwrap();
    let options = PullOptions { insecure: std::env::var_os(INSECURE).is_some(), platform: None };
    match engine.pull(&image, &options, &(Arc::new(|_| ()) as _)) {
        Ok(_) => println!("{MARK}"),
        Err(error) => println!("{MARK}{error}"),
    }
}

/// Pull in a process with these variables; what it said when it failed.
pub(crate) fn pull_elsewhere(scene: &Scene, image: &str, variables: &[(&str, &Path)]) -> Result<(), String> {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "network::puller", "--nocapture", "--test-threads=1"]);
    command.env(STORE, scene.engine.root()).env(IMAGE, image);
    for name in ["DOCKER_CONFIG", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"] {
        command.env_remove(name);
    }
    for (name, value) in variables {
        command.env(name, value);
    }
    let printed = output(ending_with_us(&mut command));
    let said =
        printed.lines().find_map(|line| line.split_once(MARK)).unwrap_or_else(|| panic!("{printed}")).1;
    if said.is_empty() { Ok(()) } else { Err(said.to_owned()) }
}

/// An address that is nobody's but the namespace's (RFC 5737, for documentation).
const ADDRESS: &str = "192.0.2.1";

/// Run on a thread of its own, in a network namespace of its own, where `lo` also has ADDRESS.
fn apart(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let ip = |words: &[&str]| output(Command::new(program("ip")).args(words));
            ip(&["link", "set", "lo", "up"]);
            ip(&["address", "add", &format!("{ADDRESS}/32"), "dev", "lo"]);
            test();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

#[test]
fn plain_http_elsewhere_needs_permission() {
    let Some(scene) = Scene::new("plain-http") else { return };
    apart(|| {
        let registry = Registry::serve(&scene.dir.join("registry"), ADDRESS, "", "");
        let name = registry.image("app:1");
        push(&scene, &name, &[base_layer()]);
        let said = pull_elsewhere(&scene, &name, &[]).unwrap_err();
        assert!(said.contains("speaks plain HTTP") && said.contains("--insecure"), "{said}");
        assert_eq!(pull_elsewhere(&scene, &name, &[(INSECURE, Path::new("1"))]), Ok(()));
        // Nobody there at all, and no way there.
        let said = pull_elsewhere(&scene, &format!("{ADDRESS}:1/app"), &[]).unwrap_err();
        assert!(said.contains("cannot be reached (Connection refused"), "{said}");
        let said = pull_elsewhere(&scene, "198.51.100.1/app", &[(INSECURE, Path::new("1"))]).unwrap_err();
        assert!(said.contains("cannot be reached (Network is unreachable"), "{said}");
    });
}

#[test]
fn a_certificate_must_be_vouched_for() {
    let Some(scene) = Scene::new("https") else { return };
    apart(|| {
        let dir = scene.dir.join("tls");
        fs::create_dir_all(&dir).unwrap();
        let mut make = Command::new(program("openssl"));
        make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"]);
        let san = format!("subjectAltName=IP:{ADDRESS}");
        // Not an authority itself, or no client takes it for a server's.
        make.args(["-addext", "basicConstraints=critical,CA:FALSE"]);
        make.args(["-addext", &san, "-keyout", "key.pem", "-out", "cert.pem"]).current_dir(&dir);
        output(&mut make);
        let (key, certificate) = (dir.join("key.pem"), dir.join("cert.pem"));
        let tls = format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display());
        let registry = Registry::serve(&scene.dir.join("registry"), ADDRESS, &tls, "");
        let name = registry.image("app:1");
        push(&scene, &name, &[base_layer()]);
        let said = pull_elsewhere(&scene, &name, &[]).unwrap_err();
        assert!(said.contains("does not prove that it is the one"), "{said}");
        assert_eq!(pull_elsewhere(&scene, &name, &[("SSL_CERT_FILE", &certificate)]), Ok(()));
        assert_eq!(pull_elsewhere(&scene, &name, &[(INSECURE, Path::new("1"))]), Ok(()));
    });
}
