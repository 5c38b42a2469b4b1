//! Which observations are one story. A plain state machine over observations and the time they carry: no
//! clock, no file, so that a test can replay any order of arrival.

mod graphs;

pub use graphs::Graphs;

use crate::model::{
    Container, Cost, EngineStep, Errno, Fact, Failure, FailureKind, GraphEvidence, GraphSource, Host,
    Incident, Loss, Owner, Reading, Repeated, Stamp, State, Suspect,
};
use std::collections::HashMap;

/// Equal failures of one container (or process) within this time are one incident with a count.
const FOLD_NS: u64 = 60_000_000_000;
/// How long a failure waits at most until the tracer has been read up to its time: a reader that is behind
/// on a busy machine needs seconds, one that is not milliseconds.
const GRAPH_WAIT_NS: u64 = 30_000_000_000;
/// How long a failure of an engine that reports its steps waits for that report, at most.
const STEP_WAIT_NS: u64 = 250_000_000;
/// Incidents whose repetitions are still counted; beyond this the oldest starts anew.
const MOST_OPEN: usize = 4096;

/// A failure with what the stages before knew about it.
#[derive(Debug, Clone)]
pub struct Attributed {
    pub failure: Failure,
    pub container: Option<Container>,
    pub step: Option<EngineStep>,
    pub readings: Vec<Reading>,
    pub suspects: Vec<Suspect>,
    pub owners: Vec<Owner>,
    pub facts: Vec<Fact>,
}

/// What may still arrive for a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Expected {
    /// Its system call is among the traced ones.
    pub graph: bool,
    /// The kernel's own function for it is traced, so that it is seen whenever it is entered.
    pub entry: bool,
    /// It belongs to an engine that reports failed steps.
    pub step: bool,
}

/// What correlation says.
#[derive(Debug, Clone, PartialEq)]
pub enum Story {
    /// A new incident; `key` names it in later `Again`s.
    New { key: Key, incident: Box<Incident> },
    /// The same failure again.
    Again { key: Key, count: u64, last: Stamp },
    /// Its path when it happened again: with what functions returned on it, or where it was lost before.
    Closer { key: Key, graph: Box<GraphEvidence> },
}

/// What makes two failures the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// The container's id, else the process.
    pub who: String,
    pub syscall: String,
    pub errno: Errno,
    /// What it was about, where that decides: the program, the file that was forbidden.
    pub object: Option<String>,
}

#[derive(Debug)]
struct Open {
    count: u64,
    last: Stamp,
    pid: u32,
    next: Next,
}

/// What the next time of a failure may tell that this one did not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Nothing,
    /// Its path, which was lost or has holes: a processor that is short of time reads too slowly. So many more are tried.
    Path(u32),
    /// What functions return: probes are on its path.
    Values,
}

/// How a path was waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// Whether it is still to come is not known.
    InVain,
    /// Everything up to the failure was read, and its own function is among what is traced.
    All,
}

/// Instead of a path.
const NOT_ENTERED: &str = "the kernel's own function for this call was not entered, and other calls of the thread were seen: a seccomp filter or a \
     tracer answered";

/// A path that is lost so often is too long for the buffer.
const MOST_PATHS_TRIED: u32 = 8;

#[derive(Debug)]
struct Pending {
    key: Key,
    what: Attributed,
    /// It was told and counted already; only its path is of interest.
    again: bool,
    /// As [`Expected::entry`].
    entry: bool,
    /// Until when it waits for its graph, and for its engine's word; 0 when it does not.
    graph_until_ns: u64,
    step_until_ns: u64,
}

/// Folds failures and graphs into incidents.
#[derive(Debug)]
pub struct Correlator {
    host: Host,
    /// Where graphs come from; `Err` says why there are none.
    source: Result<GraphSource, String>,
    graph_wait_ns: u64,
    graphs: Graphs,
    pending: Vec<Pending>,
    open: HashMap<Key, Open>,
    loss: Loss,
    cost: Option<Cost>,
}

impl Correlator {
    pub fn new(host: Host, source: Result<GraphSource, String>) -> Self {
        Self {
            host,
            source,
            graph_wait_ns: GRAPH_WAIT_NS,
            graphs: Graphs::default(),
            pending: vec![],
            open: HashMap::new(),
            loss: Loss::default(),
            cost: None,
        }
    }

    /// For one command, of which nothing is told before its end: a failure waits for its graph until [`Self::flush`]. A
    /// runtime in Go leaves more of a trace than an emulated processor reads in half a minute.
    pub fn patient(self) -> Self {
        Self { graph_wait_ns: u64::MAX, ..self }
    }

    /// A failure that is nobody's incident (its errno is not watched for its own sake) still tells that
    /// its graph is no success.
    pub fn mark_failed(&mut self, failure: &Failure) {
        if let Some((syscall, _)) = failure.syscall() {
            self.graphs.failed(failure.task.tid, syscall, failure.time.mono_ns);
        }
    }

    /// Takes a failure in. What is `expected` to follow decides how long it waits.
    pub fn failure(&mut self, what: Attributed, expected: Expected) -> Option<Story> {
        self.mark_failed(&what.failure);
        let key = key(&what)?;
        let now = what.failure.time;
        if let Some(open) = self.open.get_mut(&key)
            && now.mono_ns.saturating_sub(open.last.mono_ns) < FOLD_NS
        {
            open.count += 1;
            open.last = now;
            let count = open.count;
            if let Next::Path(tries) = &mut open.next {
                *tries = tries.saturating_sub(1);
            }
            if open.next != Next::Nothing && expected.graph {
                let graph_until_ns = now.mono_ns.saturating_add(self.graph_wait_ns);
                let key = key.clone();
                let entry = expected.entry;
                self.pending.push(Pending {
                    key,
                    what,
                    again: true,
                    entry,
                    graph_until_ns,
                    step_until_ns: 0,
                });
            }
            return Some(Story::Again { key, count, last: now });
        }
        self.make_room();
        let pid = what.failure.task.pid;
        self.open.insert(key.clone(), Open { count: 1, last: now, pid, next: Next::Nothing });
        let until = |wanted: bool, wait_ns| if wanted { now.mono_ns.saturating_add(wait_ns) } else { 0 };
        let graph_until_ns = until(expected.graph && self.source.is_ok(), self.graph_wait_ns);
        let step_until_ns = until(expected.step && what.step.is_none(), STEP_WAIT_NS);
        if graph_until_ns.max(step_until_ns) == 0 {
            return Some(self.emit(key, what, Awaited::Nothing));
        }
        let entry = expected.entry;
        self.pending.push(Pending { key, what, again: false, entry, graph_until_ns, step_until_ns });
        None
    }

    /// Takes a graph in.
    pub fn graph(&mut self, graph: crate::model::Graph) {
        self.graphs.push(graph);
    }

    /// Return probes are on this failure's path: when it happens again, its graph may tell more.
    pub fn look_closer(&mut self, key: &Key, closer: bool) {
        if let Some(open) = self.open.get_mut(key) {
            open.next = if closer { Next::Values } else { Next::Nothing };
        }
    }

    /// The flood the kernel counted without sending it.
    pub fn repeated(&mut self, flood: &Repeated, now: Stamp) -> Option<Story> {
        let Repeated { pid, syscall, errno, count } = flood;
        self.graphs.distrust(*pid, syscall);
        // The kernel counts what followed the last one that travelled whole.
        let of_kind =
            self.open.iter_mut().filter(|(k, o)| o.pid == *pid && k.syscall == *syscall && k.errno == *errno);
        let (key, open) = of_kind.max_by_key(|(_, open)| open.last.mono_ns)?;
        open.count += count;
        open.last = now;
        Some(Story::Again { key: key.clone(), count: open.count, last: now })
    }

    /// Paths are traced otherwise from now on, or no more.
    pub fn watched_anew(&mut self, host: Host, source: Result<GraphSource, String>) {
        (self.host, self.source) = (host, source);
    }

    /// What watching lost and took so far; incidents from now on carry it.
    pub fn account(&mut self, loss: Loss, cost: Cost) {
        (self.loss, self.cost) = (loss, Some(cost));
    }

    pub fn loss(&self) -> Loss {
        self.loss
    }

    /// What is ready at this time. A failure waits until all graphs that ended before it are here
    /// (`graphs_up_to`), not merely for the first that fits: the thread's previous call fits as well. And
    /// it waits for its engine's word on the step, which `step_of` looks up.
    pub fn due(
        &mut self,
        now_mono_ns: u64,
        graphs_up_to: u64,
        step_of: impl Fn(&Failure) -> Option<EngineStep>,
    ) -> Vec<Story> {
        let mut ready = Vec::new();
        for mut p in std::mem::take(&mut self.pending) {
            p.what.step = p.what.step.or_else(|| step_of(&p.what.failure));
            let graph = p.graph_until_ns <= now_mono_ns || p.what.failure.time.mono_ns < graphs_up_to;
            let step = p.again || p.step_until_ns <= now_mono_ns || p.what.step.is_some();
            if graph && step {
                ready.push(p);
            } else {
                self.pending.push(p);
            }
        }
        let story = |p: Pending| {
            let awaited = match p.graph_until_ns {
                0 => Awaited::Nothing,
                _ if p.entry && p.what.failure.time.mono_ns < graphs_up_to => Awaited::All,
                _ => Awaited::InVain,
            };
            if p.again { self.closer(p) } else { Some(self.emit(p.key, p.what, awaited)) }
        };
        ready.into_iter().filter_map(story).collect()
    }

    /// The path of a repetition, if it tells what the first one did not.
    fn closer(&mut self, again: Pending) -> Option<Story> {
        let source = *self.source.as_ref().ok()?;
        let open = self.open.get_mut(&again.key)?;
        let graph = self.graphs.evidence(&again.what.failure, source);
        let tells = graph.as_ref().is_some_and(|graph| match open.next {
            Next::Nothing => false,
            Next::Path(_) => graph.failed.is_whole(),
            Next::Values => graph.failed.root.ret.is_some(),
        });
        // Once is enough.
        if tells || open.next == Next::Path(0) {
            open.next = Next::Nothing;
        }
        let graph = graph.filter(|_| tells)?;
        Some(Story::Closer { key: again.key, graph: Box::new(graph) })
    }

    /// Everything that still waits, as it is.
    pub fn flush(&mut self, step_of: impl Fn(&Failure) -> Option<EngineStep>) -> Vec<Story> {
        self.due(u64::MAX, u64::MAX, step_of)
    }

    /// Whether anything waits for its graph.
    pub fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    fn emit(&mut self, key: Key, mut what: Attributed, awaited: Awaited) -> Story {
        let (graph, no_graph) = match &self.source {
            // The kernel works on a netlink request while it is sent.
            Ok(source) if matches!(what.failure.kind, FailureKind::Netlink(_)) => {
                (self.graphs.evidence(&what.failure, *source), None)
            }
            // Else only a system call has a path of its own through the kernel.
            _ if what.failure.syscall().is_none() => (None, None),
            Ok(source) => match self.graphs.evidence(&what.failure, *source) {
                Some(evidence) => (Some(evidence), None),
                None if awaited == Awaited::All
                    && self.loss.graph_overruns == 0
                    && self.graphs.never_entered(&what.failure) =>
                {
                    let name = what.failure.syscall().map_or("", |(name, _)| name);
                    what.facts.push(Fact::State(State::not_entered(name)));
                    (None, Some(NOT_ENTERED.into()))
                }
                None => (
                    None,
                    Some(
                        "this system call was not among the traced functions, or its record was lost".into(),
                    ),
                ),
            },
            Err(why) => (None, Some(why.clone())),
        };
        if let Some(open) = self.open.get_mut(&key)
            && awaited != Awaited::Nothing
            && what.failure.syscall().is_some()
            && graph.as_ref().is_none_or(|graph| !graph.failed.is_whole())
        {
            open.next = Next::Path(MOST_PATHS_TRIED);
        }
        let (count, last) = self.open.get(&key).map_or((1, what.failure.time), |o| (o.count, o.last));
        let incident = Incident {
            host: self.host.clone(),
            container: what.container,
            failure: what.failure,
            count,
            last,
            step: what.step,
            graph,
            no_graph,
            readings: what.readings,
            suspects: what.suspects,
            owners: what.owners,
            facts: what.facts,
            loss: self.loss,
            cost: self.cost,
        };
        Story::New { key, incident: Box::new(incident) }
    }

    fn make_room(&mut self) {
        if self.open.len() < MOST_OPEN {
            return;
        }
        if let Some(oldest) = self.open.iter().min_by_key(|(_, o)| o.last.mono_ns).map(|(k, _)| k.clone()) {
            self.open.remove(&oldest);
        }
    }
}

fn key(what: &Attributed) -> Option<Key> {
    if matches!(what.failure.kind, FailureKind::UserspaceText { .. }) {
        return None;
    }
    let (syscall, errno) = what.failure.label();
    let who = match &what.container {
        Some(c) => c.id.clone(),
        None => format!("pid {}", what.failure.task.pid),
    };
    let object = object(&what.failure);
    Some(Key { who, syscall, errno, object })
}

/// A search of PATH fails many times with the same errno before it fails for good, each forbidden file is forbidden by
/// itself, and what one control file of the kernel refuses says nothing of another word or another file: only then is
/// the object part of what makes two failures the same. A number (a process to move, a limit to try) is no other word.
fn object(failure: &Failure) -> Option<String> {
    let (name, errno) = failure.syscall()?;
    let is_exec = matches!(name, "execve" | "execveat");
    let is_forbidden = [Errno::EACCES, Errno::EPERM].contains(&errno) && name.starts_with("open");
    if is_exec || is_forbidden {
        return failure.text_arg("pathname").map(str::to_owned);
    }
    let word = failure.text_arg("written")?.trim();
    let file = failure.file()?;
    let word = if word.parse::<i64>().is_ok() { "" } else { word };
    Some(format!("{}:{}:{} {word}", file.device, file.folder, file.name))
}

#[cfg(test)]
mod tests;
