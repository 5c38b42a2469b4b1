//! One armed capture: set up in an order that a crash at any point can be undone from, and undone.

use super::functions::{self, Selection};
use super::reader::{Kept, Reader, Stream};
use super::returns::{PRINTED, Returns, Source, TAPPED, is_off};
use super::state::{Footprint, Record, RunDir, current};
use super::tap::Tap;
use super::tracefs::Tracefs;
use super::{FtraceError, Graph, GraphSource, GraphSpec, filter, names, price, probe_group, top};
use crate::capture::clock;
use crate::model::{Availability, is_entry_of};
use nix::unistd::Uid;
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::mpsc;

const TRACER: &str = "function_graph";
/// There where the kernel was built to print return values.
const RETVAL: &str = "options/funcgraph-retval";
/// How long the reader may take to see the calls by which the price is measured, and between two looks.
const MOST_WAIT_NS: u64 = 5_000_000_000;
const LOOK: Duration = Duration::from_millis(5);
/// Captures of one process at the same time.
const MAX_OWN: u32 = 64;

/// function_graph, armed; dropping it disarms.
#[derive(Debug)]
pub struct GraphCapture {
    // Fields are dropped in this order: the pipe must be closed before its instance can go.
    reader: Reader,
    receiver: Option<mpsc::Receiver<Graph>>,
    footing: Footing,
    functions: usize,
    /// The armed functions that may be the root of a graph.
    roots: HashSet<String>,
    returns: Availability,
    /// Of one traced call, where it was measured.
    price_ns: Option<u64>,
}

/// What a capture has taken so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Spent {
    /// Traced calls, those included that were overwritten.
    pub calls: u64,
    /// Nanoseconds of each, where that could be measured.
    pub price_ns: Option<u64>,
    /// Processor time of the thread that reads them.
    pub cpu_ns: u64,
}

impl Spent {
    pub fn since(self, earlier: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(earlier.calls),
            price_ns: self.price_ns,
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
        }
    }

    /// All of it, in nanoseconds of one processor.
    pub fn ns(self) -> u64 {
        self.price_ns.map_or(0, |price| self.calls.saturating_mul(price)).saturating_add(self.cpu_ns)
    }
}

impl GraphCapture {
    pub fn arm(spec: GraphSpec) -> Result<Self, FtraceError> {
        Self::try_arm(&spec).map_err(FtraceError::or_locked)
    }

    fn try_arm(spec: &GraphSpec) -> Result<Self, FtraceError> {
        if !Uid::effective().is_root() {
            return Err(FtraceError::NotRoot);
        }
        let tracefs = match &spec.tracefs {
            Some(root) => Tracefs::at(root),
            None => Tracefs::find()?,
        };
        if std::fs::read_to_string("/proc/sys/kernel/ftrace_enabled").is_ok_and(|on| on.trim() == "0") {
            return Err(FtraceError::SwitchedOff);
        }
        let tracers = tracefs.value("available_tracers")?;
        if !has(&tracers, TRACER) {
            return Err(FtraceError::NotBuilt { tracers });
        }
        let available = tracefs
            .read("available_filter_functions_addrs")
            .or_else(|_| tracefs.read("available_filter_functions"))?;
        let scoped = !spec.pids.is_empty();
        let mut selection = functions::select(&available, &spec.families, &spec.functions, scoped);
        selection.add_roots(&spec.roots);
        let before = spec.price.then(price::one_call_ns).flatten();
        let run = RunDir::new(&spec.run_dir)?;
        // Declared before the lock and so dropped after it: undoing takes the lock again.
        let mut footing = Footing { tracefs, run, footprint: Footprint::default(), record: None };
        let order = footing.run.exclusive()?;
        sweep(&footing.tracefs, &footing.run)?;
        match footing.set_up_instance(spec, &selection) {
            Err(FtraceError::NotBuilt { .. }) => footing.set_up_top(spec, &selection)?,
            done => done?,
        }
        // From here on dropping the footing must find the lock free.
        drop(order);
        let mut capture = footing.read(spec, selection)?;
        capture.price_ns = before.and_then(|before| capture.price(before));
        Ok(capture)
    }

    /// What arming added to a traced call.
    fn price(&mut self, before_ns: u64) -> Option<u64> {
        let after_ns = price::one_call_ns()?;
        let (over, deadline) = (clock::mono_ns(), clock::mono_ns() + MOST_WAIT_NS);
        while self.read_up_to() <= over && clock::mono_ns() < deadline {
            std::thread::sleep(LOOK);
        }
        // Graphs of calls before arming there are none, and a size is a size, whoever made the call.
        let own = self.try_recv_all().into_iter().find(|graph| is_entry_of(&graph.root.name, "open_tree"))?;
        price::of_one(before_ns, after_ns, own.root.size())
    }

    pub fn spent(&self) -> Spent {
        let counters = &self.reader.counters;
        Spent {
            // An overwritten event was an entry or an exit.
            calls: counters.calls.load(Ordering::Relaxed) + self.overruns() / 2,
            price_ns: self.price_ns,
            cpu_ns: counters.cpu_ns.load(Ordering::Relaxed),
        }
    }

    /// Traces these functions no more.
    pub fn forget(&self, names: &[String]) -> Result<(), FtraceError> {
        let buffer = self.footing.buffer();
        // One write each: a name that is not there is an error, and none of the others' business.
        names.iter().try_for_each(|name| buffer.write("set_ftrace_filter", &format!("!{name}\n")))
    }

    pub fn source(&self) -> GraphSource {
        if self.footing.footprint.uses_top() { GraphSource::Top } else { GraphSource::Instance }
    }

    /// Whether this kernel prints what functions return.
    pub(super) fn try_printed(&self) -> Result<String, String> {
        match self.footing.buffer().value(RETVAL) {
            Ok(_) => Ok("printed with the graph".into()),
            Err(_) => Err("this kernel is built without CONFIG_FUNCTION_GRAPH_RETVAL".into()),
        }
    }

    /// By which rung of the ladder return values are had, or why they are not.
    pub fn returns(&self) -> &Availability {
        &self.returns
    }

    /// The finished graphs, to await; afterwards [`Self::try_recv_all`] finds nothing.
    pub fn take_receiver(&mut self) -> Option<mpsc::Receiver<Graph>> {
        self.receiver.take()
    }

    /// The graphs that are finished now.
    pub fn try_recv_all(&mut self) -> Vec<Graph> {
        let mut graphs = Vec::new();
        while let Some(Ok(graph)) = self.receiver.as_mut().map(mpsc::Receiver::try_recv) {
            graphs.push(graph);
        }
        graphs
    }

    /// Events overwritten before they were read, graphs dropped because nobody took them.
    pub fn overruns(&self) -> u64 {
        let counters = &self.reader.counters;
        let overwritten = self.footing.buffer().buffer_counts().lost;
        overwritten.max(counters.lost.load(Ordering::Relaxed)) + counters.dropped.load(Ordering::Relaxed)
    }

    /// Every graph that ended before this time (`CLOCK_MONOTONIC`) is in the receiver or was dropped. Ask
    /// this first and empty the receiver then: so it is certain that no other graph is still to come.
    pub fn read_up_to(&self) -> u64 {
        self.reader.counters.read_up_to.load(Ordering::Acquire)
    }

    /// Follows this process too, where only chosen ones are followed.
    pub fn follow(&self, pid: u32) -> Result<(), FtraceError> {
        self.footing.buffer().write("set_ftrace_pid", &format!("{pid}\n"))
    }

    /// Graphs of watched functions outside the watched system calls, by their outermost function: cost without use.
    pub fn foreign(&self) -> BTreeMap<String, u64> {
        self.reader.counters.foreign.lock().map(|foreign| foreign.clone()).unwrap_or_default()
    }

    /// A thread's name, which records do not hold: while it lives, or as the tracer remembers it.
    pub fn name_of(&self, tid: u32) -> Option<String> {
        names::of(&self.footing.tracefs, tid)
    }

    /// Whether the kernel's own function for a system call is traced.
    pub fn has_entry_of(&self, syscall: &str) -> bool {
        self.roots.iter().any(|root| is_entry_of(root, syscall))
    }

    pub fn armed_functions(&self) -> usize {
        self.functions
    }

    /// Disarms and says whether everything is as before; dropping does the same with a warning.
    pub fn disarm(mut self) -> Result<(), FtraceError> {
        self.reader.stop();
        self.footing.undo()
    }
}

/// Where the capture stands in tracefs, and how to leave.
#[derive(Debug)]
struct Footing {
    tracefs: Tracefs,
    run: RunDir,
    footprint: Footprint,
    record: Option<Record>,
}

impl Footing {
    /// The instance or the top one.
    fn buffer(&self) -> Tracefs {
        match &self.footprint.instance {
            Some(name) => self.tracefs.instance(name),
            None => Tracefs::at(&self.tracefs.path("")),
        }
    }

    /// Writes the footprint before the first change.
    fn step(&mut self, name: &str, footprint: Footprint) -> Result<(), FtraceError> {
        self.record = Some(self.run.record(name, &footprint)?);
        self.footprint = footprint;
        Ok(())
    }

    fn set_up_instance(&mut self, spec: &GraphSpec, selection: &Selection) -> Result<(), FtraceError> {
        if !self.tracefs.exists("instances") {
            return Err(FtraceError::NotBuilt { tracers: "no instances".into() });
        }
        let name = free_name(&self.tracefs)?;
        let saved = self.shared_options();
        self.step(&name, Footprint { instance: Some(name.clone()), saved, group: None })?;
        self.tracefs.make_instance(&name)?;
        let buffer = self.tracefs.instance(&name);
        let tracers = buffer.value("available_tracers")?;
        if !has(&tracers, TRACER) {
            self.undo_locked()?;
            return Err(FtraceError::NotBuilt { tracers });
        }
        filter::set_up(&buffer, spec, selection)?;
        self.forget_unshared()?;
        match buffer.write("current_tracer", TRACER) {
            // 5.10 and 6.1 list it or not, and refuse it.
            Err(FtraceError::Control { source, .. }) if source.raw_os_error() == Some(libc::EINVAL) => {
                self.undo_locked()?;
                Err(FtraceError::NotBuilt { tracers })
            }
            done => done,
        }
    }

    fn set_up_top(&mut self, spec: &GraphSpec, selection: &Selection) -> Result<(), FtraceError> {
        top::check_unused(&self.tracefs)?;
        let footprint = Footprint { instance: None, saved: top::settings(&self.tracefs), group: None };
        self.step(&format!("{}-top", std::process::id()), footprint)?;
        filter::set_up(&self.tracefs, spec, selection)?;
        self.tracefs.write("current_tracer", TRACER)
    }

    /// On 6.12 an instance's options are the top's as well. Who arms first knows how they were; who comes
    /// later inherits that from the footprint of the first.
    fn shared_options(&self) -> Vec<super::state::Saved> {
        let (living, _) = self.run.others();
        let mut saved = top::form(&self.tracefs);
        for known in living.into_iter().flat_map(|footprint| footprint.saved) {
            if let Some(own) = saved.iter_mut().find(|own| own.file == known.file) {
                own.value = known.value;
            }
        }
        saved
    }

    /// Where instances have options of their own, nothing of the top needs restoring.
    fn forget_unshared(&mut self) -> Result<(), FtraceError> {
        let tracefs = &self.tracefs;
        self.footprint.saved.retain(|saved| current(tracefs, &saved.file).as_ref() != Some(&saved.value));
        match &mut self.record {
            Some(record) => record.rewrite(&self.footprint),
            None => Ok(()),
        }
    }

    /// The last step.
    fn read(self, spec: &GraphSpec, selection: Selection) -> Result<GraphCapture, FtraceError> {
        let buffer = self.buffer();
        let stream = Stream::open(&self.tracefs, &buffer, &selection)?;
        let source = returns(spec, &buffer, stream.rounding_ns());
        let returns = source.availability();
        let functions = selection.functions.len();
        let failed = |source| FtraceError::Control { doing: "read", path: buffer.path(""), source };
        let roots = selection.roots.clone();
        let kept = Kept { roots: selection.roots, returns: source };
        let (reader, receiver) = Reader::start(stream, kept).map_err(failed)?;
        let receiver = Some(receiver);
        Ok(GraphCapture { reader, receiver, footing: self, functions, roots, returns, price_ns: None })
    }

    fn undo(&mut self) -> Result<(), FtraceError> {
        if self.record.is_none() {
            return Ok(());
        }
        let _order = self.run.exclusive()?;
        self.undo_locked()
    }

    fn undo_locked(&mut self) -> Result<(), FtraceError> {
        let Some(record) = self.record.take() else { return Ok(()) };
        let own = std::mem::take(&mut self.footprint);
        let (living, _) = self.run.others();
        // Our own record is locked by ourselves and counts among the living.
        let shared = living.iter().any(|other| *other != own && !other.saved.is_empty());
        own.undo(&self.tracefs, shared)?;
        record.remove()
    }
}

/// For an instance of this process that there is not yet.
pub(super) fn free_name(tracefs: &Tracefs) -> Result<String, FtraceError> {
    let taken = tracefs.instances();
    let pid = std::process::id();
    let mut names =
        (0..MAX_OWN).map(|n| if n == 0 { format!("diag-{pid}") } else { format!("diag-{pid}-{n}") });
    let free = names.find(|name| !taken.contains(name));
    free.ok_or_else(|| FtraceError::Busy { what: format!("{MAX_OWN} captures of this process") })
}

impl Drop for Footing {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            tracing::warn!("ftrace is not as before: {error}; the next start of diag tries again");
        }
    }
}

/// The first rung that works: the kernel prints return values, or a breakpoint sees them.
fn returns(spec: &GraphSpec, buffer: &Tracefs, rounding_ns: u64) -> Source {
    if !spec.returns {
        return Source::None("not asked for".into());
    }
    if !is_off(PRINTED) && buffer.value(RETVAL).is_ok_and(|on| on == "1") {
        return Source::Printed;
    }
    if is_off(TAPPED) {
        return Source::None("switched off by DIAG_DISABLE".into());
    }
    match Tap::open() {
        Ok(tap) => Source::Tapped(Returns::new(tap, rounding_ns)),
        Err(why) => Source::None(why),
    }
}

/// Under the lock: undoes the dead, then removes instances that bear a dead process's number.
pub(super) fn sweep(tracefs: &Tracefs, run: &RunDir) -> Result<usize, FtraceError> {
    let (living, dead) = run.others();
    let shared = living.iter().any(|footprint| !footprint.saved.is_empty());
    let mut swept = 0;
    for (record, footprint) in dead {
        footprint.undo(tracefs, shared)?;
        record.remove()?;
        swept += 1;
    }
    for name in tracefs.instances() {
        let owner = name.strip_prefix("diag-").and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        let recorded = living.iter().any(|footprint| footprint.instance.as_ref() == Some(&name));
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) && !recorded {
            Footprint { instance: Some(name), ..Footprint::default() }.undo(tracefs, true)?;
            swept += 1;
        }
    }
    for group in probe_group::of_the_dead(tracefs) {
        if !living.iter().any(|footprint| footprint.group.as_ref() == Some(&group)) {
            probe_group::remove(tracefs, &group)?;
            swept += 1;
        }
    }
    Ok(swept)
}

fn has(tracers: &str, wanted: &str) -> bool {
    tracers.split_whitespace().any(|tracer| tracer == wanted)
}
