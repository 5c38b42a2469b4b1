//! The closer look at what was refused: return probes on its path, for when it is refused again.
//!
//! Where the first failure comes without return values (no rung of the ladder above gives them), its graph still names
//! the functions on its way, or the next one's does if it was lost. They are probed for the same processes, in a thread of its own, because the slower rung
//! takes seconds under emulation and other failures wait to be looked at. The next graph of the same system call gets
//! the values; then the probes go. A tree's repetition may be another process, a machine's is the same thread group.

use super::Pipeline;
use crate::capture::btf::running;
use crate::capture::clock;
use crate::capture::ftrace::{ProbeSpec, ReturnProbes};
use crate::correlate::{Key, Story};
use crate::explain::{self, decider, rank};
use crate::model::{Graph, GraphEvidence, Incident};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Of a machine: how long the next failure of the same kind is waited for. Probes cost everybody who calls what they
/// are on.
const PATIENCE_NS: u64 = 30_000_000_000;
/// Paths of one tree that are probed at the same time, and failures that wait for their turn.
const MOST_ARMED: usize = 4;
const MOST_WANTED: usize = 16;
/// Graphs of which it is remembered that probes completed them.
const MOST_COMPLETED: usize = 256;

/// Whether the failure that was seen last can be looked at more closely when it is repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closer {
    /// No need, or no way.
    No,
    /// Its path is not known yet, or not probed yet.
    NotYet,
    Now,
}

/// Probes that are wanted, being put in place, and in place.
#[derive(Debug, Default)]
pub(super) struct Look {
    wanted: VecDeque<Wanted>,
    /// Failures whose path was lost, and their processes: the next time shows what is to be probed.
    lost: VecDeque<(Key, u32)>,
    arming: Option<Arming>,
    armed: VecDeque<Armed>,
    /// Removal takes time, too.
    leaving: Vec<JoinHandle<()>>,
    /// Why nothing can be probed here.
    off: Option<String>,
    /// Which graphs have their values from probes: thread, start and the rung.
    completed: VecDeque<(u32, u64, &'static str)>,
}

#[derive(Debug, Clone)]
struct Wanted {
    key: Key,
    /// The entry of the system call.
    root: String,
    functions: Vec<String>,
    pid: u32,
}

#[derive(Debug)]
struct Arming {
    wanted: Wanted,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<ReturnProbes, String>>,
}

#[derive(Debug)]
struct Armed {
    wanted: Wanted,
    probes: ReturnProbes,
    since_ns: u64,
}

impl Look {
    /// Fills in what a graph's calls returned, where its path is probed.
    pub(super) fn complete(&mut self, graph: &mut Graph) {
        if graph.root.ret.is_some() {
            return;
        }
        for armed in &mut self.armed {
            if armed.wanted.root == graph.root.name && armed.probes.complete(graph) {
                if self.completed.len() == MOST_COMPLETED {
                    self.completed.pop_front();
                }
                self.completed.push_back((graph.tid, graph.start_ns, armed.probes.way()));
                return;
            }
        }
    }

    /// By which rung a graph was completed.
    fn way(&self, graph: &Graph) -> Option<&'static str> {
        let same = |(tid, start, _): &&(u32, u64, _)| (*tid, *start) == (graph.tid, graph.start_ns);
        self.completed.iter().find(same).map(|(_, _, way)| *way)
    }

    /// Takes probes away, without waiting for it.
    fn release(&mut self, armed: Armed) {
        let lost = armed.probes.lost();
        if lost > 0 {
            tracing::debug!("{}: {lost} return values were lost", armed.wanted.root);
        }
        self.leaving.retain(|thread| !thread.is_finished());
        let probes = armed.probes;
        match std::thread::Builder::new().name("diag-disarm".into()).spawn(move || drop(probes)) {
            Ok(thread) => self.leaving.push(thread),
            Err(error) => tracing::debug!("no thread to remove probes in: {error}"),
        }
    }
}

impl Drop for Look {
    /// What a thread has put in place or is removing must be gone before this process is.
    fn drop(&mut self) {
        if let Some(arming) = self.arming.take() {
            arming.stop.store(true, Ordering::Relaxed);
            drop(arming.thread.join());
        }
        while let Some(armed) = self.armed.pop_front() {
            drop(armed);
        }
        self.leaving.drain(..).for_each(|thread| drop(thread.join()));
    }
}

impl Pipeline {
    /// Sends stories out: new incidents, and closer looks at them, with the types of the functions on their path, which are
    /// read only now, and only these.
    pub(super) fn send(&mut self, stories: impl IntoIterator<Item = Story>) {
        for story in stories {
            let story = self.story(story);
            self.outgoing.push(story);
        }
    }

    fn story(&mut self, story: Story) -> Story {
        match story {
            Story::New { key, mut incident } => {
                if let Some(graph) = &mut incident.graph {
                    self.complete_evidence(graph);
                }
                self.want_closer(&key, &incident);
                Story::New { key, incident }
            }
            Story::Closer { key, mut graph } => {
                self.complete_evidence(&mut graph);
                if let Some(at) = self.closer.armed.iter().position(|armed| armed.wanted.key == key)
                    && let Some(armed) = self.closer.armed.remove(at)
                {
                    self.closer.release(armed);
                }
                if let Some(at) = self.closer.lost.iter().position(|(lost, _)| *lost == key)
                    && let Some((key, pid)) = self.closer.lost.remove(at)
                {
                    self.want(key, &graph, pid);
                }
                Story::Closer { key, graph }
            }
            again @ Story::Again { .. } => again,
        }
    }

    fn complete_evidence(&self, graph: &mut GraphEvidence) {
        graph.types = running::prototypes(&graph.failed.root.names());
        graph.probes = self.closer.way(&graph.failed).map(str::to_owned);
    }

    /// Wants a failure's path to be probed, where it came without return values or not at all, and may happen again.
    fn want_closer(&mut self, key: &Key, incident: &Incident) {
        if !self.may_look_closer() || incident.failure.syscall().is_none() {
            return;
        }
        let pid = incident.failure.task.pid;
        let whole = incident.graph.as_ref().filter(|graph| graph.failed.is_whole());
        if whole.is_some_and(|graph| graph.failed.root.ret.is_some()) {
            return;
        }
        // A search of PATH fails all the time, and nobody wants to know who decided that.
        if rank::is_noise(&explain::explain_one(incident.clone(), explain::Options::default())) {
            return;
        }
        match whole {
            Some(graph) => self.want(key.clone(), graph, pid),
            None => {
                if self.closer.lost.len() == MOST_WANTED {
                    self.closer.lost.pop_front();
                }
                self.closer.lost.push_back((key.clone(), pid));
            }
        }
    }

    /// Puts a path on the list of those that are to be probed.
    fn want(&mut self, key: Key, graph: &GraphEvidence, pid: u32) {
        let root = &graph.failed.root;
        if root.ret.is_none() && self.closer.wanted.len() < MOST_WANTED {
            let functions = decider::worth_probing(root, &graph.types);
            self.closer.wanted.push_back(Wanted { key, root: root.name.clone(), functions, pid });
        }
    }

    /// Puts probes in place, takes them away, and empties their buffers; at every turn.
    pub(super) fn look_closer(&mut self) {
        self.arming_is_done();
        let most = if self.tree { MOST_ARMED } else { 1 };
        let now = clock::mono_ns();
        let late = |armed: &Armed| !self.tree && now.saturating_sub(armed.since_ns) > PATIENCE_NS;
        let wanted = self.closer.arming.is_none() && !self.closer.wanted.is_empty();
        let full = self.closer.armed.len() >= most && wanted && self.tree;
        if (full || self.closer.armed.front().is_some_and(late))
            && let Some(oldest) = self.closer.armed.pop_front()
        {
            self.correlator.look_closer(&oldest.wanted.key, false);
            self.closer.release(oldest);
        }
        self.closer.armed.iter_mut().for_each(|armed| armed.probes.take());
        if !self.tree && !self.closer.armed.is_empty() {
            // One at a time; the next failure of another kind finds its turn when this one is over.
            self.closer.wanted.clear();
        } else if wanted && let Some(wanted) = self.closer.wanted.pop_front() {
            self.arm_closer(wanted);
        }
    }

    fn arm_closer(&mut self, wanted: Wanted) {
        let tree = self.watch.tree();
        let processes = if tree.is_some() { self.watch.followed() } else { vec![wanted.pid] };
        let spec = ProbeSpec::new(wanted.functions.iter().cloned(), processes).of_tree(tree);
        let (thread, stop) = (std::thread::Builder::new().name("diag-arm".into()), Arc::clone(&spec.stop));
        match thread.spawn(move || ReturnProbes::arm(&spec)) {
            Ok(thread) => self.closer.arming = Some(Arming { wanted, stop, thread }),
            Err(error) => self.closer.off = Some(error.to_string()),
        }
    }

    fn arming_is_done(&mut self) {
        let done = self.closer.arming.take_if(|arming| arming.thread.is_finished());
        let Some(Arming { wanted, thread, .. }) = done else { return };
        let probes = match thread.join() {
            Ok(Ok(probes)) => probes,
            Ok(Err(why)) => {
                tracing::info!("return probes: {why}");
                self.closer.off = Some(why);
                return;
            }
            // Its panic was printed by the hook.
            Err(_) => return,
        };
        let (count, took) = probes.armed();
        tracing::info!("{}: {count} functions probed by {} after {took:?}", wanted.root, probes.way());
        tracing::debug!("passed: {:?}; refused: {:?}", probes.passed(), probes.refused());
        self.correlator.look_closer(&wanted.key, true);
        self.closer.armed.push_back(Armed { wanted, probes, since_ns: clock::mono_ns() });
    }

    /// Whether a second refusal can tell more than the first one.
    fn may_look_closer(&self) -> bool {
        self.graphs.is_some() && !self.host.capture.returns.is_yes() && self.closer.off.is_none()
    }

    /// Whether it is time to repeat what was refused.
    pub fn closer(&self) -> Closer {
        let look = &self.closer;
        if !self.may_look_closer() {
            Closer::No
        } else if self.is_waiting() || look.arming.is_some() || !look.wanted.is_empty() {
            Closer::NotYet
        } else if look.armed.is_empty() && look.lost.is_empty() {
            Closer::No
        } else {
            Closer::Now
        }
    }
}
