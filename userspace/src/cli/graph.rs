//! `diag graph`: what one system call, or one function, did in the kernel.

use super::{outcome, outcome::Outcome};
use crate::{
    capture::{
        btf::prototypes,
        callgraph, clock,
        command::{Running, Waiting},
        ftrace::{GraphCapture, GraphSpec, families},
    },
    explain::picture::{self, Asked},
    model::{Availability, Graph, Picture},
    render,
};
use anyhow::{Context, bail};
use clap::ValueEnum;
use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Between two looks at what the tracer has finished.
const LOOK: Duration = Duration::from_millis(20);
/// How long the tracer may take to hand out what was recorded by the end of the command.
const LAST: Duration = Duration::from_secs(10);
/// Graphs kept for choosing and for holding against each other.
const MOST: usize = 1000;
/// How the binary files of trace-cmd begin (trace-cmd.dat(5)).
const TRACE_DAT: &[u8] = b"\x17\x08\x44tracing";

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// A system call (`mount`) or a kernel function (`path_mount`).
    what: String,
    /// Run this command and look at its calls and those of what it starts.
    #[arg(last = true, value_name = "CMD", conflicts_with = "from")]
    command: Vec<OsString>,
    /// Read function_graph text that somebody saved, instead of tracing.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// Without a command: how long to wait for a call of anybody.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
    /// Show so many calls, in their order. Without it: the first that failed, else the first.
    #[arg(long, short = 'n', value_name = "COUNT")]
    count: Option<usize>,
    /// Show so many levels below the call; the way of an error is always shown to its end.
    #[arg(long, default_value_t = 100)]
    depth: usize,
    /// Show locks, RCU, allocators and interrupts too.
    #[arg(long)]
    all: bool,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    /// Trace events for Perfetto (ui.perfetto.dev) and Chrome's tracing.
    Perfetto,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let live = args.from.is_none();
    let graphs = match &args.from {
        Some(file) => saved(file)?,
        None => record(args)?,
    };
    let calls = picture::calls(&graphs, &args.what);
    if calls.is_empty() {
        let of = if live { "was seen" } else { "is in the file" };
        bail!("no call of {:?} {of}; {}", args.what, hint(&graphs));
    }
    // A recording may be of another kernel, whose types are not ours.
    let names: HashSet<String> = calls.iter().flat_map(|(_, call)| call.names()).collect();
    let types = if live { prototypes::of_running(&names) } else { BTreeMap::new() };
    let asked = Asked { what: &args.what, types: &types };
    let failed = calls.iter().position(|(_, call)| picture::errno(call, &asked).is_some());
    let chosen = match args.count {
        Some(count) => 0..count.min(calls.len()),
        None => failed.unwrap_or(0)..failed.unwrap_or(0) + 1,
    };
    let pictures: Vec<Picture> =
        calls[chosen].iter().map(|(graph, call)| picture::draw(graph, call, &calls, &asked)).collect();
    show(args, &pictures)?;
    Ok(if pictures.iter().any(|p| p.errno.is_some()) { Outcome::Found } else { Outcome::Nothing })
}

fn show(args: &Args, pictures: &[Picture]) -> anyhow::Result<()> {
    match args.format {
        Format::Json => outcome::answer_json(&pictures),
        Format::Perfetto => outcome::answer_json(&render::trace_events::document(pictures)),
        Format::Text => {
            let theme = render::theme::Theme::for_stdout();
            let options = render::graph::Options { theme, all: args.all, depth: args.depth };
            let texts: Vec<String> = pictures.iter().map(|p| render::graph::text(p, options)).collect();
            outcome::answer(&texts.join("\n"));
            Ok(())
        }
    }
}

/// What could be asked for instead.
fn hint(graphs: &[Graph]) -> String {
    let mut roots: Vec<&str> = graphs.iter().map(|graph| graph.root.name.as_str()).collect();
    roots.sort_unstable();
    roots.dedup();
    match roots.as_slice() {
        [] => "nothing was recorded".into(),
        roots => format!("recorded were calls of {}", roots[..roots.len().min(8)].join(", ")),
    }
}

fn saved(file: &Path) -> anyhow::Result<Vec<Graph>> {
    let bytes = std::fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    if bytes.starts_with(TRACE_DAT) {
        bail!(
            "{0} is trace-cmd's binary file, which diag does not read: `trace-cmd report -O fgraph:tailprint=1 {0} > \
             FILE` makes text of it",
            file.display()
        );
    }
    let graphs = callgraph::parse(&String::from_utf8_lossy(&bytes));
    if graphs.is_empty() {
        bail!(
            "{} holds no function_graph text (a saved `trace` or `trace_pipe` file is wanted)",
            file.display()
        );
    }
    Ok(graphs)
}

fn record(args: &Args) -> anyhow::Result<Vec<Graph>> {
    if args.command.is_empty() {
        return of_anybody(args);
    }
    // Before any thread exists, so that the fork is a plain one.
    let waiting = Waiting::prepare(&args.command, true)?;
    // A terminal's Ctrl-C is the command's; diag ends with it, and takes the tracer down.
    // SAFETY: sets a disposition; the command was forked before and keeps the default.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
    let all: Vec<_> = families::ALL.iter().copied().chain([&families::TREE]).collect();
    let spec = GraphSpec { functions: vec![args.what.clone()], ..GraphSpec::new(&all) };
    let capture = GraphCapture::arm(spec.with_returns().of_process(waiting.pid))?;
    let running = waiting.release();
    collect(capture, args, |_| has_ended(&running))
}

fn has_ended(running: &Running) -> anyhow::Result<bool> {
    Ok(running.ended().context("cannot wait for the command")?.is_some())
}

/// The whole machine pays for what is armed, so only the functions of one family are.
fn of_anybody(args: &Args) -> anyhow::Result<Vec<Graph>> {
    let Some(family) = families::of_syscall(&args.what) else {
        let known: Vec<&str> = families::ALL.iter().flat_map(|f| f.syscalls.split(' ')).collect();
        bail!(
            "without a command only calls of rarely taken paths are traced ({}); give one: diag graph {} -- CMD",
            known.join(", "),
            args.what
        );
    };
    let capture = GraphCapture::arm(GraphSpec::new(&[family]).with_returns())?;
    let until = Instant::now() + Duration::from_secs(args.wait);
    let wanted = args.count.unwrap_or(1);
    collect(capture, args, |graphs| {
        Ok(Instant::now() >= until || picture::calls(graphs, &args.what).len() >= wanted)
    })
}

/// Graphs that hold what was asked for, until `done`, and what was recorded by then.
fn collect(
    mut capture: GraphCapture,
    args: &Args,
    mut done: impl FnMut(&[Graph]) -> anyhow::Result<bool>,
) -> anyhow::Result<Vec<Graph>> {
    let (mut graphs, mut others) = (Vec::new(), Vec::new());
    let mut ended: Option<(u64, Instant)> = None;
    loop {
        // Asked first: what was read by then is in the queue below.
        let read = ended.is_some_and(|(end, since)| capture.read_up_to() > end || since.elapsed() > LAST);
        for graph in capture.try_recv_all() {
            let wanted = !picture::calls(std::slice::from_ref(&graph), &args.what).is_empty();
            let kept = if wanted { &mut graphs } else { &mut others };
            if kept.len() < MOST {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_trace_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        let said = |path: &Path| saved(path).unwrap_err().to_string();
        assert!(said(&file("trace.dat", b"\x17\x08\x44tracing6\0")).contains("trace-cmd report"));
        assert!(said(&file("words", b"no trace at all\n")).contains("no function_graph text"));
        assert!(said(Path::new("/no/such/file")).contains("/no/such/file"));
        let text = " 0)   1.000 us    |  __x64_sys_mount();\n";
        assert_eq!(saved(&file("text", text.as_bytes())).unwrap().len(), 1);
    }
}
