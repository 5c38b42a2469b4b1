//! Registries that want to know who asks: a password (Basic), and tokens of another server (Bearer), with the
//! credentials that `skopeo login` writes down.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use crate::network::pull_elsewhere;
use crate::saved::base_layer;
use crate::scene::Scene;
use crate::served::{PASSWORD, Registry, USER};
use crate::shared::push;
use crate::tools::{copy, output, program};

/// A folder as DOCKER_CONFIG names it, written by skopeo.
fn log_in(registry: &Registry, dir: &Path, password: &str) {
    fs::create_dir_all(dir).unwrap();
    let mut command = Command::new(program("skopeo"));
    command.args(["login", "--tls-verify=false", "--authfile"]).arg(dir.join("config.json"));
    output(command.args(["--username", USER, "--password", password, &registry.address]));
}

/// The same with a password that is not right, which skopeo does not write.
fn log_in_wrongly(registry: &Registry, dir: &Path) {
    fs::create_dir_all(dir).unwrap();
    // Base64 (RFC 4648) of "somebody:wrong".
    let text = json!({"auths": {&registry.address: {"auth": "c29tZWJvZHk6d3Jvbmc="}}});
    fs::write(dir.join("config.json"), text.to_string()).unwrap();
}

/// Push with skopeo, which knows the password from the folder.
fn push_logged_in(scene: &Scene, name: &str, dir: &Path) {
    let open = Registry::open(&scene.dir.join("open"));
    let there = open.image("app:1");
    push(scene, &there, &[base_layer()]);
    let file = dir.join("config.json").display().to_string();
    copy(&format!("docker://{there}"), &format!("docker://{name}"), &["--dest-authfile", &file]);
}

fn assert_needs_login(scene: &Scene, registry: &Registry, config: &Path) {
    let name = registry.image("app:1");
    let (none, wrong) = (scene.dir.join("none"), scene.dir.join("wrong"));
    let said = pull_elsewhere(scene, &name, &[("DOCKER_CONFIG", &none)]).unwrap_err();
    assert!(said.contains("wants a login for app (none is known)"), "{said}");
    assert!(said.contains(&format!("`docker login {}`", registry.address)), "{said}");
    log_in_wrongly(registry, &wrong);
    let said = pull_elsewhere(scene, &name, &[("DOCKER_CONFIG", &wrong)]).unwrap_err();
    assert!(said.contains("it refused the one it got"), "{said}");
    assert!(said.contains(wrong.join("config.json").to_str().unwrap()), "{said}");
    fs::write(wrong.join("config.json"), "{").unwrap();
    let said = pull_elsewhere(scene, &name, &[("DOCKER_CONFIG", &wrong)]).unwrap_err();
    assert!(said.contains("cannot be used"), "{said}");
    assert_eq!(pull_elsewhere(scene, &name, &[("DOCKER_CONFIG", config)]), Ok(()));
    assert_eq!(scene.engine.remove_image(&name).unwrap().len(), 1);
    // Without DOCKER_CONFIG it is ~/.docker.
    let home = scene.dir.join("home");
    fs::create_dir_all(&home).unwrap();
    std::os::unix::fs::symlink(config, home.join(".docker")).unwrap();
    assert_eq!(pull_elsewhere(scene, &name, &[("HOME", &home)]), Ok(()));
}

#[test]
fn a_password_is_asked_for_and_found() {
    let Some(scene) = Scene::new("password") else { return };
    let registry = Registry::with_password(&scene.dir.join("registry"));
    let config = scene.dir.join("config");
    log_in(&registry, &config, PASSWORD);
    push_logged_in(&scene, &registry.image("app:1"), &config);
    assert_needs_login(&scene, &registry, &config);
}

#[test]
fn a_token_is_fetched_with_the_password() {
    let Some(scene) = Scene::new("token") else { return };
    let tokens = TokenServer::start(&scene.dir.join("tokens"));
    let auth = format!(
        "auth: {{token: {{realm: \"http://{}/token\", service: test, issuer: test, rootcertbundle: {}}}}}\n",
        tokens.address,
        tokens.certificate().display()
    );
    let registry = Registry::serve(&scene.dir.join("registry"), "127.0.0.1", "", &auth);
    let config = scene.dir.join("config");
    log_in(&registry, &config, PASSWORD);
    push_logged_in(&scene, &registry.image("app:1"), &config);
    assert_needs_login(&scene, &registry, &config);
}

/// What auth.docker.io is to docker.io: hands out a token for a password (docker: "Token Authentication
/// Specification"). The registry checks its signature against the certificate.
struct TokenServer {
    address: String,
    dir: PathBuf,
    ended: Arc<AtomicBool>,
}

impl TokenServer {
    fn start(dir: &Path) -> TokenServer {
        fs::create_dir_all(dir).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let mut make = Command::new(program("openssl"));
        make.args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test", "-days", "2"]);
        output(make.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(dir));
        let server = TokenServer { address, dir: dir.to_owned(), ended: Arc::default() };
        let (dir, ended) = (dir.to_owned(), server.ended.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                answer(&stream, &dir);
            }
        });
        server
    }

    fn certificate(&self) -> PathBuf {
        self.dir.join("cert.pem")
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // Wakes the server, which then looks.
        let _ = TcpStream::connect(&self.address);
    }
}

fn answer(mut stream: &TcpStream, dir: &Path) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let request = lines.next().unwrap_or_default();
    let expected = base64(format!("{USER}:{PASSWORD}").as_bytes());
    let is_known = lines
        .filter(|line| line.to_ascii_lowercase().starts_with("authorization: basic "))
        .any(|line| line.ends_with(&expected));
    let (status, body) = match is_known {
        true => ("200 OK", json!({"token": token(dir, &request)})),
        false => ("401 Unauthorized", json!({"details": "who are you?"})),
    };
    let body = body.to_string();
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
    let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
}

/// A JSON web token (RFC 7519) for what the request's scope asks, signed with RS256.
fn token(dir: &Path, request: &str) -> String {
    let scope = request.split(['?', '&', ' ']).find_map(|part| part.strip_prefix("scope="));
    let scope = scope.unwrap_or_default().replace("%3A", ":").replace("%2C", ",").replace("%2F", "/");
    let access = match scope.split(':').collect::<Vec<_>>().as_slice() {
        [kind, name, actions] => {
            json!([{"type": kind, "name": name, "actions": actions.split(',').collect::<Vec<_>>()}])
        }
        _ => json!([]),
    };
    let certificate = fs::read_to_string(dir.join("cert.pem")).unwrap();
    let der: String = certificate.lines().filter(|line| !line.starts_with("-----")).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [der]});
    let claims = json!({"iss": "test", "sub": USER, "aud": "test", "exp": now + 300, "nbf": now - 5,
        "iat": now, "jti": now.to_string(), "access": access});
    let signed = format!("{}.{}", url(header.to_string().as_bytes()), url(claims.to_string().as_bytes()));
    let text = dir.join("signed");
    fs::write(&text, &signed).unwrap();
    let mut sign = Command::new(program("openssl"));
    sign.args(["dgst", "-sha256", "-sign", "key.pem"]).arg(&text).current_dir(dir);
    format!("{signed}.{}", url(&sign.output().unwrap().stdout))
}

/// Base64 for URLs, without padding (RFC 4648, section 5).
fn url(bytes: &[u8]) -> String {
    base64(bytes).trim_end_matches('=').replace('+', "-").replace('/', "_")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word =
            chunk.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for digit in 0..4 {
            let index = (word >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= chunk.len() { char::from(DIGITS[index]) } else { '=' });
        }
    }
    text
}
