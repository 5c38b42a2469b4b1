//! Boots one kernel in QEMU, runs one command in it, and returns what it printed and how it ended.
//!
//! Emulation only (`-accel tcg`): a nested KVM crashes on some machines that offer it, so it is never tried.
//! The QEMU process dies with this program on every way out, also when this program is killed.

use crate::cache::Cache;
use crate::initramfs::{self, Contents, GuestFile};
use crate::kernels::Kernel;
use crate::setup::QEMU;
use anyhow::{Context, Result, bail};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often output and end are looked for.
const POLL: Duration = Duration::from_millis(50);

/// What of the console is shown when a guest died.
const CONSOLE_TAIL_LINES: usize = 60;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Cgroups {
    #[default]
    V2,
    V1,
}

/// A guest to be; each run boots it afresh.
#[derive(Clone)]
pub(crate) struct Guest {
    pub(crate) kernel: Kernel,
    pub(crate) files: Vec<GuestFile>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) cgroups: Cgroups,
    /// systemd, which is then among the files, becomes process 1 before the job runs.
    pub(crate) systemd: bool,
    pub(crate) memory_mib: u32,
    /// Its clock counts instructions, one a nanosecond, on a single processor: what it measures is the same on every
    /// machine, however busy.
    pub(crate) counts_instructions: bool,
    /// Counted from the start of QEMU; a guest that is not done by then is killed.
    pub(crate) deadline: Duration,
    /// The same for one that printed nothing for so long.
    pub(crate) silence: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Out,
    Err,
}

#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) took: Duration,
}

impl Guest {
    pub(crate) fn new(kernel: Kernel) -> Self {
        Self {
            kernel,
            files: Vec::new(),
            environment: Vec::new(),
            cgroups: Cgroups::default(),
            systemd: false,
            memory_mib: 1536,
            counts_instructions: false,
            deadline: Duration::from_secs(300),
            silence: None,
        }
    }

    /// Boots, runs `argv`, hands its output over as it comes, and returns its exit code.
    pub(crate) fn run(
        &self,
        cache: &Cache,
        argv: &[String],
        sink: &mut dyn FnMut(Stream, &[u8]),
    ) -> Result<Outcome> {
        let started = Instant::now();
        let scratch = cache.scratch()?;
        let folder = scratch.path();
        let job = job(self, argv);
        let contents =
            Contents { busybox: &cache.busybox(), kernel: &self.kernel, job: &job, files: &self.files };
        initramfs::write(&folder.join("initrd"), &contents)?;
        for port in PORTS {
            File::create(folder.join(port))?;
        }
        let mut out = Follower::open(&folder.join("out"))?;
        let mut err = Follower::open(&folder.join("err"))?;
        let mut qemu = Qemu(self.command(folder).spawn().with_context(|| format!("cannot start {QEMU}"))?);
        let mut heard = started;
        loop {
            let ended = qemu.0.try_wait()?;
            for (follower, stream) in [(&mut out, Stream::Out), (&mut err, Stream::Err)] {
                follower.copy(|bytes| {
                    heard = Instant::now();
                    sink(stream, bytes);
                })?;
            }
            if let Some(status) = ended {
                let end = fs::read_to_string(folder.join("end"))?;
                let code = parse_end(&end).with_context(|| {
                    format!("the guest died without an answer (QEMU: {status}); {}", last_words(folder))
                })?;
                return Ok(Outcome { code, took: started.elapsed() });
            }
            if started.elapsed() > self.deadline {
                bail!("the guest was not done after {} s; {}", self.deadline.as_secs(), last_words(folder));
            }
            if let Some(silence) = self.silence.filter(|silence| heard.elapsed() > *silence) {
                bail!("the guest said nothing for {} s; {}", silence.as_secs(), last_words(folder));
            }
            thread::sleep(POLL);
        }
    }

    fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(QEMU);
        let memory = self.memory_mib.to_string();
        // One thread for both processors: with one for each, an emulated processor now and then runs a
        // stale copy of code that the other one patches (a tracepoint switched on), and the guest panics.
        // As in most virtual machines more are possible than there are.
        let processors = if self.counts_instructions { "1" } else { "2,maxcpus=4" };
        command.args(["-accel", "tcg,thread=single", "-cpu", "max", "-smp", processors, "-m", &memory]);
        if self.counts_instructions {
            // A processor that sleeps is woken at once, with the time that it would have slept.
            command.args(["-icount", "shift=0,sleep=off"]);
        }
        command.args(["-nodefaults", "-display", "none", "-no-reboot"]);
        command.arg("-kernel").arg(&self.kernel.image).arg("-initrd").arg(folder.join("initrd"));
        // no_timer_check: on a busy machine the emulated timer is late, and the kernel's check of it panics.
        command.args(["-append", "console=ttyS0 panic=-1 quiet no_timer_check"]);
        command.arg("-serial").arg(format!("file:{}", folder.join("console").display()));
        command.args(["-device", "virtio-serial-pci"]);
        for port in PORTS {
            let path = folder.join(port);
            command.arg("-chardev").arg(format!("file,id={port},path={}", path.display()));
            command.arg("-device").arg(format!("virtserialport,chardev={port},name={port}"));
        }
        let said = File::create(folder.join("qemu")).map_or_else(|_| Stdio::null(), Stdio::from);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(said);
        die_with_parent(&mut command, Signal::SIGKILL);
        command
    }
}

/// Names of the virtio ports, known to the guest's init.
const PORTS: [&str; 3] = ["out", "err", "end"];

/// The kernel sends `signal` to the child when the thread that started it ends, for whatever reason.
pub(crate) fn die_with_parent(command: &mut Command, signal: Signal) {
    // SAFETY: between fork and exec only prctl is called, which is async-signal-safe and allocates nothing.
    unsafe {
        command.pre_exec(move || Ok(prctl::set_pdeathsig(signal)?));
    }
}

/// A running QEMU; dropped, it is dead and reaped.
struct Qemu(Child);

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads what was added to a file since the last look.
struct Follower(File);

impl Follower {
    fn open(path: &Path) -> Result<Self> {
        Ok(Self(File::open(path)?))
    }

    fn copy(&mut self, mut sink: impl FnMut(&[u8])) -> Result<()> {
        let mut bytes = Vec::new();
        self.0.read_to_end(&mut bytes)?;
        if !bytes.is_empty() {
            sink(&bytes);
        }
        Ok(())
    }
}

/// What the guest's init reads: how to mount cgroups, the environment, the words to run.
fn job(guest: &Guest, argv: &[String]) -> String {
    let layout = if guest.cgroups == Cgroups::V1 { "v1" } else { "v2" };
    let manager = if guest.systemd { "systemd" } else { "none" };
    let mut text = format!("cgroup={layout}\nmanager={manager}\n");
    for (name, value) in &guest.environment {
        text += &format!("export {name}={}\n", quote(value));
    }
    let words: Vec<String> = argv.iter().map(|word| quote(word)).collect();
    text + "set -- " + &words.join(" ") + "\n"
}

/// As one word for a POSIX shell, whatever is in it.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn parse_end(text: &str) -> Option<i32> {
    text.lines().find_map(|line| line.strip_prefix("ended "))?.trim().parse().ok()
}

/// The end of the console, and what QEMU itself complained about.
fn last_words(folder: &Path) -> String {
    let console = fs::read(folder.join("console")).unwrap_or_default();
    let text = String::from_utf8_lossy(&console).replace('\r', "");
    // Guessed frames of a kernel's stack dump push out what was said before it.
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains("]  ? ")).collect();
    let tail = lines[lines.len().saturating_sub(CONSOLE_TAIL_LINES)..].join("\n    ");
    let qemu = fs::read_to_string(folder.join("qemu")).unwrap_or_default();
    format!("its console ended with:\n    {tail}\n{qemu}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_job_survives_any_word() {
        let argv = ["sh", "-c", "echo 'a b' $x"].map(str::to_owned);
        let kernel =
            Kernel { series: "0".into(), release: "0".into(), image: "k".into(), modules: "m".into() };
        let environment = vec![("A".to_owned(), "it's".to_owned())];
        let text = job(&Guest { cgroups: Cgroups::V1, environment, ..Guest::new(kernel) }, &argv);
        let script = format!("{text}printf '%s|' \"$cgroup\" \"$A\" \"$@\"");
        let output = Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "v1|it's|sh|-c|echo 'a b' $x|");
    }

    #[test]
    fn the_end_is_the_exit_code_or_nothing() {
        assert_eq!(parse_end("ended 3\n"), Some(3));
        assert_eq!(parse_end(""), None);
        assert_eq!(parse_end("garbage\n"), None);
    }

    #[test]
    fn a_follower_sees_each_byte_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut follower = Follower::open(file.path()).unwrap();
        let mut seen = Vec::new();
        for text in ["one", "", "two"] {
            use std::io::Write;
            file.as_file().write_all(text.as_bytes()).unwrap();
            follower.copy(|bytes| seen.extend_from_slice(bytes)).unwrap();
        }
        assert_eq!(seen, b"onetwo");
    }
}
