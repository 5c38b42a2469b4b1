//! The variants: each is started, waited for until it watches, and ended again.

use super::loops::{self, LOOPS, VERB};
use super::{Turn, kernel};
use crate::guest::die_with_parent;
use crate::shell::{display, find_program, output_of};
use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, SysconfVar, sysconf};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Until a tool watches, or has ended.
const DEADLINE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

/// After its start diag has the kernel measure all BPF programs for a moment, which costs each run two clock readings
/// (userspace/src/capture/cost.rs); later that is half a second of every thirty, and not what is measured here.
const SELF_MEASUREMENT: Duration = Duration::from_secs(1);

/// The errno that bpftrace filters on; the loops never meet it, as in an ordinary hour of a machine.
const BPFTRACE: &str = "tracepoint:raw_syscalls:sys_exit /args->ret == -28/ { @[comm, args->id] = count(); } \
                        interval:ms:200 { printf(\"ready\\n\"); }";

/// What strace stops at: the calls of the loops that can fail, and those that containers fail in.
const STRACE: &str =
    "trace=mount,umount2,move_mount,fsmount,open,openat,clone,clone3,vfork,unshare,setns,execve";

pub(crate) struct Place {
    pub(crate) diag: PathBuf,
    pub(crate) loops: PathBuf,
    pub(crate) scratch: tempfile::TempDir,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Nothing,
    Bare,
    Diag,
    /// Attached to the whole machine.
    Beside,
    /// Runs the loops as its child.
    Around,
}

pub(crate) struct Tool {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Program and arguments; empty where nothing is started.
    pub(crate) words: Vec<String>,
    /// The line by which it says that it watches; tools without one write failures into their output.
    ready: Option<&'static str>,
}

/// In the order of the table. `diag watch` comes twice where this kernel traces kernel paths.
pub(crate) fn all(place: &Place) -> Result<Vec<Tool>> {
    let tool = |name, kind, words: &[&str], ready| Tool {
        name,
        kind,
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        ready,
    };
    let journal = place.file("journal.db").display().to_string();
    let engine = place.file("engine").display().to_string();
    let diag = ["diag", "watch", "--json", "--journal", &journal, "--root", &engine];
    let with_paths = tool("diag watch", Kind::Diag, &diag, Some("watching"));
    let without = [&diag[..], &["--capture", "light"]].concat();
    let mut tools = vec![
        tool("nothing", Kind::Nothing, &[], None),
        tool("bare raw tracepoint", Kind::Bare, &[], None),
        tool("diag watch --capture light", Kind::Diag, &without, Some("watching")),
    ];
    if with_paths.start(place)?.said.contains("kernel paths by") {
        tools.push(with_paths);
    }
    tools.extend([
        tool("bpftrace", Kind::Beside, &["bpftrace", "-e", BPFTRACE], Some("ready")),
        tool("perf trace", Kind::Beside, &["perf", "trace", "-a", "--failure"], None),
        tool("strace", Kind::Around, &["strace", "-f", "--seccomp-bpf", "-Z", "-e", STRACE], None),
    ]);
    Ok(tools)
}

impl Tool {
    pub(crate) fn is_missing(&self) -> bool {
        matches!(self.kind, Kind::Beside | Kind::Around) && find_program(&self.words[0]).is_none()
    }

    /// As one would type it.
    pub(crate) fn shown(&self) -> String {
        let quoted = |word: &String| match word.contains([' ', '{']) {
            true => format!("'{word}'"),
            false if word.starts_with('/') => "…".to_owned(),
            false => word.clone(),
        };
        self.words.iter().map(quoted).collect::<Vec<_>>().join(" ")
    }

    pub(crate) fn measure(&self, place: &Place) -> Result<Turn> {
        let bare = match self.kind {
            Kind::Bare => Some(kernel::Bare::attach()?),
            _ => None,
        };
        let running = match self.kind {
            Kind::Diag | Kind::Beside => Some(self.start(place)?),
            _ => None,
        };
        let mut command = match self.kind {
            Kind::Around => {
                let mut around = Command::new(&self.words[0]);
                around.args(&self.words[1..]).args(["-o", "/dev/null"]).arg(&place.loops);
                around
            }
            _ => Command::new(&place.loops),
        };
        command.arg(VERB);
        let (started, before) = (Instant::now(), running.as_ref().and_then(Running::cpu));
        let printed = output_of(&mut command)?;
        let (watched, after) = (started.elapsed(), running.as_ref().and_then(Running::cpu));
        let cpu = before.zip(after).map(|(before, after)| (after - before) / watched.as_secs_f64());
        let turn = Turn {
            samples: loops::parse(&printed, &LOOPS)?,
            cpu,
            peak_kib: running.as_ref().and_then(Running::peak_kib),
        };
        if let Some(running) = running {
            running.end()?;
        }
        drop(bare);
        Ok(turn)
    }

    /// Starts it and returns when it watches.
    fn start(&self, place: &Place) -> Result<Running> {
        let (out, err) = (place.file("out"), place.file("err"));
        let program = match self.kind {
            Kind::Diag => place.diag.clone(),
            _ => PathBuf::from(&self.words[0]),
        };
        let mut command = Command::new(program);
        command.args(&self.words[1..]).env_remove("DIAG_DISABLE");
        command.stdin(Stdio::null()).stdout(File::create(&out)?).stderr(File::create(&err)?);
        die_with_parent(&mut command, Signal::SIGTERM);
        let child = command.spawn().with_context(|| format!("cannot start {}", display(&command)))?;
        let mut running = Running { child, said: String::new() };
        let deadline = Instant::now() + DEADLINE;
        loop {
            if self.ready.is_none() {
                // Failures for it to write down: more than its output keeps back.
                (0..200).for_each(|_| drop(File::open("/no-such-file-of-the-bench")));
            }
            let text = |file| fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            running.said = text(&err)? + &text(&out)?;
            let ready = match self.ready {
                Some(line) => running.said.contains(line),
                None => running.said.contains("= -1 ENOENT"),
            };
            if ready {
                if self.kind == Kind::Diag {
                    thread::sleep(SELF_MEASUREMENT);
                }
                return Ok(running);
            }
            if let Some(status) = running.child.try_wait()? {
                bail!("`{}` ended with {status}: {}", self.words[0], end_of(&running.said));
            }
            if Instant::now() > deadline {
                bail!(
                    "`{}` did not watch after {} s: {}",
                    self.words[0],
                    DEADLINE.as_secs(),
                    end_of(&running.said)
                );
            }
            thread::sleep(POLL);
        }
    }
}

/// The last of what a tool said: perf says thousands of lines before it fails.
fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

/// A tool at work; dropped, it is dead.
struct Running {
    child: Child,
    said: String,
}

impl Running {
    /// Processor time used so far, in seconds: proc(5), fields 14 and 15 of `stat`.
    fn cpu(&self) -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
        Some(ticks / sysconf(SysconfVar::CLK_TCK).ok()?? as f64)
    }

    fn peak_kib(&self) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// As a user would, so that it can clean up.
    fn end(mut self) -> Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), Signal::SIGINT)?;
        let deadline = Instant::now() + DEADLINE;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                bail!("did not end");
            }
            thread::sleep(POLL);
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
