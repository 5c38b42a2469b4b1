//! A registry for one test: its own process, port and folder, ended with the test.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::tools::program;

/// Made by `htpasswd -Bbn somebody secret`.
const HTPASSWD: &str = "somebody:$2y$05$6sSzPZ3MGjN8yhqNayPvZONAoXGwoEjErkpf4kFYGeNbgeqG9vn8C\n";
pub(crate) const USER: &str = "somebody";
pub(crate) const PASSWORD: &str = "secret";

pub(crate) struct Registry {
    process: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) address: String,
    dir: PathBuf,
}

impl Registry {
    /// One that anybody may use.
    pub(crate) fn open(dir: &Path) -> Registry {
        Registry::serve(dir, "127.0.0.1", "", "")
    }

    /// One that wants user and password (Basic, RFC 7617).
    pub(crate) fn with_password(dir: &Path) -> Registry {
        fs::create_dir_all(dir).unwrap();
        let file = dir.join("htpasswd");
        fs::write(&file, HTPASSWD).unwrap();
        let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
        Registry::serve(dir, "127.0.0.1", "", &auth)
    }

    /// `http` is more of that section, `more` further sections of the configuration.
    pub(crate) fn serve(dir: &Path, host: &str, http: &str, more: &str) -> Registry {
        fs::create_dir_all(dir).unwrap();
        let config = dir.join("config.yml");
        let root = dir.join("storage");
        // Port 0: the kernel picks a free one, and the registry's log says which.
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"{host}:0\"{http}}}\n{more}",
            root.display()
        );
        fs::write(&config, text).unwrap();
        let log = dir.join("log");
        let mut command = Command::new(program("docker-registry"));
        command.arg("serve").arg(&config).stdin(Stdio::null());
        let out = File::create(&log).unwrap();
        command.stdout(out.try_clone().unwrap()).stderr(out);
        let process = ending_with_us(&mut command).spawn().unwrap();
        let mut registry = Registry { process, address: String::new(), dir: dir.to_owned() };
        registry.address = registry.await_address(host);
        registry
    }

    fn await_address(&mut self, host: &str) -> String {
        let marker = format!("listening on {host}:");
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let log = self.log();
            if let Some((_, rest)) = log.split_once(&marker) {
                let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
                return format!("{host}:{port}");
            }
            assert!(self.process.try_wait().unwrap().is_none(), "the registry ended: {log}");
            assert!(Instant::now() < deadline, "the registry does not listen: {log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// What it wrote, one line for each request among it.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// How often a blob was asked for.
    pub(crate) fn requests_for(&self, digest: &str) -> usize {
        let path = format!("/blobs/{digest}");
        let is_response = |line: &&str| line.contains("msg=\"response completed\"") && line.contains(&path);
        self.log().lines().filter(is_response).count()
    }

    pub(crate) fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// The file in which it keeps a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        self.dir.join(format!("storage/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process ends when the thread that started it does, also when the test is killed.
pub(crate) fn ending_with_us(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt;
    // SAFETY: prctl(2) is a system call and nothing more.
    unsafe { command.pre_exec(|| Ok(nix::sys::prctl::set_pdeathsig(Signal::SIGKILL)?)) }
}
