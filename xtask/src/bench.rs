//! `cargo xtask bench`: figures, measured side by side and written to docs/benchmarks.md.
//!
//! `watch`: what it costs every system call of the machine that diag watches.
//!
//! All variants take turns in every round and are compared within the round, because a machine's speed drifts
//! by more than the differences that are looked for.

mod document;
mod graph;
mod idle;
mod kernel;
mod latency;
pub(crate) mod loops;
mod report;
mod start;
mod statistics;
mod tools;

use crate::artifacts;
use crate::progress::Working;
use crate::setup::{self, Need};
use anyhow::{Context, Result, bail};
use loops::Sample;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tools::{Place, Tool};

/// How long a measurement waits for other people's tracing programs to go.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long our own may take to go.
const MOMENT: Duration = Duration::from_secs(2);

/// How often a disturbed measurement is taken again.
const TRIES: u32 = 5;

#[derive(clap::Args)]
pub(crate) struct Options {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The errno watch beside a bare raw tracepoint, bpftrace, perf trace and strace
    Watch(WatchOptions),
    /// The start of a container beside crun, runc, bwrap and unshare
    Start(start::Options),
    /// Reading recordings of function_graph beside `trace-cmd report`
    Graph(graph::Options),
    /// What `watch --capture path` costs a machine on which nothing fails, in instructions of a guest
    Idle(idle::Options),
    /// From a failing system call to the line of `diag watch`: median and 99th percentile
    Latency(latency::Options),
}

#[derive(clap::Args)]
struct WatchOptions {
    /// Rounds; every variant has one turn in each
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u32).range(3..=1000))]
    rounds: u32,
    /// Only print: leave docs/benchmarks.md as it is
    #[arg(long)]
    print_only: bool,
}

/// One variant's turns; index = round. `None` where it could not be measured.
pub(crate) struct Column {
    pub(crate) tool: Tool,
    pub(crate) rounds: Vec<Option<Turn>>,
    /// Why it cannot be used here, as it said itself.
    pub(crate) broken: Option<String>,
}

/// What one variant showed in one round.
pub(crate) struct Turn {
    pub(crate) samples: Vec<Sample>,
    /// Of the tool's own process: processor time used, as a share of the time it was watched.
    pub(crate) cpu: Option<f64>,
    pub(crate) peak_kib: Option<u64>,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    match &options.what {
        What::Watch(options) => watch(options),
        What::Start(options) => start::run(options),
        What::Graph(options) => graph::run(options),
        What::Idle(options) => idle::run(options),
        What::Latency(options) => latency::run(options),
    }
}

fn watch(options: &WatchOptions) -> Result<ExitCode> {
    if !nix::unistd::geteuid().is_root() {
        bail!("needs root: programs are attached to the kernel (run `sudo -E cargo xtask bench watch`)");
    }
    let cache = setup::ensure(Need::Build)?;
    let missing = setup::install_peers(&cache);
    let place = build()?;
    let mut columns = Vec::new();
    for tool in tools::all(&place)? {
        let broken = missing.as_ref().err().filter(|_| tool.is_missing()).map(|error| format!("{error:#}"));
        columns.push(Column { tool, rounds: Vec::new(), broken });
    }
    let started = Instant::now();
    let working = Working::on(format!("{} rounds of {} variants", options.rounds, columns.len()));
    for round in 0..options.rounds {
        // Another one begins each time, so that none always follows the same neighbour.
        let count = columns.len();
        for turn in 0..count {
            measure(&place, &mut columns[(turn + round as usize) % count]);
        }
    }
    working.done("ok");
    let report = report::Report::new(&columns, options.rounds, started.elapsed())?;
    print!("{}", report.table());
    for column in &columns {
        if let Some(why) = &column.broken {
            println!("{}: does not work here: {why}", column.tool.name);
        }
    }
    if !options.print_only {
        document::put("watch", &report.markdown(&columns))?;
    }
    Ok(if report.goal_is_met() { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn build() -> Result<Place> {
    let diag = artifacts::diag()?.path;
    let built = artifacts::build("the loops", &["build", "--package", "xtask", "--bin", "xtask"])?;
    let loops = built.into_iter().find(|built| built.target == "xtask").context("cargo built no xtask")?.path;
    let scratch = tempfile::tempdir().context("cannot make a scratch folder")?;
    Ok(Place { diag, loops, scratch })
}

/// One turn, again when somebody else's tracing came in between.
fn measure(place: &Place, column: &mut Column) {
    if column.broken.is_some() {
        return column.rounds.push(None);
    }
    for _ in 0..TRIES {
        let quiet_before = kernel::wait_for_quiet(PATIENCE);
        let turn = match column.tool.measure(place) {
            Ok(turn) => turn,
            Err(error) => {
                column.broken = Some(format!("{error:#}"));
                return column.rounds.push(None);
            }
        };
        // The kernel frees our own programs a moment after they are closed (bpf_prog_put, by RCU).
        if quiet_before && kernel::wait_for_quiet(MOMENT) {
            return column.rounds.push(Some(turn));
        }
    }
    // Never quiet: a value with somebody else's cost in it would be a wrong value.
    column.rounds.push(None);
}

impl Place {
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}
