//! Where diag's own time goes: what `diag --verbose` tells of each step, and the rest of the time around it.

use super::Column;
use super::peers::Place;
use crate::bench::statistics::median;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::process::Stdio;
use std::time::Instant;

/// Runs; each tells of all steps.
const TURNS: u32 = 30;
/// Shorter steps are summed up in one row, in milliseconds.
const SHORT: f64 = 0.05;

/// Steps in the order in which they first came, with their milliseconds in each run.
pub(super) struct Steps {
    rows: Vec<(String, Vec<f64>)>,
    whole: Vec<f64>,
}

impl Steps {
    /// One more run of diag after the other; rounds are numbered from `first`.
    pub(super) fn measure(column: &Column, place: &Place, first: u32) -> Result<Steps> {
        let mut steps = Steps { rows: Vec::new(), whole: Vec::new() };
        for turn in 0..TURNS {
            let mut words = column.peer.words(first + turn);
            words.insert(1, "--verbose".to_owned());
            let begin = Instant::now();
            let output = column.command(place, &words).stderr(Stdio::piped()).output();
            let took = begin.elapsed().as_secs_f64() * 1e3;
            let output = output.context("diag cannot be started")?;
            steps.add(&String::from_utf8_lossy(&output.stderr), took);
        }
        Ok(steps)
    }

    fn add(&mut self, said: &str, took: f64) {
        let mut run: Vec<(String, f64)> = Vec::new();
        for (ms, name) in said.lines().filter_map(row) {
            match run.iter_mut().find(|(known, _)| known == name) {
                Some((_, sum)) => *sum += ms,
                None => run.push((name.to_owned(), ms)),
            }
        }
        let own: f64 = run.iter().filter(|(name, _)| !name.starts_with(' ')).map(|(_, ms)| ms).sum();
        run.push(("the program itself: executed, its command line read, ended".to_owned(), took - own));
        self.whole.push(took);
        for (name, ms) in run {
            match self.rows.iter_mut().find(|(known, _)| *known == name) {
                Some((_, all)) => all.push(ms),
                None => self.rows.push((name, vec![ms])),
            }
        }
    }

    pub(super) fn markdown(&self) -> String {
        let mut text = String::from(HEAD);
        let mut short = 0.0;
        for (name, all) in &self.rows {
            let Some(ms) = median(all.clone()) else { continue };
            let (indent, name) = match name.strip_prefix("  ") {
                Some(name) => ("– ", name),
                None => ("", name.as_str()),
            };
            if ms >= SHORT {
                let _ = writeln!(text, "| {indent}{name} | {ms:.2} |");
            } else if indent.is_empty() {
                short += ms;
            }
        }
        let _ = writeln!(text, "| the engine's steps under {SHORT} ms, together | {short:.2} |");
        if let Some(whole) = median(self.whole.clone()) {
            let _ = writeln!(text, "| the whole run | {whole:.2} |");
        }
        text
    }
}

/// `     0.412  mount overlay rootfs`
fn row(line: &str) -> Option<(f64, &str)> {
    let line = line.trim_start();
    let (ms, name) = line.split_once("  ")?;
    Some((ms.parse().ok()?, name))
}

const HEAD: &str = "
### Where diag's time goes

Medians over 30 more runs with `--verbose`, in milliseconds; so they do not add up exactly. Steps with a dash are those of
the container's first process, during `clone into namespaces` and `read launch report`; it executes, runs and ends during
`wait for workload`.

What is left is spread thin. A new network namespace is most of `clone into namespaces`, which `unshare` pays too. Two mounts
are let go, the old root in `pivot_root` and the overlay in `unmount rootfs`, and each time the kernel waits until no
processor looks at the mount tree any more (`namespace_unlock`, `synchronize_rcu_expedited`). The kernel checks the program
that decides about devices and the system call filter at every start. The rest is what `unshare` does not do at all: four
groups made, filled and removed, an overlay, some twenty mounts and device nodes, a state and an event log, each a few
hundredths of a millisecond. On a busy machine each wait for another process also costs the next turn on a processor. The
files are deleted by a process that stays behind; what `remove container files` still takes is to rename the folder and to
start that process.

| step | ms |
|---|---:|
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_summed_step_by_step() {
        let said = "diag: the steps, in milliseconds; indented\n     1.000  record state\n     2.500    join cgroup\n     \
                    0.500  record state\n";
        let mut steps = Steps { rows: Vec::new(), whole: Vec::new() };
        steps.add(said, 4.0);
        let text = steps.markdown();
        for row in
            ["| record state | 1.50 |", "| – join cgroup | 2.50 |", "ended | 2.50 |", "whole run | 4.00 |"]
        {
            assert!(text.contains(row), "{row} in {text}");
        }
    }
}
