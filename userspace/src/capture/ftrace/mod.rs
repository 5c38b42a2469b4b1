//! The kernel path of a system call, from ftrace's function_graph tracer.
//!
//! [`GraphCapture::arm`] sets the tracer up for the functions of some [`Family`]s, in an instance of
//! diag's own where this kernel can (6.12 and newer), else in the top one if nobody uses it; a thread
//! reads the text and hands out one [`Graph`] a system call. [`ReturnProbes`] give what functions returned to graphs that
//! came without. Whatever was changed is written down first
//! and put back on drop, or by [`sweep`] at the next start.

pub mod families;
mod filter;
mod functions;
mod names;
mod patterns;
mod price;
mod probe_group;
mod probed;
mod reader;
mod returns;
mod session;
mod state;
mod tap;
mod top;
mod tracefs;

pub use families::Family;
pub use probed::{ProbeSpec, ReturnProbes};
pub use session::{GraphCapture, Spent};

use crate::model::{Availability, Graph, GraphSource};
use state::RunDir;
use std::io;
use std::path::{Path, PathBuf};
use tracefs::Tracefs;

/// Where footprints are kept: gone after a reboot, as are the changes they describe.
const RUN_DIR: &str = "/run/diag";

#[derive(Debug, thiserror::Error)]
pub enum FtraceError {
    #[error("tracefs needs root")]
    NotRoot,
    #[error("tracefs is not mounted and cannot be mounted: {source}")]
    NoTracefs { source: io::Error },
    #[error("the kernel refuses tracing (lockdown): {doing} {path}: {source}", path = path.display())]
    Locked { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("this kernel is built without function_graph (it has: {tracers})")]
    NotBuilt { tracers: String },
    #[error("function tracing is switched off (kernel.ftrace_enabled is 0)")]
    SwitchedOff,
    #[error("function_graph works only in the top trace buffer here, and that is in use: {what}")]
    Busy { what: String },
    #[error("this kernel is built without CONFIG_KPROBE_EVENTS")]
    NoProbes,
    #[error("this kernel has none of the functions to watch")]
    NoFunctions,
    #[error("the kernel did not take the list of functions: {what}")]
    Filter { what: String },
    #[error("cannot {doing} {path}: {source}", path = path.display())]
    Control { doing: &'static str, path: PathBuf, source: io::Error },
}

impl FtraceError {
    /// Lockdown refuses root with EPERM, on whichever file comes first.
    fn or_locked(self) -> Self {
        match self {
            Self::Control { doing, path, source } if source.raw_os_error() == Some(libc::EPERM) => {
                Self::Locked { doing, path, source }
            }
            Self::NoTracefs { source } if source.raw_os_error() == Some(libc::EPERM) => {
                Self::Locked { doing: "mount", path: "tracefs".into(), source }
            }
            other => other,
        }
    }
}

/// What to arm.
#[derive(Debug, Clone)]
pub struct GraphSpec {
    pub families: Vec<&'static Family>,
    /// Globs of further functions, on any path.
    pub functions: Vec<String>,
    /// Further functions that may be the root of a graph; empty with `families` empty means any.
    pub roots: Vec<String>,
    /// Only these threads; empty means everybody.
    pub pids: Vec<u32>,
    /// With `pids`: their future children and threads too.
    pub follow: bool,
    /// Ring buffer a cpu. What overflows is counted.
    pub buffer_kb: u32,
    /// Measure what a traced call costs, by calls of this very thread; only where everybody is traced.
    pub price: bool,
    /// Record what the traced functions return, where that can be had.
    pub returns: bool,
    /// Another tracefs than the machine's, for tests.
    pub tracefs: Option<PathBuf>,
    pub run_dir: PathBuf,
}

impl GraphSpec {
    pub fn new(families: &[&'static Family]) -> Self {
        Self { families: families.to_vec(), ..Self::default() }
    }

    /// With what the functions return.
    pub fn with_returns(mut self) -> Self {
        self.returns = true;
        self
    }

    /// Restricts it to this process (its first thread) and whatever it starts.
    pub fn of_process(mut self, pid: u32) -> Self {
        self.pids = vec![pid];
        self.follow = true;
        // Every system call of an engine's start, written faster than text is read.
        self.buffer_kb = buffer_kb(128, 16);
        self
    }

    /// And to these threads, and whatever they start.
    pub fn and_threads(mut self, threads: impl IntoIterator<Item = u32>) -> Self {
        self.pids.extend(threads);
        self
    }
}

impl Default for GraphSpec {
    fn default() -> Self {
        Self {
            families: Vec::new(),
            functions: Vec::new(),
            roots: Vec::new(),
            pids: Vec::new(),
            follow: false,
            buffer_kb: buffer_kb(32, 2),
            returns: false,
            price: false,
            tracefs: None,
            run_dir: RUN_DIR.into(),
        }
    }
}

/// For one cpu, of so many MiB for the machine, and at most so many. A mount is some 50 events of 40 bytes, so with
/// 32 even a hundred cpus hold hundreds of calls each between two looks of the reader.
fn buffer_kb(total_mib: usize, most_mib: usize) -> u32 {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    (total_mib * 1024 / cpus).clamp(128, most_mib * 1024) as u32
}

/// Whether function_graph can be armed here, found out by arming it for one function.
pub fn available() -> Availability {
    let tried = GraphCapture::arm(one_function()).and_then(|capture| {
        let source = capture.source();
        capture.disarm().map(|()| source)
    });
    match tried {
        Ok(GraphSource::Top) => Availability::yes("top"),
        Ok(_) => Availability::yes("instance"),
        Err(error) => Availability::no(error.to_string()),
    }
}

fn one_function() -> GraphSpec {
    GraphSpec {
        functions: ["count_mounts", "path_mount", "do_mount"].map(str::to_owned).to_vec(),
        buffer_kb: 64,
        ..GraphSpec::default()
    }
}

/// The ways to the deciding function, best first, each found out by trying (DESIGN §4.3).
pub fn ladder() -> Vec<(&'static str, Availability)> {
    let capture = match GraphCapture::arm(one_function()) {
        Ok(capture) => capture,
        Err(error) => {
            let why = format!("without function_graph there is none: {error}");
            let none = |way| (way, Availability::no(why.clone()));
            return [returns::PRINTED, returns::TAPPED, probed::MULTI, probed::EVENTS, DIFFERENCE]
                .map(none)
                .into();
        }
    };
    let printed = capture.try_printed();
    // Return probes take the order of arming, as the capture does.
    drop(capture);
    let tapped = tap::Tap::open().map(|_| "on where traced functions return to".to_owned());
    let compared = crate::capture::successes::count();
    vec![
        (returns::PRINTED, availability(returns::PRINTED, printed)),
        (returns::TAPPED, availability(returns::TAPPED, tapped)),
        (probed::MULTI, probed::available(probed::MULTI)),
        (probed::EVENTS, probed::available(probed::EVENTS)),
        (DIFFERENCE, Availability::yes(format!("{compared} system calls can be made to succeed on purpose"))),
    ]
}

/// The rung that needs no return values.
const DIFFERENCE: &str = "difference";

fn availability(way: &str, tried: Result<String, String>) -> Availability {
    match tried {
        _ if returns::is_off(way) => Availability::no("switched off by DIAG_DISABLE"),
        Ok(how) => Availability::yes(how),
        Err(why) => Availability::no(why),
    }
}

/// Undoes what captures left that were killed; returns how many there were.
pub fn sweep() -> Result<usize, FtraceError> {
    sweep_in(&Tracefs::find()?, Path::new(RUN_DIR))
}

fn sweep_in(tracefs: &Tracefs, run_dir: &Path) -> Result<usize, FtraceError> {
    let run = RunDir::new(run_dir)?;
    let _order = run.exclusive()?;
    session::sweep(tracefs, &run)
}
