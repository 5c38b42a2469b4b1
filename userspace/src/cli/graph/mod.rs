//! `diag graph`: what one system call, or one function, did in the kernel.

mod record;
mod saved;

use super::{outcome, outcome::Outcome};
use crate::{
    capture::btf::running,
    explain::{
        compared,
        picture::{self, Asked},
    },
    model::{Graph, Picture},
    render,
};
use anyhow::bail;
use clap::ValueEnum;
use std::{
    collections::{BTreeMap, HashSet},
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Graphs kept for choosing and for holding against each other.
const MOST: usize = 1000;

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// A system call (`mount`) or a kernel function (`path_mount`); or a file, to see which calls it holds.
    what: String,
    /// Run this command and look at its calls and those of what it starts.
    #[arg(last = true, value_name = "CMD", conflicts_with_all = ["from", "diff"])]
    command: Vec<OsString>,
    /// Read what somebody recorded, instead of tracing: function_graph text, or trace-cmd's trace.dat.
    #[arg(long, value_name = "FILE", conflicts_with = "diff")]
    from: Option<PathBuf>,
    /// Hold the call in one recording against that in another.
    #[arg(long, value_names = ["A", "B"], num_args = 2)]
    diff: Vec<PathBuf>,
    /// Without a command: how long to wait for a call of anybody.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
    /// Show so many calls, in their order. Without it: the first that failed, else the first.
    #[arg(long, short = 'n', value_name = "COUNT", conflicts_with = "diff")]
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
    /// One page that needs nothing else: branches open and close, bars show where the time went.
    Html,
    /// Trace events for Perfetto (ui.perfetto.dev) and Chrome's tracing.
    Perfetto,
}

pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if let [a, b] = args.diff.as_slice() {
        return diff(args, a, b);
    }
    let asked_for_file = args.from.is_none() && args.command.is_empty() && Path::new(&args.what).is_file();
    if asked_for_file {
        return overview(args, Path::new(&args.what));
    }
    let live = args.from.is_none();
    let graphs = match &args.from {
        Some(file) => saved::graphs(file, &args.what)?,
        None => record::record(args, &args.what)?,
    };
    let calls = picture::calls(&graphs, &args.what);
    if calls.is_empty() {
        let of = if live { "was seen" } else { "is in the file" };
        bail!("no call of {:?} {of}; {}", args.what, hint(&graphs));
    }
    // A recording may be of another kernel, whose types are not ours.
    let names: HashSet<String> = calls.iter().flat_map(|(_, call)| call.names()).collect();
    let types = if live { running::prototypes(&names) } else { BTreeMap::new() };
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
        Format::Html => {
            outcome::answer(&render::html::pictures(pictures));
            Ok(())
        }
        Format::Text => {
            let options = options(args);
            let texts: Vec<String> = pictures.iter().map(|p| render::graph::text(p, options)).collect();
            outcome::answer(&texts.join("\n"));
            Ok(())
        }
    }
}

fn options(args: &Args) -> render::graph::Options {
    render::graph::Options { theme: render::theme::Theme::for_stdout(), all: args.all, depth: args.depth }
}

fn overview(args: &Args, file: &Path) -> anyhow::Result<Outcome> {
    let kinds = saved::overview(file)?;
    match args.format {
        Format::Json => outcome::answer_json(&kinds)?,
        Format::Text => outcome::answer(&render::graph::overview(&kinds)),
        Format::Html | Format::Perfetto => {
            bail!("which call shall be shown? diag graph CALL --from {}", file.display())
        }
    }
    Ok(if kinds.iter().any(|kind| kind.failed > 0) { Outcome::Found } else { Outcome::Nothing })
}

/// The call of each file that would be shown, side by side. Different is found, alike is nothing.
fn diff(args: &Args, a: &Path, b: &Path) -> anyhow::Result<Outcome> {
    let (first, second) = (of_file(args, a)?, of_file(args, b)?);
    let tree = compared::compare(&first.root, &second.root, args.all);
    let alike = tree.alike;
    let files = [a, b].map(|file| file.display().to_string());
    match args.format {
        Format::Text => {
            outcome::answer(&render::compared::text([&first, &second], &files, &tree, options(args)));
        }
        Format::Json => outcome::answer_json(&tree)?,
        Format::Html => outcome::answer(&render::html::compared([&first, &second], &files, &tree)),
        Format::Perfetto => bail!("a comparison is no trace: --format text, json or html"),
    }
    Ok(if alike { Outcome::Nothing } else { Outcome::Found })
}

fn of_file(args: &Args, file: &Path) -> anyhow::Result<Picture> {
    let graphs = saved::graphs(file, &args.what)?;
    let calls = picture::calls(&graphs, &args.what);
    let types = BTreeMap::new();
    let asked = Asked { what: &args.what, types: &types };
    let failed = calls.iter().find(|(_, call)| picture::errno(call, &asked).is_some());
    match failed.or(calls.first()) {
        Some((graph, call)) => Ok(picture::draw(graph, call, &calls, &asked)),
        None => bail!("no call of {:?} is in {}; {}", args.what, file.display(), hint(&graphs)),
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
