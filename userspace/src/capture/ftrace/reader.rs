//! The thread that reads `trace_pipe` and hands out finished graphs.
//!
//! The merged pipe, not one per cpu: the kernel merges by time, so the calls of a thread that moved to
//! another cpu inside a system call arrive in order. It is read without blocking, a few dozen times a
//! second: a reader that waits makes the kernel raise an interrupt for the events of everybody, and
//! `poll` on the merged pipe waits for `buffer_percent` of the buffer to fill on newer kernels.

use super::returns::Source;
use crate::capture::callgraph::Parser;
use crate::model::Graph;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::collections::{BTreeMap, HashSet};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Longest time between two looks at an idle pipe; a quarter of the promised latency.
const IDLE_MS: u16 = 25;
/// Finished graphs that wait for the receiver; more are dropped and counted.
pub(super) const QUEUE: usize = 4096;
/// The kernel hands out at most a page or two at a time.
const CHUNK: usize = 16 * 1024;

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
    /// Events that the pipe itself reports as lost.
    pub(super) lost: AtomicU64,
    /// Everything recorded before this `CLOCK_MONOTONIC` time has been handed out.
    pub(super) read_up_to: AtomicU64,
}

/// Ends the thread when dropped.
#[derive(Debug)]
pub(super) struct Reader {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    pub(super) counters: Arc<Counters>,
}

impl Reader {
    /// `pipe` is opened without blocking. Only graphs whose root is in `roots` are kept, all if it is empty.
    pub(super) fn start(
        pipe: File,
        roots: HashSet<String>,
        returns: Source,
    ) -> io::Result<(Self, mpsc::Receiver<Graph>)> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        // Closing the write end is the signal: it also happens if this side dies.
        let (stopped, stop) = io::pipe()?;
        let counters = Arc::new(Counters::default());
        let shared = Arc::clone(&counters);
        let thread = std::thread::Builder::new().name("diag-ftrace".into()).spawn(move || {
            let mut work = Work { pipe, roots, sender, counters: shared, returns, parser: Parser::default() };
            work.run(&stopped);
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
    pipe: File,
    roots: HashSet<String>,
    sender: mpsc::Sender<Graph>,
    counters: Arc<Counters>,
    returns: Source,
    parser: Parser,
}

impl Work {
    fn run(&mut self, stopped: &io::PipeReader) {
        let mut pending = Vec::new();
        loop {
            // Before the look: what is recorded while it lasts may be missed by it.
            let looked = crate::capture::clock::mono_ns();
            let readable = self.drain(&mut pending);
            let graphs = self.parser.take();
            self.returns.take();
            self.deliver(graphs);
            self.counters.cpu_ns.store(crate::capture::clock::own_thread_ns(), Ordering::Relaxed);
            self.counters.read_up_to.store(looked, Ordering::Release);
            let mut fds = [PollFd::new(stopped.as_fd(), PollFlags::POLLIN)];
            let told = poll(&mut fds, PollTimeout::from(IDLE_MS)).is_ok_and(|ready| ready > 0);
            if told || !readable {
                break;
            }
        }
        self.drain(&mut pending);
        let graphs = self.parser.finish();
        self.deliver(graphs);
    }

    /// Reads until the pipe is empty; `false` when it cannot be read any more.
    fn drain(&mut self, pending: &mut Vec<u8>) -> bool {
        let mut chunk = [0; CHUNK];
        loop {
            match self.pipe.read(&mut chunk) {
                // End of file: tracing was switched off. It may be switched on again.
                Ok(0) => return true,
                Ok(read) => self.split(pending, &chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!("trace_pipe: {error}");
                    return false;
                }
            }
            // A flood must not delay what is finished.
            let graphs = self.parser.take();
            self.deliver(graphs);
        }
    }

    fn split(&mut self, pending: &mut Vec<u8>, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            pending.extend_from_slice(part);
            if part.ends_with(b"\n") {
                self.parser.feed(&String::from_utf8_lossy(pending));
                pending.clear();
            }
        }
        let stats = self.parser.stats();
        self.counters.lost.store(stats.lost, Ordering::Relaxed);
        self.counters.calls.store(stats.calls, Ordering::Relaxed);
    }

    fn is_foreign(&self, root: &str) {
        let Ok(mut foreign) = self.counters.foreign.lock() else { return };
        match foreign.get_mut(root) {
            Some(count) => *count += 1,
            None => drop(foreign.insert(root.to_owned(), 1)),
        }
    }

    fn deliver(&mut self, mut graphs: Vec<Graph>) {
        self.returns.complete(&mut graphs);
        for mut graph in graphs {
            if !self.roots.is_empty() && !self.roots.contains(&graph.root.name) {
                self.is_foreign(&graph.root.name);
                continue;
            }
            complete_name(&mut graph);
            if self.sender.try_send(graph).is_err() {
                self.counters.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// The trace cuts names to seven characters; a thread that still lives has the rest.
fn complete_name(graph: &mut Graph) {
    const CUT: usize = 7;
    if graph.comm.is_empty() || graph.comm.len() == CUT {
        let Ok(full) = std::fs::read(format!("/proc/{}/comm", graph.tid)) else { return };
        let full = String::from_utf8_lossy(&full);
        let full = full.trim_end_matches('\n');
        if full.starts_with(&graph.comm) {
            full.clone_into(&mut graph.comm);
        }
    }
}
