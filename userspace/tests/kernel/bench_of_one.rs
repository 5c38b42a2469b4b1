//! What every test needs: the program, a folder of its own, limits that go back to what they were, and a
//! machine that looks afterwards as it did before.

use crate::traces::Traces;
use nix::sys::signal::Signal;
use serde_json::Value;
use std::{
    env, fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard, mpsc},
    time::{Duration, Instant},
};

pub(crate) const MOUNT_MAX: &str = "/proc/sys/fs/mount-max";

/// Longest any single wait takes, also in an emulated guest.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

/// Tests here change limits of the whole machine, so one runs at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A test's surroundings; `None` when this machine cannot run it (said on stdout).
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    before: Traces,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    pub(crate) fn open() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            assert!(env::var_os("DIAG_REQUIRE_ROOT").is_none(), "these tests must run as root here");
            println!("skipped: needs root");
            return None;
        }
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let dir = tempfile::tempdir().unwrap();
        Some(Self { dir, before: Traces::take(), _turn: turn })
    }

    /// `diag` with a journal and a store of this test's own.
    pub(crate) fn diag(&self, args: &[&str]) -> Command {
        let mut c = Command::new(program());
        c.args(args)
            .env("DIAG_JOURNAL", self.dir.path().join("journal.db"))
            .env("DIAG_ROOT", self.dir.path().join("engine"))
            .env_remove("DIAG_DISABLE")
            .stdin(Stdio::null());
        c
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.diag(args).output().unwrap()
    }

    /// Runs and expects this exit code, and returns stdout.
    pub(crate) fn expect(&self, code: i32, args: &[&str]) -> String {
        let out = self.run(args);
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        assert_eq!(out.status.code(), Some(code), "diag {args:?}\nstdout:\n{stdout}\nstderr:\n{stderr}");
        stdout
    }

    pub(crate) fn json(&self, code: i32, args: &[&str]) -> Value {
        let stdout = self.expect(code, args);
        serde_json::from_str(&stdout).unwrap_or_else(|e| panic!("{args:?}: {e} in:\n{stdout}"))
    }

    /// Explains many faults with one start, which takes an emulated processor longer than any of them. The command fails:
    /// what is refused to one that succeeds is often no failure.
    pub(crate) fn provoked(&self, cause: &str, variants: &[&str]) -> Value {
        let program = self.diag(&[]).get_program().to_str().unwrap().to_owned();
        let provoke = format!("{program} repro {cause} --provoke --variant");
        let script: String = variants.iter().map(|variant| format!("{provoke} {variant}\n")).collect();
        self.json(1, &["explain", "--json", "--", "sh", "-c", &(script + "exit 1")])
    }

    /// An image of the static busybox, called `bb`.
    pub(crate) fn image(&self) {
        let rootfs = self.rootfs();
        self.expect(0, &["import", rootfs.to_str().unwrap(), "bb"]);
    }

    /// A folder with the static busybox and what it is called by.
    pub(crate) fn rootfs(&self) -> PathBuf {
        let rootfs = self.dir.path().join("rootfs");
        fs::create_dir_all(rootfs.join("bin")).unwrap();
        fs::copy(busybox(), rootfs.join("bin/busybox")).unwrap();
        for applet in ["sh", "true", "false", "sleep", "echo", "mount", "cat"] {
            std::os::unix::fs::symlink("busybox", rootfs.join("bin").join(applet)).unwrap();
        }
        rootfs
    }

    /// Compares tracefs, BPF programs and links, mounts, cgroups and sysctls with the start.
    pub(crate) fn nothing_left(self) {
        self.nothing_left_yet();
    }

    /// The same in the middle of a test.
    pub(crate) fn nothing_left_yet(&self) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let now = Traces::take();
            if now.is_as(&self.before) {
                return;
            }
            // Cgroups and mounts of a dead container go a moment after it.
            assert!(Instant::now() < deadline, "left behind:\n{}", now.beyond(&self.before));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A sysctl with another value for a while.
pub(crate) struct Lowered {
    file: &'static str,
    before: String,
}

impl Lowered {
    pub(crate) fn mount_max(to: u64) -> Self {
        let before = fs::read_to_string(MOUNT_MAX).unwrap();
        let guard = Self { file: MOUNT_MAX, before };
        fs::write(MOUNT_MAX, to.to_string()).unwrap();
        guard
    }
}

impl Drop for Lowered {
    fn drop(&mut self) {
        if let Err(e) = fs::write(self.file, &self.before) {
            eprintln!("{} is not back at {}: {e}", self.file, self.before);
        }
    }
}

/// `diag watch --json` in the background.
pub(crate) struct Watch {
    child: Child,
    lines: mpsc::Receiver<Value>,
    /// What it says on stderr once it watches, and what it said until then.
    says: mpsc::Receiver<String>,
    pub(crate) ready: String,
}

impl Watch {
    /// Without a budget: an emulated processor takes a long time for everything.
    pub(crate) fn start(bench: &Bench) -> Self {
        Self::start_with(bench, &["--budget", "100"])
    }

    pub(crate) fn start_with(bench: &Bench, more: &[&str]) -> Self {
        let mut diag = bench.diag(&["watch", "--json"]);
        let mut child = diag.args(more).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (said, heard) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if let Ok(value) = serde_json::from_str(&line) {
                    let _ = said.send(value);
                }
            }
        });
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut ready = String::new();
        loop {
            let mut line = String::new();
            assert!(stderr.read_line(&mut line).unwrap() > 0, "watch ended before it was ready: {ready}");
            ready += &line;
            if line.starts_with("watching") {
                break;
            }
        }
        let (weather, says) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                println!("watch: {line}");
                let _ = weather.send(line);
            }
        });
        Self { child, lines: heard, says, ready }
    }

    /// The next answer that fits.
    pub(crate) fn next(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + DEADLINE;
        let mut others = Vec::new();
        while let Ok(v) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            if fits(&v) {
                return v;
            }
            others.push(v);
        }
        panic!("nothing fitting was reported; what came instead: {others:#?}")
    }

    /// Whether it has said a line with these words.
    pub(crate) fn has_said(&self, words: &str) -> bool {
        self.says.try_iter().any(|line| line.contains(words))
    }

    /// Everything reported so far.
    pub(crate) fn so_far(&self) -> Vec<Value> {
        self.lines.try_iter().collect()
    }

    /// The most memory it has had at once (VmHWM, proc(5)).
    pub(crate) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Stops it for a while: what happens meanwhile it can only hear of afterwards.
    pub(crate) fn hold_still(&self) {
        self.signal(Signal::SIGSTOP);
    }

    pub(crate) fn go_on(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    pub(crate) fn kill_9(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it as a user would, and returns its exit code and what it still said.
    pub(crate) fn end(mut self) -> (Option<i32>, Vec<Value>) {
        self.signal(Signal::SIGTERM);
        let code = self.child.wait().unwrap().code();
        (code, self.lines.iter().collect())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program() -> PathBuf {
    env::var_os("DIAG_BIN").map_or_else(|| env!("CARGO_BIN_EXE_diag").into(), PathBuf::from)
}

fn busybox() -> PathBuf {
    let cache = env::var_os("DIAG_BUILD_CACHE").map(PathBuf::from).or_else(|| {
        let base = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let base = base.or_else(|| env::var_os("HOME").map(|h| Path::new(&h).join(".cache")))?;
        Some(base.join("diag-build"))
    });
    let candidates = [
        env::var_os("DIAG_BUSYBOX").map(PathBuf::from),
        cache.map(|c| c.join("busybox/busybox")),
        Some("/bin/busybox".into()),
    ];
    candidates
        .into_iter()
        .flatten()
        .find(|p| p.is_file())
        .expect("a static busybox is needed: `cargo xtask setup` installs one")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Since Linux 7 a tracepoint's program can be preempted, and the kernel skips it, and counts that, for
/// whoever runs on that processor meanwhile.
pub(crate) fn has_preemptible_probes() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    release.split('.').next().and_then(|major| major.parse::<u32>().ok()).unwrap() >= 7
}

/// Mounts in this process's mount namespace.
pub(crate) fn mounts_here() -> u64 {
    fs::read_to_string("/proc/self/mountinfo").unwrap().lines().count() as u64
}

/// Whether this kernel traces kernel paths; a guest that should must.
pub(crate) fn has_function_graph(answer: &Value) -> bool {
    let state = answer["host"]["capture"]["function_graph"].as_str().unwrap_or_default();
    let has = state == "instance" || state == "top";
    assert!(has || env::var_os("DIAG_REQUIRE_FUNCTION_GRAPH").is_none(), "no function_graph here: {state}");
    if !has {
        println!("no kernel path here: {state}");
    }
    has
}

/// The first finding of the first incident.
pub(crate) fn finding(answer: &Value) -> &Value {
    &answer["incidents"][0]["findings"][0]
}

/// The first findings of incidents, each with its incident.
pub(crate) fn findings(answer: &Value) -> Vec<(&Value, &Value)> {
    let incidents = answer["incidents"].as_array().unwrap();
    incidents.iter().map(|incident| (incident, &incident["findings"][0])).collect()
}

/// Words that run another test as a child: one that does nothing unless it is asked to.
pub(crate) fn child<'a>(exe: &'a str, name: &'a str) -> [&'a str; 8] {
    ["env", "DIAG_TEST_CHILD=1", exe, "--exact", name, "--nocapture", "--test-threads", "1"]
}

pub(crate) fn exe() -> String {
    env::current_exe().unwrap().to_str().unwrap().to_string()
}

pub(crate) fn wanted() -> bool {
    env::var_os("DIAG_TEST_CHILD").is_some()
}
