//! The figures as a table for the terminal and as a section of docs/benchmarks.md.

use super::loops::LOOPS;
use super::statistics::{Spread, median, spread};
use super::tools::Kind;
use super::{Column, Turn, document};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::time::Duration;

/// At most this many times what a bare raw tracepoint adds.
const GOAL: f64 = 1.1;

pub(super) struct Report {
    /// One row for each variant.
    rows: Vec<Row>,
    rounds: u32,
    took: Duration,
}

struct Row {
    name: &'static str,
    kind: Kind,
    cells: Vec<Option<Cell>>,
    cpu: Option<f64>,
    peak_kib: Option<f64>,
}

/// One variant in one loop.
struct Cell {
    /// Nanoseconds per call, whole.
    whole: f64,
    /// Nanoseconds per call more than with nothing attached, in the same round.
    added: Spread,
    /// Whole, as a multiple of the bare tracepoint's in the same round.
    to_bare: Option<Spread>,
}

impl Report {
    pub(super) fn new(columns: &[Column], rounds: u32, took: Duration) -> Result<Self> {
        let of = |kind| columns.iter().find(|column| column.tool.kind == kind).context("no such variant");
        let (nothing, bare) = (of(Kind::Nothing)?, of(Kind::Bare)?);
        let row = |column: &Column| Row {
            name: column.tool.name,
            kind: column.tool.kind,
            cells: (0..LOOPS.len()).map(|index| cell(column, nothing, bare, index)).collect(),
            cpu: median(each(column, |turn| turn.cpu)),
            peak_kib: median(each(column, |turn| turn.peak_kib.map(|kib| kib as f64))),
        };
        Ok(Self { rows: columns.iter().map(row).collect(), rounds, took })
    }

    /// Every judged loop: diag's added cost against the bare tracepoint's, and against every peer's.
    pub(super) fn goal_is_met(&self) -> bool {
        self.judgements().iter().all(|judgement| judgement.to_bare != Some(false) && judgement.to_peers)
    }

    fn added(&self, kind: Kind, index: usize) -> Option<Spread> {
        let row = self.rows.iter().find(|row| row.kind == kind)?;
        row.cells[index].as_ref().map(|cell| cell.added)
    }

    fn judgements(&self) -> Vec<Judgement> {
        let judged = LOOPS.iter().enumerate().filter(|(_, each)| each.is_judged);
        judged.filter_map(|(index, each)| self.judge(index, each.name)).collect()
    }

    fn judge(&self, index: usize, name: &'static str) -> Option<Judgement> {
        let (bare, diag) = (self.added(Kind::Bare, index)?, self.added(Kind::Diag, index)?);
        let peers = self.rows.iter().filter(|row| matches!(row.kind, Kind::Beside | Kind::Around));
        let cheapest = peers
            .filter_map(|row| Some((row.name, row.cells[index].as_ref()?.added.middle)))
            .min_by(|one, other| one.1.total_cmp(&other.1));
        // Where not even the bare tracepoint's cost stands out of the noise, no multiple of it means anything.
        let to_bare = (bare.low > 0.0).then_some(diag.middle <= bare.middle * GOAL);
        let to_peers = cheapest.is_none_or(|(_, peer)| diag.middle < peer);
        Some(Judgement { name, bare: bare.middle, diag: diag.middle, cheapest, to_bare, to_peers })
    }

    pub(super) fn table(&self) -> String {
        let mut text = format!("\n{:24}", "ns per call, added");
        LOOPS.iter().for_each(|each| text += &format!("{:>22}", each.name));
        text += "\n";
        for row in &self.rows {
            text += &format!("{:24}", row.name);
            for cell in &row.cells {
                text +=
                    &format!("{:>22}", cell.as_ref().map_or("-".to_owned(), |cell| shown(row.kind, cell)));
            }
            text += "\n";
        }
        for judgement in self.judgements() {
            text += &format!("{}\n", judgement.sentence());
        }
        text
    }

    pub(super) fn markdown(&self, columns: &[Column]) -> String {
        let mut text = String::from(HEAD);
        let _ = writeln!(
            text,
            "Measured on {}, {} rounds in {} s.\n",
            document::machine(),
            self.rounds,
            self.took.as_secs()
        );
        text += "Added nanoseconds per call: median over the rounds (lower … upper quartile); for \"nothing\" the call itself.\n\n";
        let heads: Vec<&str> = LOOPS.iter().map(|each| each.name).collect();
        let _ = writeln!(text, "| attached | {} | its CPU | its peak memory |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}---:|---:|", "---:|".repeat(heads.len()));
        for row in &self.rows {
            let cells = row
                .cells
                .iter()
                .map(|cell| cell.as_ref().map_or("–".to_owned(), |cell| shown(row.kind, cell)));
            let cpu = row.cpu.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0));
            let peak = row.peak_kib.map_or("–".to_owned(), |kib| format!("{:.1} MiB", kib / 1024.0));
            let cells = cells.collect::<Vec<_>>().join(" | ");
            let _ = writeln!(text, "| {} | {cells} | {cpu} | {peak} |", row.name);
        }
        text += "\nThe whole call as a multiple of the same call under the bare raw tracepoint, round by round:\n\n";
        let _ = writeln!(text, "| attached | {} |", heads.join(" | "));
        let _ = writeln!(text, "|---|{}", "---:|".repeat(heads.len()));
        for row in self.rows.iter().filter(|row| row.kind != Kind::Nothing) {
            let ratio = |cell: &Option<Cell>| {
                let spread = cell.as_ref().and_then(|cell| cell.to_bare);
                spread.map_or("–".to_owned(), |s| format!("{:.3} ({:.3} … {:.3})", s.middle, s.low, s.high))
            };
            let cells: Vec<String> = row.cells.iter().map(ratio).collect();
            let _ = writeln!(text, "| {} | {} |", row.name, cells.join(" | "));
        }
        text += "\n### Goal\n\nAt most 1.1 times what the bare raw tracepoint adds, and less than every peer. strace with a\nseccomp filter is cheap in calls that it lets pass unseen (getppid, read), and sees only the processes it started:\n\n";
        for judgement in self.judgements() {
            let _ = writeln!(text, "- {}", judgement.sentence());
        }
        text += "\n### What was compared\n\n";
        for each in &LOOPS {
            let _ = writeln!(text, "- loop `{}`: {}", each.name, each.what);
        }
        text += "\n";
        for column in columns.iter().filter(|column| !column.tool.words.is_empty()) {
            let _ = writeln!(text, "- {}: `{}`", column.tool.name, column.tool.shown());
            if let Some(why) = &column.broken {
                let _ =
                    writeln!(text, "  – does not work here: {}", why.lines().collect::<Vec<_>>().join(" "));
            }
        }
        text
    }
}

struct Judgement {
    name: &'static str,
    bare: f64,
    diag: f64,
    cheapest: Option<(&'static str, f64)>,
    /// `None`: lost in the noise.
    to_bare: Option<bool>,
    to_peers: bool,
}

impl Judgement {
    fn sentence(&self) -> String {
        let to_bare = match self.to_bare {
            Some(true) => "met",
            Some(false) => "MISSED",
            None => "lost in the noise",
        };
        let mut text = format!(
            "{}: against the bare tracepoint {to_bare}: diag adds {:.0} ns, that {:.0} ns",
            self.name, self.diag, self.bare,
        );
        if self.to_bare.is_some() {
            text += &format!(" ({:.2} times)", self.diag / self.bare);
        }
        if let Some((name, ns)) = self.cheapest {
            let to_peers = if self.to_peers { "met" } else { "MISSED" };
            text += &format!("; against every peer {to_peers}: the cheapest, {name}, adds {ns:.0} ns");
        }
        text
    }
}

fn cell(column: &Column, nothing: &Column, bare: &Column, index: usize) -> Option<Cell> {
    let value = |turn: &Option<Turn>| turn.as_ref().map(|turn| turn.samples[index].0);
    let against = |other: &Column, join: fn(f64, f64) -> f64| -> Vec<f64> {
        let pairs = column.rounds.iter().zip(&other.rounds);
        pairs.filter_map(|(own, other)| Some(join(value(own)?, value(other)?))).collect()
    };
    Some(Cell {
        whole: median(column.rounds.iter().filter_map(value).collect())?,
        added: spread(against(nothing, |own, other| own - other))?,
        to_bare: spread(against(bare, |own, other| own / other)),
    })
}

fn each(column: &Column, get: impl Fn(&Turn) -> Option<f64>) -> Vec<f64> {
    column.rounds.iter().flatten().filter_map(get).collect()
}

fn shown(kind: Kind, cell: &Cell) -> String {
    match kind {
        Kind::Nothing => format!("({:.0})", cell.whole),
        _ => format!("{:.0} ({:.0} … {:.0})", cell.added.middle, cell.added.low, cell.added.high),
    }
}

const HEAD: &str = "## What the watch costs

Written by `cargo xtask bench watch` (as root); run it on your machine.

All variants take turns in every round, each in a fresh process, and are compared within the round. A loop is a
process of its own on one processor, cut into short batches, of which the median counts. The bare raw tracepoint is
a program on `sys_exit` that returns at once: no tool that sees every system call's result can cost less. A turn
during which somebody else's tracing program was loaded is taken again. System call tracepoints put every task on
the kernel's slow path, so most of what any of them adds is the same for all. diag is measured a second after its
start: before that, and for half a second of every thirty, it lets the kernel count what its programs take, which
costs each run of a program two readings of the clock.

";
