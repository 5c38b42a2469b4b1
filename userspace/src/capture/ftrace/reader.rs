//! The thread that reads the trace and hands out finished graphs.
//!
//! It reads [`pages`] where it can, and [`text`] else. Both come in the order of time over all processors, so that the
//! calls of a thread that moved inside a system call are followed. Nothing waits for the kernel: a reader that does makes
//! it raise an interrupt for the events of everybody, so a few dozen looks a second are cheaper.

mod pages;
mod text;

use super::FtraceError;
use super::functions::Selection;
use super::returns::{Source, is_off};
use super::tracefs::Tracefs;
use crate::capture::callgraph::Parser;
use crate::capture::clock;
use crate::capture::ring_buffer::symbols::Symbols;
use crate::model::Graph;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pages::Pages;
use std::collections::{BTreeMap, HashSet};
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use text::Text;
use tokio::sync::mpsc;

/// Longest time between two looks at an idle pipe; a quarter of the promised latency.
const IDLE_MS: u16 = 25;
/// Finished graphs that wait for the receiver; more are dropped and counted.
pub(super) const QUEUE: usize = 4096;
/// The name of the better way, for `DIAG_DISABLE`.
const RAW: &str = "trace_pipe_raw";

/// What the reader saw, readable at any time.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Finished graphs for which the queue had no room.
    pub(super) dropped: AtomicU64,
    /// Graphs whose root is no entry of a watched system call, by that root.
    pub(super) foreign: Mutex<BTreeMap<String, u64>>,
    /// Calls that were read.
    pub(super) calls: AtomicU64,
    /// Processor time of the thread that reads.
    pub(super) cpu_ns: AtomicU64,
    /// Events that the trace itself reports as lost.
    pub(super) lost: AtomicU64,
    /// Everything recorded before this `CLOCK_MONOTONIC` time has been handed out.
    pub(super) read_up_to: AtomicU64,
}

/// Where the events of a buffer are read.
#[derive(Debug)]
pub(super) enum Stream {
    Pages(Box<Pages>),
    Text(Text),
}

impl Stream {
    /// After the tracer was set, whose state the text takes. `buffer` is the top one or an instance below `top`.
    pub(super) fn open(top: &Tracefs, buffer: &Tracefs, selection: &Selection) -> Result<Self, FtraceError> {
        let pages = match is_off(RAW) {
            true => Err("switched off by DIAG_DISABLE".to_owned()),
            false => Pages::open(top, buffer, symbols(selection)),
        };
        match pages {
            Ok(pages) => Ok(Self::Pages(Box::new(pages))),
            Err(why) => {
                tracing::info!("the trace is read as text: {why}");
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(libc::O_NONBLOCK);
                Ok(Self::Text(Text::new(buffer.open("trace_pipe", &options)?)))
            }
        }
    }

    /// How much earlier than it was a time may be told.
    pub(super) fn rounding_ns(&self) -> u64 {
        match self {
            Self::Pages(_) => 0,
            // Microseconds, rounded down.
            Self::Text(_) => 999,
        }
    }

    fn drain(
        &mut self,
        until: u64,
        parser: &mut Parser,
        pause: &mut dyn FnMut(&mut Parser),
    ) -> io::Result<()> {
        match self {
            Self::Pages(pages) => pages.drain(until, parser, pause),
            Self::Text(text) => text.drain(parser, pause),
        }
    }
}

/// The addresses of what is armed: from the same list (since 6.5), or from the kernel's table.
fn symbols(selection: &Selection) -> Symbols {
    let functions = &selection.functions;
    let listed: Option<Vec<_>> =
        functions.iter().map(|function| Some((function.address?, function.name.as_str()))).collect();
    if let Some(listed) = listed {
        return Symbols::of(listed);
    }
    let names: Vec<String> = functions.iter().map(|function| function.name.clone()).collect();
    let found = crate::capture::symbols::functions(&names).unwrap_or_default();
    Symbols::of(found.iter().map(|(address, place)| (*address, names[*place].as_str())))
}

/// Ends the thread when dropped.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    pub(super) counters: Arc<Counters>,
}

/// What becomes of finished graphs.
pub(super) struct Kept {
    /// Only graphs with these roots; all if it is empty.
    pub(super) roots: HashSet<String>,
    pub(super) returns: Source,
}

impl Reader {
    pub(super) fn start(stream: Stream, kept: Kept) -> io::Result<(Self, mpsc::Receiver<Graph>)> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        // Closing the write end is the signal: it also happens if this side dies.
        let (stopped, stop) = io::pipe()?;
        let counters = Arc::new(Counters::default());
        let outlet = Outlet { kept, sender, counters: Arc::clone(&counters) };
        let thread = std::thread::Builder::new().name("diag-ftrace".into()).spawn(move || {
            Work { stream, parser: Parser::default(), outlet }.run(&stopped);
        })?;
        Ok((Self { stop: Some(stop.into()), thread: Some(thread), counters }, receiver))
    }

    /// Reads what is left, hands it out, ends.
    pub(super) fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed by the hook; nothing is left to save here.
            let _ = thread.join();
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Work {
    stream: Stream,
    parser: Parser,
    outlet: Outlet,
}

impl Work {
    fn run(&mut self, stopped: &io::PipeReader) {
        loop {
            // Before the look: what is recorded while it lasts may be missed by it.
            let looked = clock::mono_ns();
            let readable = self.drain(looked);
            self.outlet.kept.returns.take();
            let counters = &self.outlet.counters;
            counters.cpu_ns.store(clock::own_thread_ns(), Ordering::Relaxed);
            counters.read_up_to.store(looked, Ordering::Release);
            let mut fds = [PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            let told = poll(&mut fds, PollTimeout::from(IDLE_MS)).is_ok_and(|ready| ready > 0);
            if told || !readable {
                break;
            }
        }
        self.drain(clock::mono_ns());
        let graphs = self.parser.finish();
        self.outlet.deliver(graphs);
    }

    /// Reads what was recorded until then; `false` when it cannot be read any more.
    fn drain(&mut self, until: u64) -> bool {
        let Self { stream, parser, outlet } = self;
        // A flood must not delay what is finished.
        let drained = stream.drain(until, parser, &mut |parser| outlet.pause(parser));
        drained.inspect_err(|error| tracing::warn!("the trace cannot be read: {error}")).is_ok()
    }
}

/// Completes graphs and hands them to the receiver.
struct Outlet {
    kept: Kept,
    sender: mpsc::Sender<Graph>,
    counters: Arc<Counters>,
}

impl Outlet {
    fn pause(&mut self, parser: &mut Parser) {
        let stats = parser.stats();
        self.counters.lost.store(stats.lost, Ordering::Relaxed);
        self.counters.calls.store(stats.calls, Ordering::Relaxed);
        let graphs = parser.take();
        if !graphs.is_empty() {
            self.deliver(graphs);
        }
    }

    fn deliver(&mut self, mut graphs: Vec<Graph>) {
        self.kept.returns.complete(&mut graphs);
        for graph in graphs {
            if !self.kept.roots.is_empty() && !self.kept.roots.contains(&graph.root.name) {
                self.is_foreign(&graph.root.name);
                continue;
            }
            if self.sender.try_send(graph).is_err() {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn is_foreign(&self, root: &str) {
        let Ok(mut foreign) = self.counters.foreign.lock() else { return };
        match foreign.get_mut(root) {
            Some(count) => *count += 1,
            None => drop(foreign.insert(root.to_owned(), 1)),
        }
    }
}
