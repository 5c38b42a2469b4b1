//! `cargo xtask bench start`: what it takes to start a container and see it end, beside other runtimes.
//!
//! Everybody runs /bin/true of the same busybox in new namespaces, the engines also with cgroup limits, the default
//! capabilities and docker's seccomp filter. All take turns in every round, so that what else the machine does
//! hurts each alike.

mod bundle;
mod peers;
mod steps;
mod table;

use super::document;
use crate::artifacts;
use crate::progress::Working;
use crate::setup::{self, Need};
use crate::shell::find_program;
use anyhow::{Context, Result, bail};
use nix::libc;
use nix::sched::{CloneFlags, setns};
use peers::{Kind, Peer, Place};
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

/// Turns in which memory is measured; it hardly varies.
const MEMORY_TURNS: u32 = 5;

#[derive(clap::Args)]
pub(super) struct Options {
    /// Rounds; every runtime starts one container in each
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(3..=10_000))]
    rounds: u32,
    /// Measure this diag instead of building one
    #[arg(long, value_name = "FILE")]
    diag: Option<std::path::PathBuf>,
    /// Where stores, bundles and states lie: the file system decides what a folder costs
    #[arg(long, value_name = "FOLDER", default_value = "/tmp")]
    place: std::path::PathBuf,
    /// Only print: leave docs/benchmarks.md as it is
    #[arg(long)]
    print_only: bool,
}

/// One runtime's turns.
pub(super) struct Column {
    peer: Peer,
    /// Milliseconds, one for each round.
    times: Vec<f64>,
    peak_kib: Vec<f64>,
    /// Why it cannot be used here, as it said itself.
    broken: Option<String>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("needs root: containers are started (run `sudo -E cargo xtask bench start`)");
    }
    let cache = setup::ensure(Need::Build)?;
    let missing = setup::install_runtimes(&cache);
    let diag = match &options.diag {
        Some(diag) => diag.clone(),
        None => artifacts::release_diag()?.path,
    };
    let place = Place::prepare(&diag, &cache.busybox(), &options.place)?;
    let mut columns: Vec<Column> = peers::all(&place)?
        .into_iter()
        .map(|peer| {
            let broken = missing.as_ref().err().filter(|_| peer.is_missing()).map(|e| format!("{e:#}"));
            Column { peer, times: Vec::new(), peak_kib: Vec::new(), broken }
        })
        .collect();
    let started = Instant::now();
    let working = Working::on(format!("{} rounds of {} runtimes", options.rounds, columns.len()));
    for round in 0..options.rounds {
        // Another one begins each time, so that none always follows the same neighbour.
        let count = columns.len();
        for turn in 0..count {
            columns[(turn + round as usize) % count].take_turn(&place, round);
        }
    }
    for turn in 0..MEMORY_TURNS {
        columns.iter_mut().for_each(|column| column.measure_memory(&place, options.rounds + turn));
    }
    working.done("ok");
    let table = table::Table::new(&columns, options.rounds, started.elapsed())?;
    print!("{}", table.text());
    let diag = columns.iter().find(|column| column.peer.kind == Kind::Diag && column.broken.is_none());
    let first = options.rounds + MEMORY_TURNS;
    let steps = diag.map(|diag| steps::Steps::measure(diag, &place, first)).transpose()?;
    let steps = steps.map(|steps| steps.markdown()).unwrap_or_default();
    print!("{steps}");
    if !options.print_only {
        let place = document::file_system(&options.place)?;
        document::put("start", &(table.markdown(&place) + &steps))?;
    }
    Ok(if table.goal_is_met() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

impl Column {
    fn take_turn(&mut self, place: &Place, round: u32) {
        if self.broken.is_some() {
            return;
        }
        let begin = Instant::now();
        let status = self.command(place, &self.peer.words(round)).status();
        let took = begin.elapsed();
        match status {
            Ok(status) if status.success() => self.times.push(took.as_secs_f64() * 1e3),
            Ok(status) => self.broken = Some(self.complaint(place, round, &status.to_string())),
            Err(error) => self.broken = Some(error.to_string()),
        }
    }

    /// Through busybox' `time`, because a process counts the memory of the one that forked it as its own until
    /// then (kernel: exec_mmap, setmax_mm_hiwater_rss), and busybox has next to none.
    fn measure_memory(&mut self, place: &Place, round: u32) {
        if self.broken.is_some() {
            return;
        }
        let busybox = place.busybox.display().to_string();
        let prefix = [busybox.as_str(), "time", "-f", "%M"].map(str::to_owned);
        let mut words = self.peer.words(round);
        // By its path, or busybox would take its own unshare.
        if let Some(program) = find_program(&words[0]) {
            words[0] = program.display().to_string();
        }
        let words = [prefix.as_slice(), &words].concat();
        let output = self.command(place, &words).stderr(Stdio::piped()).output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned());
        self.peak_kib.extend(said.ok().and_then(|said| said.trim().parse::<f64>().ok()));
    }

    fn command(&self, place: &Place, words: &[String]) -> Command {
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let hidden = place.without_v2.as_ref().filter(|_| self.peer.needs_v1_only);
        let namespace = hidden.and_then(|hidden| hidden.namespace().ok());
        // SAFETY: setns(2) and nothing else; without a namespace nothing at all. Everybody is forked alike.
        unsafe { command.pre_exec(move || enter(namespace.as_ref())) };
        command
    }

    /// What a runtime said when it failed.
    fn complaint(&self, place: &Place, round: u32, status: &str) -> String {
        let again = self.command(place, &self.peer.words(round + 1_000_000)).stderr(Stdio::piped()).output();
        let said = again.map(|output| String::from_utf8_lossy(&output.stderr).trim().to_owned());
        format!("{status}: {}", said.unwrap_or_default())
    }
}

fn enter(namespace: Option<&File>) -> std::io::Result<()> {
    namespace.map_or(Ok(()), |namespace| Ok(setns(namespace, CloneFlags::CLONE_NEWNS)?))
}

/// A mount namespace without the v2 hierarchy of a hybrid machine, held open by a process that sleeps there: crun
/// refuses to run beside a v2 hierarchy that has controllers.
pub(super) struct WithoutV2(std::process::Child);

impl WithoutV2 {
    pub(super) fn make() -> Result<Option<WithoutV2>> {
        if !Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists() {
            return Ok(None);
        }
        let mut command = Command::new("unshare");
        command.args(["-m", "--propagation", "private", "sh", "-c"]);
        command.arg("umount /sys/fs/cgroup/unified && echo ready && exec sleep 1000000");
        crate::guest::die_with_parent(&mut command, nix::sys::signal::Signal::SIGKILL);
        let mut child = command.stdout(Stdio::piped()).spawn().context("cannot start unshare")?;
        let mut first = [0; 5];
        let out = child.stdout.as_mut().context("no pipe")?;
        std::io::Read::read_exact(out, &mut first).context("the v2 hierarchy cannot be hidden from crun")?;
        Ok(Some(WithoutV2(child)))
    }

    fn namespace(&self) -> Result<File> {
        Ok(File::open(format!("/proc/{}/ns/mnt", self.0.id()))?)
    }
}

impl Drop for WithoutV2 {
    fn drop(&mut self) {
        // SAFETY: a pid and a number; the child is ours and not reaped, so the pid is its own.
        unsafe { libc::kill(self.0.id() as i32, libc::SIGKILL) };
        let _ = self.0.wait();
    }
}
