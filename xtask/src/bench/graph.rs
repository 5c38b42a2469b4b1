//! `cargo xtask bench graph`: how fast recordings of function_graph become call trees, beside `trace-cmd report`.
//!
//! Both read the same recording on one processor, and take turns in every round. Processor time is compared, not the
//! clock on the wall: on a busy machine that one measures the others.

mod record;

use super::document;
use super::statistics::{Spread, median, spread};
use crate::artifacts;
use crate::progress::Working;
use crate::setup::{self, Need};
use anyhow::{Context, Result, bail};
use nix::libc;
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use record::Files;
use std::fmt::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

/// At least so many times as fast as `trace-cmd report`.
const GOAL: f64 = 5.0;
/// On which the recording is made: trace-cmd of all Debian releases reads its files.
const KERNEL: &str = "6.12";

#[derive(clap::Args)]
pub(super) struct Options {
    /// Rounds; every reader has one turn in each
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(3..=1000))]
    rounds: u32,
    /// Measure this diag instead of building one
    #[arg(long, value_name = "FILE")]
    diag: Option<PathBuf>,
    /// Keep the recording in this folder, or use the one that is there
    #[arg(long, value_name = "FOLDER")]
    recording: Option<PathBuf>,
    /// Only print: leave docs/benchmarks.md as it is
    #[arg(long)]
    print_only: bool,
}

struct Column {
    name: &'static str,
    words: Vec<String>,
    file: PathBuf,
    /// The row it is compared with; the peers are compared with nothing.
    against: Option<usize>,
    /// Of how many recordings' length its file is.
    times: f64,
    milliseconds: Vec<f64>,
    peak_kib: Vec<f64>,
}

pub(super) fn run(options: &Options) -> Result<ExitCode> {
    let cache = setup::ensure(Need::Guests(&[KERNEL.to_owned()]))?;
    setup::install_trace_cmd(&cache)?;
    let diag = match &options.diag {
        Some(diag) => diag.clone(),
        None => artifacts::release_diag()?.path,
    };
    let scratch = tempfile::tempdir()?;
    let folder = options.recording.as_deref().unwrap_or(scratch.path());
    std::fs::create_dir_all(folder)?;
    let files = Files::make(&cache, KERNEL, folder)?;
    let mut columns = columns(&diag, &files);
    let working = Working::on(format!("{} rounds of {} readers", options.rounds, columns.len()));
    for round in 0..options.rounds {
        // Another one begins each time, so that none always follows the same neighbour.
        let count = columns.len();
        for turn in 0..count {
            columns[(turn + round as usize) % count].take_turn(&cache.busybox())?;
        }
    }
    working.done("ok");
    let calls = calls(&diag, &files.packed)?;
    let text = markdown(&columns, options.rounds, calls)?;
    println!("{text}");
    if !options.print_only {
        document::put("graph", &text)?;
    }
    Ok(if goal_is_met(&columns) { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn columns(diag: &Path, files: &Files) -> Vec<Column> {
    let column = |name, program: &Path, word: &str, file: &PathBuf, against| Column {
        name,
        words: vec![program.display().to_string(), word.to_owned(), file.display().to_string()],
        file: file.clone(),
        against,
        times: 1.0,
        milliseconds: Vec::new(),
        peak_kib: Vec::new(),
    };
    let trace_cmd = Path::new("trace-cmd");
    let mut columns = vec![
        column("trace-cmd, trace.dat 7 (zstd)", trace_cmd, "report", &files.packed, None),
        column("trace-cmd, trace.dat 6", trace_cmd, "report", &files.plain, None),
        column("diag, trace.dat 7 (zstd)", diag, "graph", &files.packed, Some(0)),
        column("diag, trace.dat 6", diag, "graph", &files.plain, Some(1)),
        column("diag, the kernel's text", diag, "graph", &files.text, Some(0)),
        column("diag, the text of trace-cmd report", diag, "graph", &files.report, Some(0)),
        column("diag, the kernel's text four times over", diag, "graph", &files.long, Some(0)),
    ];
    if let Some(last) = columns.last_mut() {
        last.times = 4.0;
    }
    columns
}

impl Column {
    /// Through busybox' `time`, because a process counts the memory of the one that forked it as its own until then.
    fn take_turn(&mut self, busybox: &Path) -> Result<()> {
        let mut command = Command::new(busybox);
        command.args(["time", "-f", "peak %M"]).args(&self.words);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut one = CpuSet::new();
        one.set(0)?;
        // SAFETY: one system call, which allocates nothing.
        unsafe { command.pre_exec(move || Ok(sched_setaffinity(Pid::from_raw(0), &one)?)) };
        let before = children_ms();
        let output = command.output().with_context(|| format!("cannot start {}", busybox.display()))?;
        self.milliseconds.push(children_ms() - before);
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            bail!("{} ended with {}: {said}", self.name, output.status);
        }
        let peak =
            said.lines().find_map(|line| line.strip_prefix("peak ")).and_then(|n| n.parse::<f64>().ok());
        self.peak_kib.extend(peak);
        Ok(())
    }

    /// How many times as fast, per recording, as what it is compared with: the median over the rounds.
    fn speed(&self, columns: &[Self]) -> Option<f64> {
        let peer = columns.get(self.against?)?;
        let ratios =
            self.milliseconds.iter().zip(&peer.milliseconds).map(|(own, peer)| peer * self.times / own);
        median(ratios.collect())
    }
}

/// Processor time of all children that have ended, the kernel's part included.
fn children_ms() -> f64 {
    // SAFETY: a structure of numbers, for which zeros are a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the structure is the one that getrusage(2) fills.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage) };
    let ms = |time: libc::timeval| time.tv_sec as f64 * 1e3 + time.tv_usec as f64 / 1e3;
    ms(usage.ru_utime) + ms(usage.ru_stime)
}

/// How many calls the recording holds.
fn calls(diag: &Path, file: &Path) -> Result<u64> {
    let output = Command::new(diag).args(["graph", "--format", "json"]).arg(file).output()?;
    let kinds: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let number = |kind: &serde_json::Value, name: &str| kind[name].as_u64().unwrap_or(0);
    Ok(kinds.iter().map(|kind| number(kind, "calls") + number(kind, "inside")).sum())
}

fn goal_is_met(columns: &[Column]) -> bool {
    columns.iter().filter_map(|column| column.speed(columns)).all(|speed| speed >= GOAL)
}

fn markdown(columns: &[Column], rounds: u32, calls: u64) -> Result<String> {
    let version =
        Command::new("trace-cmd").arg("--version").output().map(|out| out.stdout).unwrap_or_default();
    let version = String::from_utf8_lossy(&version)
        .lines()
        .find(|line| line.contains("version"))
        .unwrap_or("")
        .trim()
        .to_owned();
    let mut text = format!(
        "## How fast recordings are read\n\nWritten by `cargo xtask bench graph`; run it on your machine.\n\n\
         One recording of function_graph, made in a guest with Linux {KERNEL}: {calls} calls, as trace-cmd keeps it and as \
         the kernel prints it. diag makes call trees of all of it and counts them by function (`diag graph FILE`); \
         `trace-cmd report` prints it to /dev/null. Each runs on one processor, all take turns in every round; \
         milliseconds are processor time, and the speed is the median over the rounds of what trace-cmd takes for the \
         same recording (of text: for its version 7 file) by what diag takes. That the last file is four times as long \
         and takes no more memory is the bound.\n\nMeasured on {}, {rounds} rounds, {version}.\n\n\
         | reader and file | MiB | median ms | quartiles | times trace-cmd's speed | peak MiB |\n\
         |---|---:|---:|---:|---:|---:|\n",
        document::machine()
    );
    for column in columns {
        let Spread { low, middle, high } = spread(column.milliseconds.clone()).context("no turns")?;
        let mib = std::fs::metadata(&column.file)?.len() as f64 / f64::from(1 << 20);
        let speed = column.speed(columns).map_or_else(|| "1".to_owned(), |speed| format!("{speed:.1}"));
        let peak = median(column.peak_kib.clone()).unwrap_or(f64::NAN) / 1024.0;
        writeln!(
            text,
            "| {} | {mib:.1} | {middle:.0} | {low:.0} … {high:.0} | {speed} | {peak:.1} |",
            column.name
        )?;
    }
    let verdict = if goal_is_met(columns) { "met" } else { "MISSED" };
    writeln!(text, "\nGoal: each at least {GOAL} times as fast: {verdict}.")?;
    Ok(text)
}
