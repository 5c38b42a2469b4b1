//! Return values of chosen functions by return probes, for the second time that something is refused.
//!
//! The lower rungs of the ladder (DESIGN §4.3): where neither the kernel prints what functions return nor a breakpoint
//! sees it, the first failure's graph still tells which functions lie on the way; probes on exactly these
//! give the values when the same call is refused again. [`multi`] attaches to all of them at once, [`events`] to one
//! after the other. Each is chosen by trying, and the reason of a "no" is kept.

mod events;
mod multi;
mod program;
mod values;

use super::returns::is_off;
use super::{FtraceError, RUN_DIR};
use crate::model::{Availability, Graph, base_name};
use std::collections::HashSet;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use values::Waiting;

/// The rungs' names, for `DIAG_DISABLE` and for reports.
pub(super) const MULTI: &str = "kprobe.multi";
pub(super) const EVENTS: &str = "kretprobe";

/// Functions of one path. A mount is some 50, an overlay 200.
const MOST_FUNCTIONS: usize = 512;

/// Whose calls of which functions.
#[derive(Debug)]
pub struct ProbeSpec {
    /// As the graph has them, those first that are most likely to tell.
    pub functions: Vec<String>,
    /// A map of followed processes that somebody keeps: it has children, too, from their first instant on.
    pub tree: Option<OwnedFd>,
    /// The processes that are followed now.
    pub processes: Vec<u32>,
    /// Set when they are not wanted any more, before they are in place.
    pub stop: Arc<AtomicBool>,
    /// Another tracefs than the machine's, for tests.
    pub tracefs: Option<PathBuf>,
    pub run_dir: PathBuf,
}

impl ProbeSpec {
    pub fn new(functions: impl IntoIterator<Item = String>, processes: Vec<u32>) -> Self {
        let mut known = HashSet::new();
        let functions = functions.into_iter().filter(|name| known.insert(name.clone()));
        Self {
            functions: functions.take(MOST_FUNCTIONS).collect(),
            tree: None,
            processes,
            stop: Arc::default(),
            tracefs: None,
            run_dir: RUN_DIR.into(),
        }
    }

    /// Those of this map, instead of a map with `processes` alone.
    pub fn of_tree(mut self, tree: Option<OwnedFd>) -> Self {
        self.tree = tree;
        self
    }
}

/// Armed return probes; dropping them removes them.
#[derive(Debug)]
pub struct ReturnProbes {
    source: Source,
    functions: Vec<String>,
    /// What could not be probed, with the kernel's reason.
    refused: Vec<(String, String)>,
    /// Rungs that were tried before, and why not.
    passed: Vec<(&'static str, String)>,
    waiting: Waiting,
    took: Duration,
}

#[derive(Debug)]
enum Source {
    Multi(Box<multi::Attached>),
    Events(events::Armed),
}

/// A rung at work, and what it could not reach.
type Reached<T> = (T, Vec<(String, String)>);

impl ReturnProbes {
    /// The first rung that works, or why none does.
    pub fn arm(spec: &ProbeSpec) -> Result<Self, String> {
        let begin = Instant::now();
        let mut passed = Vec::new();
        for way in [MULTI, EVENTS] {
            match Self::by(way, spec) {
                Ok((source, refused)) => {
                    let functions = spec.functions.clone();
                    let (waiting, took) = (Waiting::default(), begin.elapsed());
                    return Ok(Self { source, functions, refused, passed, waiting, took });
                }
                Err(why) => passed.push((way, why)),
            }
        }
        let why: Vec<_> = passed.iter().map(|(way, why)| format!("{way}: {why}")).collect();
        Err(why.join("; "))
    }

    fn by(way: &'static str, spec: &ProbeSpec) -> Result<Reached<Source>, String> {
        if is_off(way) {
            return Err("switched off by DIAG_DISABLE".into());
        }
        if spec.functions.is_empty() {
            return Err("no function to probe".into());
        }
        if way == MULTI {
            let (attached, refused) = multi::attach(spec)?;
            return Ok((Source::Multi(Box::new(attached)), refused));
        }
        let armed = events::arm(spec).map_err(FtraceError::or_locked);
        let (armed, refused) = armed.map_err(|error| error.to_string())?;
        Ok((Source::Events(armed), refused))
    }

    /// By which rung.
    pub fn way(&self) -> &'static str {
        match self.source {
            Source::Multi(_) => MULTI,
            Source::Events(_) => EVENTS,
        }
    }

    /// How many functions are probed, and how long it took until they were.
    pub fn armed(&self) -> (usize, Duration) {
        (self.functions.len() - self.refused.len(), self.took)
    }

    pub fn refused(&self) -> &[(String, String)] {
        &self.refused
    }

    /// Rungs above this one, and why they were not taken.
    pub fn passed(&self) -> &[(&'static str, String)] {
        &self.passed
    }

    /// Values for which there was no room.
    pub fn lost(&self) -> u64 {
        match &self.source {
            Source::Multi(attached) => attached.lost(),
            Source::Events(armed) => armed.lost(),
        }
    }

    /// Makes room for more.
    pub fn take(&mut self) {
        let waiting = &mut self.waiting;
        match &mut self.source {
            Source::Multi(attached) => attached.drain(|value| waiting.put(value)),
            Source::Events(armed) => armed.drain(|value| waiting.put(value)),
        }
    }

    /// Fills in what the graph's calls returned, after the graph has ended: each value is there before. Says whether
    /// the outermost call has its value now, without which the others tell nothing.
    pub fn complete(&mut self, graph: &mut Graph) -> bool {
        self.take();
        self.waiting.give(graph, &self.functions)
    }

    /// Removes them and says whether everything is as before; dropping does the same with a warning.
    pub fn disarm(self) -> Result<(), FtraceError> {
        match self.source {
            // Links go with their descriptors.
            Source::Multi(_) => Ok(()),
            Source::Events(armed) => armed.disarm(),
        }
    }
}

/// Whether a rung works here, found out by arming it for one function.
pub(super) fn available(way: &'static str) -> Availability {
    // Of every kernel that is supported, and called by nobody who does not mount.
    let spec = ProbeSpec::new(["path_mount".to_owned()], vec![std::process::id()]);
    match ReturnProbes::by(way, &spec) {
        Ok((_, refused)) if !refused.is_empty() => Availability::no(words(&refused)),
        Ok((Source::Multi(_), _)) => {
            Availability::yes("when something is refused again: all functions of its path at once")
        }
        Ok((Source::Events(armed), _)) => match armed.disarm() {
            Ok(()) => {
                Availability::yes("when something is refused again: the functions of its path one by one")
            }
            Err(error) => Availability::no(error.to_string()),
        },
        Err(why) => Availability::no(why),
    }
}

/// Which functions were refused, in one line.
fn words(refused: &[(String, String)]) -> String {
    refused.iter().map(|(name, why)| format!("{}: {why}", base_name(name))).collect::<Vec<_>>().join(", ")
}
