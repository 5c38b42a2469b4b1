//! Calls recorded now: of a command, or of anybody.

use super::{Args, MOST};
use crate::{
    capture::{
        clock,
        command::{Running, Waiting},
        ftrace::{GraphCapture, GraphSpec, families},
    },
    cli::outcome,
    explain::picture,
    model::{Availability, Graph},
};
use anyhow::{Context, bail};
use std::time::{Duration, Instant};

/// Between two looks at what the tracer has finished.
const LOOK: Duration = Duration::from_millis(20);
/// How long the tracer may take to hand out what was recorded by the end of the command.
const LAST: Duration = Duration::from_secs(10);

pub(super) fn record(args: &Args, what: &str) -> anyhow::Result<Vec<Graph>> {
    if args.command.is_empty() {
        return of_anybody(args, what);
    }
    // Before any thread exists, so that the fork is a plain one.
    let waiting = Waiting::prepare(&args.command, true)?;
    // A terminal's Ctrl-C is the command's; diag ends with it, and takes the tracer down.
    // SAFETY: sets a disposition; the command was forked before and keeps the default.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let all: Vec<_> = families::ALL.iter().copied().chain([&families::TREE]).collect();
    let spec = GraphSpec { functions: vec![what.to_owned()], ..GraphSpec::new(&all) };
    let capture = GraphCapture::arm(spec.with_returns().of_process(waiting.pid))?;
    let running = waiting.release();
    collect(capture, what, |_| has_ended(&running))
}

fn has_ended(running: &Running) -> anyhow::Result<bool> {
    Ok(running.ended().context("cannot wait for the command")?.is_some())
}

/// The whole machine pays for what is armed, so only the functions of one family are.
fn of_anybody(args: &Args, what: &str) -> anyhow::Result<Vec<Graph>> {
    let Some(family) = families::of_syscall(what) else {
        let known: Vec<&str> = families::ALL.iter().flat_map(|f| f.syscalls.split(' ')).collect();
        bail!(
            "without a command only calls of rarely taken paths are traced ({}); give one: diag graph {} -- CMD",
            known.join(", "),
            what
        );
    };
    let capture = GraphCapture::arm(GraphSpec::new(&[family]).with_returns())?;
    let until = Instant::now() + Duration::from_secs(args.wait);
    let wanted = args.count.unwrap_or(1);
    collect(capture, what, |graphs| {
        Ok(Instant::now() >= until || picture::calls(graphs, what).len() >= wanted)
    })
}

/// Graphs that hold what was asked for, until `done`, and what was recorded by then.
fn collect(
    mut capture: GraphCapture,
    what: &str,
    mut done: impl FnMut(&[Graph]) -> anyhow::Result<bool>,
) -> anyhow::Result<Vec<Graph>> {
    let (mut graphs, mut others) = (Vec::new(), Vec::new());
    let mut ended: Option<(u64, Instant)> = None;
    loop {
        // Asked first: what was read by then is in the queue below.
        let read = ended.is_some_and(|(end, since)| capture.read_up_to() > end || since.elapsed() > LAST);
        for mut graph in capture.try_recv_all() {
            let wanted = !picture::calls(std::slice::from_ref(&graph), what).is_empty();
            let kept = if wanted { &mut graphs } else { &mut others };
            if kept.len() < MOST {
                graph.comm = capture.name_of(graph.tid).unwrap_or(graph.comm);
                kept.push(graph);
            }
        }
        if read {
            break;
        }
        if ended.is_none() && done(&graphs)? {
            ended = Some((clock::mono_ns(), Instant::now()));
        }
        std::thread::sleep(LOOK);
    }
    if let Availability::No { why } = capture.returns() {
        outcome::say(&format!("return values are not recorded: {why}"));
    }
    match capture.overruns() {
        0 => {}
        lost => outcome::say(&format!("{lost} events were lost: the calls shown may not be all")),
    }
    capture.disarm()?;
    Ok(if graphs.is_empty() { others } else { graphs })
}
