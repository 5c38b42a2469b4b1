//! The figures as a table for the terminal and as a section of docs/benchmarks.md.

use super::Column;
use super::peers::Kind;
use crate::bench::document;
use crate::bench::statistics::{Spread, median, spread};
use anyhow::{Context, Result};
use std::fmt::Write;
use std::time::Duration;

/// At most this share of crun's time.
const OF_CRUN: f64 = 0.5;
/// At most so many times what bare `unshare` takes.
const OF_UNSHARE: f64 = 2.0;

pub(super) struct Table {
    rows: Vec<Row>,
    rounds: u32,
    took: Duration,
}

struct Row {
    name: &'static str,
    kind: Kind,
    shown: String,
    broken: Option<String>,
    /// Milliseconds.
    time: Option<Spread>,
    /// Times what `unshare` took in the same round.
    to_unshare: Option<f64>,
    to_crun: Option<f64>,
    peak_kib: Option<f64>,
}

impl Table {
    pub(super) fn new(columns: &[Column], rounds: u32, took: Duration) -> Result<Self> {
        let named = |name| columns.iter().find(|column| column.peer.name == name).context("no such runtime");
        let (unshare, crun) = (named("unshare")?, named("crun")?);
        let ratio = |column: &Column, other: &Column| {
            // Broken ones have fewer turns than rounds: theirs cannot be paired.
            let pairs = column.times.iter().zip(&other.times).map(|(own, other)| own / other);
            (column.times.len() == other.times.len()).then(|| median(pairs.collect())).flatten()
        };
        let row = |column: &Column| Row {
            name: column.peer.name,
            kind: column.peer.kind,
            shown: column.peer.shown(),
            broken: column.broken.clone(),
            time: spread(column.times.clone()),
            to_unshare: ratio(column, unshare),
            to_crun: ratio(column, crun),
            peak_kib: median(column.peak_kib.clone()),
        };
        Ok(Self { rows: columns.iter().map(row).collect(), rounds, took })
    }

    /// Both halves; a peer that could not be measured decides nothing.
    pub(super) fn goal_is_met(&self) -> bool {
        let [to_crun, to_unshare] = self.of_diag();
        to_crun.is_none_or(|ratio| ratio <= OF_CRUN) && to_unshare.is_none_or(|ratio| ratio <= OF_UNSHARE)
    }

    fn of_diag(&self) -> [Option<f64>; 2] {
        let diag = self.rows.iter().find(|row| row.kind == Kind::Diag);
        [diag.and_then(|row| row.to_crun), diag.and_then(|row| row.to_unshare)]
    }

    fn sentences(&self) -> Vec<String> {
        let goals = [(OF_CRUN, "crun"), (OF_UNSHARE, "unshare")];
        let sentence = |((goal, name), ratio): ((f64, &str), Option<f64>)| match ratio {
            Some(ratio) => {
                let verdict = if ratio <= goal { "met" } else { "MISSED" };
                format!("at most {goal} times {name}: {verdict}, it is {ratio:.2} times")
            }
            None => format!("at most {goal} times {name}: not measured"),
        };
        goals.into_iter().zip(self.of_diag()).map(sentence).collect()
    }

    fn cells(row: &Row) -> [String; 5] {
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
        [
            row.time.map_or("–".to_owned(), |time| format!("{:.2}", time.middle)),
            row.time.map_or("–".to_owned(), |time| format!("{:.2} … {:.2}", time.low, time.high)),
            number(row.to_crun),
            number(row.to_unshare),
            row.peak_kib.map_or("–".to_owned(), |kib| format!("{:.1}", kib / 1024.0)),
        ]
    }

    pub(super) fn text(&self) -> String {
        let mut text = format!(
            "\n{:10}{:>10}{:>20}{:>10}{:>12}{:>12}\n",
            "", "ms", "quartiles", "of crun", "of unshare", "peak MiB"
        );
        for row in &self.rows {
            let [time, quartiles, crun, unshare, peak] = Self::cells(row);
            let _ =
                writeln!(text, "{:10}{time:>10}{quartiles:>20}{crun:>10}{unshare:>12}{peak:>12}", row.name);
            if let Some(why) = &row.broken {
                let _ = writeln!(text, "  does not work here: {why}");
            }
        }
        self.sentences().iter().for_each(|sentence| text += &format!("{sentence}\n"));
        text
    }

    pub(super) fn markdown(&self, place: &str) -> String {
        let mut text = String::from(HEAD);
        let _ = writeln!(
            text,
            "Measured on {}, stores and states on {place}, {} rounds in {} s.\n",
            document::machine(),
            self.rounds,
            self.took.as_secs()
        );
        text += "| runtime | median ms | quartiles | of crun's | of unshare's | peak MiB |\n|---|---:|---:|---:|---:|---:|\n";
        for row in &self.rows {
            let _ = writeln!(text, "| {} | {} |", row.name, Self::cells(row).join(" | "));
        }
        text += "\nGoal:\n\n";
        self.sentences().iter().for_each(|sentence| text += &format!("- {sentence}\n"));
        text += "\nWhat was run:\n\n";
        for row in &self.rows {
            let _ = writeln!(text, "- {}: `{}`", row.name, row.shown);
            if let Some(why) = &row.broken {
                let _ =
                    writeln!(text, "  – does not work here: {}", why.lines().collect::<Vec<_>>().join(" "));
            }
        }
        text
    }
}

const HEAD: &str = "## What a start costs

Written by `cargo xtask bench start` (as root); run it on your machine.

From the first instruction of the runtime to its end, for /bin/true of a static busybox that is there already. diag,
crun and runc set up mount, pid, network, ipc, uts and cgroup namespaces, limits of memory, tasks and CPU, docker's default
capabilities, masked paths and docker's seccomp filter. bwrap and unshare get the same namespaces and nothing else: no limits,
no filter, and of mounts bwrap /proc and a small /dev, unshare /proc alone, in a root that is there already (`unshare -R`
is a chroot). diag alone also mounts an overlay, keeps a log and an event log, and removes the container afterwards. Its
files are deleted by a process that stays behind, in the turn of whoever comes next: on ext4 they are seven folders, each
with a block of its own, and where the file system is mounted with `discard` and without a journal every removed folder
waits for the disk. All take turns in every round; the ratios
are medians over the rounds. The peak is the largest resident size of the runtime's processes.

";
