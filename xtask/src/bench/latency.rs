//! `cargo xtask bench latency`: from a failing system call to the line of `diag watch` that explains it.
//!
//! Each sample is a process of its own that asks for a file system that does not exist; equal failures of one process
//! are one incident. The failure's time is the probe's own, in the line; the other end is when the line was read.

use super::statistics::quantile;
use crate::artifacts;
use crate::guest::die_with_parent;
use crate::setup::{self, Need};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// No line takes so long; a sample without one is a failure of the bench.
const DEADLINE: Duration = Duration::from_secs(30);
/// The goals of the 99th percentile: with the verdict, and with the kernel path as well.
const GOAL_MS: [f64; 2] = [50.0, 250.0];
/// No file system of any kernel; how a sample's line is known.
const TYPE: &str = "no-such-type";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Failures, one after the other
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(20..=100_000))]
    samples: u32,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("needs root: diag watches the machine (run `sudo -E cargo xtask bench latency`)");
    }
    let cache = setup::ensure(Need::Build)?;
    let diag = artifacts::diag()?.path;
    let scratch = tempfile::tempdir()?;
    let mut watch = Command::new(diag);
    watch.args(["watch", "--json"]).env("DIAG_JOURNAL", scratch.path().join("journal.db"));
    watch.env("DIAG_ROOT", scratch.path().join("engine")).env_remove("DIAG_DISABLE");
    watch.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    die_with_parent(&mut watch, Signal::SIGTERM);
    let mut watch = watch.spawn().context("cannot start diag watch")?;
    let lines = lines_of(&mut watch)?;
    let (mut took, mut with_path) = (Vec::new(), false);
    for _ in 0..options.samples {
        let mount = Command::new(cache.busybox()).args(["mount", "-t", TYPE, "none", "/"]).output()?;
        if mount.status.success() {
            bail!("mount(2) of a file system that does not exist went well");
        }
        let (line, read) = next(&lines)?;
        let failed: Timestamp =
            line["incidents"][0]["time"].as_str().context("a line without a time")?.parse()?;
        took.push((read.as_nanosecond() - failed.as_nanosecond()) as f64 / 1e6);
        with_path |= !line["incidents"][0]["path"].is_null();
    }
    kill(Pid::from_raw(watch.id() as i32), Signal::SIGINT)?;
    watch.wait()?;
    let share = |share| quantile(took.clone(), share).context("no sample");
    let (middle, high, most) = (share(0.5)?, share(0.99)?, share(1.0)?);
    let goal = GOAL_MS[usize::from(with_path)];
    let what = if with_path { "verdict and kernel path" } else { "verdict, without kernel paths here" };
    println!("{} failures, {what}", took.len());
    println!("median {middle:.2} ms, 99th percentile {high:.2} ms, most {most:.2} ms; goal {goal} ms");
    Ok(ExitCode::from(u8::from(high > goal)))
}

/// Each answer with the instant at which it was read; the thread ends with the pipe.
fn lines_of(watch: &mut Child) -> Result<Receiver<(Value, Timestamp)>> {
    let stderr = watch.stderr.take().context("no stderr")?;
    let mut ready = BufReader::new(stderr).lines();
    while !ready.next().context("diag watch ended before it was ready")??.starts_with("watching") {}
    thread::spawn(move || ready.for_each(drop));
    let stdout = BufReader::new(watch.stdout.take().context("no stdout")?);
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let read = Timestamp::now();
            let Ok(line) = serde_json::from_str(&line) else { continue };
            if sender.send((line, read)).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

/// The next line that is a sample's: other processes fail meanwhile.
fn next(lines: &Receiver<(Value, Timestamp)>) -> Result<(Value, Timestamp)> {
    loop {
        let (line, read) = lines.recv_timeout(DEADLINE).context("a failure was not reported")?;
        if line["incidents"][0]["failure"]["args"]["fstype"] == TYPE {
            return Ok((line, read));
        }
    }
}
