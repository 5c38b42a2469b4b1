//! The engines' daemons, in folders of their own, with one image; all of it gone when dropped.

use super::cells::{ENGINES, Engine, FOLLOWER};
use crate::guest::die_with_parent;
use crate::programs::libraries_of;
use crate::shell::{find_program, output_of};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(120);
const APPLETS: [&str; 7] = ["sh", "true", "sleep", "tail", "echo", "cat", "timeout"];

pub(super) struct Scene {
    pub(super) diag: PathBuf,
    // Short, because a socket's path may have 108 letters (unix(7)).
    dir: tempfile::TempDir,
    daemons: Vec<Child>,
    names: Cell<u32>,
}

impl Scene {
    pub(super) fn start(busybox: &Path, diag: PathBuf) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("de").tempdir()?;
        let mut scene = Self { diag, dir, daemons: vec![], names: Cell::new(0) };
        let bin = scene.dir.path().join("rootfs/bin");
        fs::create_dir_all(&bin)?;
        fs::copy(busybox, bin.join("busybox"))?;
        for applet in APPLETS {
            symlink("busybox", bin.join(applet))?;
        }
        for folder in ["proc", "dev", "sys", "tmp"] {
            fs::create_dir_all(scene.dir.path().join("rootfs").join(folder))?;
        }
        scene.add_follower()?;
        if scene.missing(Engine::Docker).is_none() {
            let (root, exec, pid, socket) =
                (scene.at("d"), scene.at("x"), scene.at("p"), scene.docker_host());
            let words = ["--data-root", &root, "--exec-root", &exec, "--pidfile", &pid, "-H", &socket];
            let network = ["--bridge=none", "--iptables=false", "--ip6tables=false"];
            scene.daemon("dockerd", &[&words[..], &network].concat())?;
            scene.until("docker", &["-H", &socket, "version"])?;
            scene.import(&["docker", "-H", &socket, "import", "-", "bb:1"])?;
        }
        if scene.missing(Engine::PodmanRunc).is_none() || scene.missing(Engine::PodmanCrun).is_none() {
            let podman = scene.podman("runc");
            let mut words: Vec<&str> = podman.iter().map(String::as_str).collect();
            words.extend(["import", "-", "bb:1"]);
            scene.import(&words)?;
        }
        if scene.missing(Engine::Ctr).is_none() {
            let (root, state, socket) = (scene.at("c"), scene.at("cs"), scene.at("c.sock"));
            scene.daemon("containerd", &["--root", &root, "--state", &state, "-a", &socket])?;
            scene.until("ctr", &["-a", &socket, "version"])?;
        }
        let rootfs = scene.at("rootfs");
        output_of(Command::new(&scene.diag).args(["import", &rootfs, "bb"]).envs(scene.environment()))?;
        Ok(scene)
    }

    /// GNU tail, which follows a file by inotify(7), and the libraries it is linked with.
    fn add_follower(&self) -> Result<()> {
        let Some(tail) = find_program("tail") else { return Ok(()) };
        let libraries = libraries_of(&tail)?.into_iter().map(|library| (library.clone(), library));
        for (from, to) in libraries.chain([(tail, PathBuf::from(FOLLOWER))]) {
            let to = self.dir.path().join("rootfs").join(to.strip_prefix("/").unwrap_or(&to));
            fs::create_dir_all(to.parent().unwrap_or(&to))?;
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
        Ok(())
    }

    pub(super) fn at(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn docker_host(&self) -> String {
        format!("unix://{}", self.at("d.sock"))
    }

    fn podman(&self, runtime: &str) -> Vec<String> {
        let words =
            ["podman", "--root", &self.at("p-root"), "--runroot", &self.at("p-run"), "--runtime", runtime];
        words.map(str::to_owned).to_vec()
    }

    pub(super) fn environment(&self) -> [(&'static str, String); 2] {
        [("DIAG_JOURNAL", self.at("journal.db")), ("DIAG_ROOT", self.at("engine"))]
    }

    /// Why an engine cannot be had here.
    pub(super) fn missing(&self, engine: Engine) -> Option<String> {
        let missing: Vec<_> =
            engine.programs().iter().filter(|p| find_program(p).is_none()).copied().collect();
        (!missing.is_empty()).then(|| format!("not installed here: {}", missing.join(", ")))
    }

    pub(super) fn fresh_name(&self) -> String {
        self.names.set(self.names.get() + 1);
        format!("cell-{}", self.names.get())
    }

    /// What `runc spec` writes, the same for both runtimes.
    pub(super) fn spec(&self) -> Result<serde_json::Value> {
        let folder = self.at("spec");
        let file = Path::new(&folder).join("config.json");
        if !file.exists() {
            fs::create_dir_all(&folder)?;
            let runtime = if find_program("runc").is_some() { "runc" } else { "crun" };
            output_of(Command::new(runtime).arg("spec").current_dir(&folder))?;
        }
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    /// `ENGINE run` of one container.
    pub(super) fn command(
        &self,
        engine: Engine,
        name: &str,
        options: &[String],
        inside: &[&str],
    ) -> Vec<String> {
        let rootfs = self.at("rootfs");
        let mut words: Vec<String> = match engine {
            Engine::Docker => {
                let socket = self.docker_host();
                let mut words = ["docker", "-H", &socket, "run", "--rm", "--name", name, "--network=none"]
                    .map(str::to_owned)
                    .to_vec();
                // dockerd insists on loading its own profile where the kernel has AppArmor.
                if find_program("apparmor_parser").is_none() {
                    words.extend(["--security-opt", "apparmor=unconfined"].map(str::to_owned));
                }
                words
            }
            Engine::PodmanRunc | Engine::PodmanCrun => {
                let mut words = self.podman(if engine == Engine::PodmanRunc { "runc" } else { "crun" });
                words.extend(["run", "--rm", "--name", name, "--network=none"].map(str::to_owned));
                // Its defaults are above what root without CAP_SYS_RESOURCE may set.
                if !options.iter().any(|option| option.starts_with("nofile")) {
                    words.extend(["--ulimit", "nofile=1024:1024"].map(str::to_owned));
                }
                words.extend(["--ulimit", "nproc=1024:1024"].map(str::to_owned));
                words
            }
            Engine::Ctr => ["ctr", "-a", &self.at("c.sock"), "run", "--rm"].map(str::to_owned).to_vec(),
            Engine::Diag => {
                let diag = self.diag.display().to_string();
                [diag.as_str(), "run", "--rm", "--name", name].map(str::to_owned).to_vec()
            }
            Engine::Bwrap => {
                let words =
                    ["bwrap", "--bind", &rootfs, "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all"];
                words.map(str::to_owned).to_vec()
            }
            _ => ["unshare", "-mpfuin", "--mount-proc", "-R", &rootfs].map(str::to_owned).to_vec(),
        };
        words.extend_from_slice(options);
        match engine {
            Engine::Docker | Engine::PodmanRunc | Engine::PodmanCrun => words.push("bb:1".into()),
            Engine::Ctr => words.extend(["--rootfs", &rootfs, name].map(str::to_owned)),
            Engine::Diag => words.push("bb".into()),
            _ => {}
        }
        words.extend(inside.iter().map(|word| (*word).to_owned()));
        words
    }

    /// Removes what a failed start left behind.
    pub(super) fn clean(&self, engine: Engine, name: &str) {
        let podman = self.podman("runc");
        let words: Vec<&str> = match engine {
            Engine::Docker => vec!["docker", "rm", "-f", name],
            Engine::PodmanRunc | Engine::PodmanCrun => {
                podman.iter().map(String::as_str).chain(["rm", "-f", "-t", "0", name]).collect()
            }
            Engine::Diag => vec!["diag", "rm", "-f", name],
            _ => return,
        };
        let program = if engine == Engine::Diag { self.diag.clone() } else { words[0].into() };
        let mut command = Command::new(program);
        command.args(&words[1..]).envs(self.environment()).env("DOCKER_HOST", self.docker_host());
        // It is gone already where the engine kept nothing of it.
        let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Where everything of it lies, and goes with it.
    pub(super) fn folder(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn versions(&self) -> String {
        let here = ENGINES.iter().flat_map(|engine| engine.programs()).filter(|p| find_program(p).is_some());
        let mut programs: Vec<&str> = here.copied().filter(|p| !["docker", "ctr"].contains(p)).collect();
        programs.sort_unstable();
        programs.dedup();
        let version = |program: &str| {
            let text = output_of(Command::new(program).arg("--version")).ok()?;
            let line = text.lines().next()?.to_owned();
            Some(if line.contains(program) { line } else { format!("{program} {line}") })
        };
        let mut versions: Vec<String> = programs.iter().filter_map(|program| version(program)).collect();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        // The machine's own suffix says nothing to others.
        versions.insert(0, format!("Linux {}", kernel.trim().split('-').next().unwrap_or_default()));
        versions.join("; ")
    }

    fn daemon(&mut self, program: &str, words: &[&str]) -> Result<()> {
        let log = fs::File::create(self.dir.path().join(format!("{program}.log")))?;
        let mut command = Command::new(program);
        command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        die_with_parent(&mut command, Signal::SIGTERM);
        self.daemons.push(command.spawn().with_context(|| format!("cannot start {program}"))?);
        Ok(())
    }

    /// Asks until the daemon answers.
    fn until(&self, program: &str, words: &[&str]) -> Result<()> {
        let deadline = Instant::now() + DEADLINE;
        while output_of(Command::new(program).args(words)).is_err() {
            if Instant::now() > deadline {
                bail!("{program} {}: no answer", words.join(" "));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    fn import(&self, words: &[&str]) -> Result<()> {
        let rootfs = self.at("rootfs");
        let mut tar = Command::new("tar").args(["-C", &rootfs, "-c", "."]).stdout(Stdio::piped()).spawn()?;
        let from = tar.stdout.take().context("tar has no output")?;
        let output = Command::new(words[0]).args(&words[1..]).stdin(from).output()?;
        if !tar.wait()?.success() || !output.status.success() {
            bail!("{}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(())
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        for daemon in &mut self.daemons {
            let _ = kill(Pid::from_raw(daemon.id() as i32), Signal::SIGTERM);
            let deadline = Instant::now() + DEADLINE;
            while daemon.try_wait().is_ok_and(|ended| ended.is_none()) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        for line in mounts.lines().rev() {
            let point = line.split(' ').nth(4).unwrap_or_default();
            if Path::new(point).starts_with(self.dir.path()) {
                let _ = nix::mount::umount2(point, nix::mount::MntFlags::MNT_DETACH);
            }
        }
    }
}
