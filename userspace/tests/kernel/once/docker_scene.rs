//! A docker of the test's own: its daemon, its folders, one image. Where docker is not installed, none.

use crate::bench_of_one::{Bench, DEADLINE, text};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

pub(crate) struct Docker {
    daemon: Child,
    dir: tempfile::TempDir,
    /// What the image was made of.
    rootfs: PathBuf,
    /// The cgroups that were there before.
    cgroups: Vec<PathBuf>,
}

impl Docker {
    /// Starts it and imports `bb:1`; `None`, said on stdout, where it cannot be had.
    pub(crate) fn start(bench: &Bench) -> Option<Self> {
        let missing: Vec<_> =
            ["dockerd", "docker", "containerd", "ctr", "runc"].into_iter().filter(|p| !has(p)).collect();
        if !missing.is_empty() {
            println!("skipped: not installed here: {} (Debian: docker.io)", missing.join(", "));
            return None;
        }
        // Short: a socket's path may have 108 letters (unix(7)).
        let dir = tempfile::Builder::new().prefix("dk").tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let mut command = Command::new("dockerd");
        command
            .args(["--data-root", &at("root"), "--exec-root", &at("exec"), "--pidfile", &at("pid")])
            .args(["-H", &format!("unix://{}", at("s"))])
            // Nothing of the machine's network is touched.
            .args(["--bridge=none", "--iptables=false", "--ip6tables=false"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(dir.path().join("log")).unwrap());
        // SAFETY: prctl(2) is async-signal-safe; a test that is killed takes its daemon with it.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM);
                Ok(())
            });
        }
        let cgroups = cgroups();
        let daemon = command.spawn().unwrap();
        let docker = Self { daemon, dir, cgroups, rootfs: bench.rootfs() };
        docker.wait_until_ready();
        docker.import();
        Some(docker)
    }

    fn wait_until_ready(&self) {
        let deadline = Instant::now() + DEADLINE;
        while !self.docker(&["version"]).output().unwrap().status.success() {
            assert!(Instant::now() < deadline, "dockerd is not ready:\n{}", self.log());
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }

    fn import(&self) {
        let mut tar = Command::new("tar");
        let mut tar =
            tar.arg("-C").arg(&self.rootfs).args(["-c", "."]).stdout(Stdio::piped()).spawn().unwrap();
        let output =
            self.docker(&["import", "-", "bb:1"]).stdin(tar.stdout.take().unwrap()).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert!(tar.wait().unwrap().success());
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// `docker`, speaking to this daemon.
    pub(crate) fn docker(&self, words: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(self.words(words)).stdin(Stdio::null());
        command
    }

    /// The words behind `docker`.
    pub(crate) fn words(&self, words: &[&str]) -> Vec<String> {
        let host = format!("unix://{}", self.dir.path().join("s").display());
        ["-H", &host].into_iter().chain(words.iter().copied()).map(str::to_owned).collect()
    }

    /// `docker run` of a new container without a network.
    pub(crate) fn run(&self, name: &str, options: &[&str], words: &[&str]) -> Output {
        let line = [&["run", "--name", name, "--network=none"], options, &["bb:1"], words].concat();
        self.docker(&line).output().unwrap()
    }

    /// `ctr run` by the daemon's own containerd, of a root file system.
    pub(crate) fn ctr(&self, id: &str, words: &[&str]) -> Output {
        let socket = self.dir.path().join("exec/containerd/containerd.sock");
        let mut command = Command::new("ctr");
        command.arg("-a").arg(socket).args(["run", "--rm", "--rootfs"]).arg(&self.rootfs).arg(id);
        command.args(words).stdin(Stdio::null()).output().unwrap()
    }

    /// `diag explain OPTIONS -- docker run …`
    pub(crate) fn explain(&self, bench: &Bench, options: &[&str], run: &[&str]) -> Output {
        let words = self.words(&[&["run", "--network=none"], run].concat());
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        bench.run(&[&["explain"], options, &["--", "docker"], words.as_slice()].concat())
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.daemon.id() as i32);
        let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM);
        let deadline = Instant::now() + DEADLINE;
        while self.daemon.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        for mount in fs::read_to_string("/proc/self/mountinfo").unwrap_or_default().lines().rev() {
            let point = mount.split(' ').nth(4).unwrap_or_default();
            if Path::new(point).starts_with(self.dir.path()) {
                let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
            }
        }
        for cgroup in cgroups().iter().filter(|cgroup| !self.cgroups.contains(cgroup)) {
            let _ = fs::remove_dir(cgroup);
        }
    }
}

/// `docker`, and containerd's `default`, below every hierarchy.
fn cgroups() -> Vec<PathBuf> {
    let top = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(top).unwrap().filter_map(Result::ok).map(|entry| entry.path());
    hierarchies
        .chain([top.to_path_buf()])
        .flat_map(|folder| [folder.join("docker"), folder.join("default")])
        .filter(|at| at.is_dir())
        .collect()
}

fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}
