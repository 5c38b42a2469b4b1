//! The order of the stages: capture, attribute, correlate. This file alone knows it.
//!
//! One loop over everything that can happen: the ring buffer has records, a call graph is complete, time
//! has passed. What comes out are stories; judging them is `explain`'s, which needs no pipeline.

mod beside;
mod budget;
mod closer;
mod outgoing;
mod owners;
mod paths;
mod searches;
mod successes;
mod telling;

use crate::attribute::Index;
use crate::capture::{
    clock,
    engine::{self, EngineLog},
    engines::{Engines, Process, daemons},
    errno_watch::{CaptureError, ErrnoWatch, Scope},
    sampler,
    stalls::Stalls,
    user_stack,
};
use crate::correlate::{Attributed, Correlator, Expected, Story};
use crate::limits::read::Root;
use crate::model::{
    Availability, CaptureState, Container, Cost, EngineWord, Failure, FailureKind, GraphSource, Host, Loss,
    Stamp,
};
use beside::Beside;
use budget::Budget;
pub use budget::Paths;
pub use closer::Closer;
use outgoing::Outgoing;
use paths::Tracing;
use std::{path::PathBuf, time::Duration};

/// How often waiting failures are looked at while there are any.
const TICK_BUSY: Duration = Duration::from_millis(10);
/// And how often engine logs, floods and loss are looked at otherwise.
const TICK_IDLE: Duration = Duration::from_millis(500);

/// How often the cgroups of a tree are looked at for what holds them back.
const STALLS_NS: u64 = 400_000_000;

/// How old the price in an incident may be.
const ACCOUNT_NS: u64 = 250_000_000;

/// The readings whose scope is a cgroup above the task.
const MEMORY_MAX: &str = "memory.max";

/// What to watch, and where engines keep their state.
#[derive(Debug, Clone)]
pub struct Spec {
    /// This process and whatever it starts, for every errno; the whole machine otherwise.
    pub tree: Option<u32>,
    /// That process's command, as far as it tells what engines are asked for.
    pub words: Vec<String>,
    pub engine_root: PathBuf,
    /// How much of the kernel's paths to trace, where this kernel allows it.
    pub paths: Paths,
    /// Percent of one processor that tracing a whole machine may take.
    pub budget: f64,
}

/// What the pipeline says.
#[derive(Debug)]
pub enum Event {
    Story(Story),
    /// A container was heard of, or changed its state.
    Container(Container, Stamp),
    /// Less is watched from now on, and why.
    Less(String),
}

/// The live line, from the kernel to stories.
pub struct Pipeline {
    root: Root,
    watch: ErrnoWatch,
    graphs: Option<Tracing>,
    closer: closer::Look,
    /// Of a whole machine's tracing; one command's tree may take what it takes.
    budget: Option<Budget>,
    engine: EngineLog,
    engines: Engines,
    index: Index,
    correlator: Correlator,
    outgoing: Outgoing,
    host: Host,
    /// One process tree is watched, not the machine.
    tree: bool,
    /// What engines do for that tree.
    beside: Option<Beside>,
    cost: Cost,
    accounted_ns: u64,
    /// What holds the tree back without refusing anything, and when it was last looked for.
    stalls: Option<Stalls>,
    stalls_ns: u64,
    /// When watching began, on the kernel's clock: what engines tell of earlier times is no news.
    started_ns: u64,
}

/// A failure with what only the moment after it can tell.
struct Looked {
    failure: Failure,
    /// The processes above the failed one, where it is not known whose it is.
    above: Vec<Process>,
    code: Option<user_stack::Seen>,
    sampled: sampler::Sampled,
}

impl Pipeline {
    /// Loads and arms everything this kernel allows. What it refuses is kept as a reason in [`Host`].
    pub fn start(spec: &Spec) -> Result<Self, CaptureError> {
        let mut watch = ErrnoWatch::start(if spec.tree.is_some() { Scope::Tree } else { Scope::Machine })?;
        let (errno_watch, mount_count, _) = watch.state();
        let (kills, io_uring, netlink) = watch.silent();
        let root = Root::default();
        // Work for one command may be done by engines' daemons: they are followed beside it.
        let daemons = if spec.tree.is_some() { daemons(&root) } else { vec![] };
        let threads = daemons.iter().flat_map(|daemon| daemon.threads(&root)).collect();
        let (graphs, source) = paths::arm(spec, threads);
        let function_graph = match &source {
            Ok(GraphSource::Top) => Availability::yes("top"),
            Ok(_) => Availability::yes("instance"),
            Err(why) => Availability::no(why.clone()),
        };
        let returns = match &graphs {
            Some(tracing) => tracing.capture.returns().clone(),
            None => Availability::no("they come with function_graph"),
        };
        let beside = spec.tree.map(|_| Beside::follow(daemons, &mut watch, &spec.words));
        let daemons = match &beside {
            Some(beside) => beside.state(),
            None => Availability::no("the whole machine is watched"),
        };
        // Last: from here on every failure of the tree is a record, and nothing of ours is in its way.
        if let Some(pid) = spec.tree {
            watch.follow(pid)?;
        }
        let host = Host {
            kernel: nix::sys::utsname::uname()
                .map(|u| u.release().to_string_lossy().into_owned())
                .unwrap_or_default(),
            diag_version: env!("CARGO_PKG_VERSION").into(),
            capture: CaptureState {
                errno_watch,
                function_graph,
                returns,
                mount_count,
                kills,
                io_uring,
                netlink,
                daemons,
            },
        };
        Ok(Self {
            outgoing: Outgoing::start(root.clone()),
            root,
            watch,
            budget: graphs
                .as_ref()
                .filter(|_| spec.tree.is_none())
                .map(|_| Budget::new(spec.budget, spec.paths, clock::mono_ns())),
            graphs,
            closer: closer::Look::default(),
            engine: EngineLog::open(&spec.engine_root),
            engines: Engines::default(),
            index: Index::default(),
            correlator: match spec.tree {
                Some(_) => Correlator::new(host.clone(), source).patient(),
                None => Correlator::new(host.clone(), source),
            },
            host,
            tree: spec.tree.is_some(),
            beside,
            cost: Cost::default(),
            accounted_ns: 0,
            stalls: spec.tree.map(Stalls::new),
            stalls_ns: 0,
            started_ns: clock::mono_ns(),
        })
    }

    pub fn host(&self) -> &Host {
        &self.host
    }

    pub fn loss(&self) -> Loss {
        self.correlator.loss()
    }

    /// What watching took so far.
    pub fn cost(&mut self) -> Cost {
        self.watch.cost()
    }

    /// Waits until something happened and returns what follows from it.
    pub async fn next(&mut self) -> std::io::Result<Vec<Event>> {
        let tick = if self.is_waiting() { TICK_BUSY } else { TICK_IDLE };
        let graph = async {
            match &mut self.graphs {
                Some(t) => t.finished.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            ready = self.watch.ready() => ready?,
            Some(mut graph) = graph => {
                self.closer.complete(&mut graph);
                self.correlator.graph(graph);
            }
            () = self.outgoing.named() => {}
            () = tokio::time::sleep(tick) => {}
        }
        Ok(self.turn())
    }

    /// One round over every source, without waiting.
    pub fn turn(&mut self) -> Vec<Event> {
        let mut out = Vec::new();
        // First what is gone first: an engine that was refused something ends within a millisecond.
        let failures = self.watch.drain();
        let above = self.above(&failures);
        // Then identities: the engine writes them before the failures they explain.
        self.engine_events(&mut out);
        self.hear_engines();
        let looked: Vec<_> =
            failures.into_iter().zip(above).filter_map(|(f, above)| self.look(f, above)).collect();
        looked.into_iter().for_each(|looked| self.take_in(looked, &mut out));
        for step in self.index.overdue(clock::mono_ns()) {
            self.failure(engine::failure_of(&step), &mut out);
        }
        self.stalled(&mut out);
        self.keep_to_budget(&mut out);
        self.look_closer();
        let graphs_up_to = self.graphs.as_ref().map_or(0, |t| t.capture.read_up_to());
        if let Some(t) = &mut self.graphs {
            while let Ok(mut graph) = t.finished.try_recv() {
                self.closer.complete(&mut graph);
                self.correlator.graph(graph);
            }
        }
        let now = clock::now();
        if self.correlator.is_waiting() {
            // Looking at failures may have taken longer than they wait for their engine's word: it may be there by now.
            self.engine_events(&mut out);
        }
        for flood in self.watch.repeated() {
            let story = self.correlator.repeated(&flood, now);
            self.send(story);
        }
        let loss = Loss {
            events_dropped: self.watch.lost(),
            graph_overruns: self.graphs.as_ref().map_or(0, |t| t.capture.overruns()),
        };
        // A handful of files to read, so not at every turn of a flood.
        if now.mono_ns.saturating_sub(self.accounted_ns) > ACCOUNT_NS {
            self.accounted_ns = now.mono_ns;
            self.cost = self.watch.cost();
        }
        self.correlator.account(loss, self.cost);
        let due = self.correlator.due(now.mono_ns, graphs_up_to, |f| self.index.step_of(f).cloned());
        self.send(due);
        out.extend(self.outgoing.ready());
        out
    }

    /// Waits for what is still on its way, at most this long, and returns the rest as it is.
    pub async fn finish(&mut self, most: Duration) -> std::io::Result<Vec<Event>> {
        let mut out = self.turn();
        let deadline = tokio::time::Instant::now() + most;
        while self.is_waiting() {
            match tokio::time::timeout_at(deadline, self.next()).await {
                Ok(events) => out.extend(events?),
                Err(_) => break,
            }
        }
        let rest = self.correlator.flush(|f| self.index.step_of(f).cloned());
        self.send(rest);
        out.extend(self.outgoing.ready());
        // A story that is not told has no names: these are waited for in any case, and not without an end.
        while self.outgoing.is_waiting() {
            let _ = tokio::time::timeout(TICK_IDLE, self.outgoing.named()).await;
            out.extend(self.outgoing.ready());
        }
        Ok(out)
    }

    /// A failure for its graph, or a kill for its reason: also that of the command itself, after which nothing comes.
    fn is_waiting(&self) -> bool {
        self.correlator.is_waiting() || self.watch.is_waiting() || self.outgoing.is_waiting()
    }

    fn engine_events(&mut self, out: &mut Vec<Event>) {
        for word in self.engine.read_new() {
            match word {
                EngineWord::Container(event) => {
                    self.index.learn(&event);
                    if let Some(c) = self.index.get(&event.container.id) {
                        out.push(Event::Container(c.clone(), event.time));
                    }
                }
                // Of a tree the failing processes are known; a step may be somebody else's.
                EngineWord::Step(step) => {
                    let live = !self.tree && step.time.mono_ns > self.started_ns;
                    self.index.step(step, live);
                }
            }
        }
    }

    /// A handful of files per process of the tree, so only now and then.
    fn stalled(&mut self, out: &mut Vec<Event>) {
        let now = clock::mono_ns();
        if now.saturating_sub(self.stalls_ns) < STALLS_NS {
            return;
        }
        self.stalls_ns = now;
        let found = self.stalls.as_mut().map(|stalls| stalls.look(&self.root)).unwrap_or_default();
        for failure in found {
            self.failure(failure, out);
        }
    }

    fn failure(&mut self, failure: Failure, out: &mut Vec<Event>) {
        let above = self.above(std::slice::from_ref(&failure)).pop().unwrap_or_default();
        if let Some(looked) = self.look(failure, above) {
            self.take_in(looked, out);
        }
    }

    /// Reads what may be gone the next moment, and nothing else: behind this failure others wait for the same.
    fn look(&mut self, mut failure: Failure, above: Vec<Process>) -> Option<Looked> {
        if !self.may_matter(&failure) {
            return None;
        }
        self.index.seen(&failure);
        let sample = |failure: &mut Failure| sampler::sample(&self.root, self.watch.cgroups(), failure);
        // Of a tree the memory maps are recorded; of a machine nobody has them when the process is gone.
        let (sampled, code) = if self.tree {
            (sample(&mut failure), user_stack::look(&self.root, &mut failure))
        } else {
            let code = user_stack::look(&self.root, &mut failure);
            (sample(&mut failure), code)
        };
        let mut paths = self.watch.cgroups().paths(&self.root, &failure.task);
        // The dying may be gone from /proc already; what was read above an OOM victim is not.
        paths.extend(failure.readings.iter().filter(|r| r.limit == MEMORY_MAX).map(|r| r.scope.clone()));
        self.index.learn_paths(&failure.task, &paths);
        Some(Looked { failure, above, code, sampled })
    }

    /// Whose it is, which code made it, and what it belongs to.
    fn take_in(&mut self, looked: Looked, out: &mut Vec<Event>) {
        let Looked { mut failure, above, code, sampled } = looked;
        let container = self.owner(&failure, &above);
        if !self.is_ours(&failure, container.as_ref())
            || !self.is_worth_telling(&mut failure, container.as_ref())
        {
            return;
        }
        let code = code.map(|code| code.with(self.watch.recorded()));
        if let Some(c) = &container {
            out.push(Event::Container(c.clone(), failure.time));
        }
        let graph = match (&self.graphs, &failure.kind) {
            (Some(t), FailureKind::Syscall { name, .. }) => t.covers(name),
            (Some(t), FailureKind::Netlink(_)) => t.covers("sendmsg"),
            _ => false,
        };
        let entered =
            |(name, _): (&str, _)| self.graphs.as_ref().is_some_and(|t| t.capture.has_entry_of(name));
        let entry = failure.syscall().is_some_and(entered);
        let step = container.as_ref().is_some_and(|c| c.engine == engine::ENGINE);
        let expected = Expected { graph, entry, step };
        let what = Attributed {
            step: self.index.step_of(&failure).cloned(),
            container,
            failure,
            readings: sampled.readings,
            suspects: sampled.suspects,
            owners: sampled.owners,
            facts: sampled.facts,
        };
        let story = self.correlator.failure(what, expected);
        if let Some(code) = code
            && !matches!(story, Some(Story::Again { .. }))
        {
            self.outgoing.ask(code);
        }
        self.send(story);
    }
}
