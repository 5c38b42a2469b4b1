//! Which kernel paths are traced: armed at the start, and less of it where it takes too much.

use super::budget::{Paths, Step};
use super::{Event, Pipeline, Spec};
use crate::capture::clock;
use crate::capture::ftrace::{GraphCapture, GraphSpec, families};
use crate::model::{Availability, Graph, GraphSource};
use tokio::sync::mpsc;

/// Where graphs come from, or why there are none.
pub(super) type Source = Result<GraphSource, String>;

/// The tracer at work.
pub(super) struct Tracing {
    pub(super) capture: GraphCapture,
    families: Vec<&'static families::Family>,
    pub(super) finished: mpsc::Receiver<Graph>,
}

impl Tracing {
    pub(super) fn covers(&self, syscall: &str) -> bool {
        self.families.iter().any(|f| f.syscalls == families::EVERY)
            || families::of_syscall(syscall)
                .is_some_and(|f| self.families.iter().any(|armed| armed.name == f.name))
    }
}

impl Pipeline {
    pub(super) fn keep_to_budget(&mut self, out: &mut Vec<Event>) {
        let now = clock::mono_ns();
        let (Some(budget), Some(tracing)) = (&mut self.budget, &self.graphs) else { return };
        if !budget.is_due(now) {
            return;
        }
        let (step, words) = budget.close(now, tracing.capture.spent(), tracing.capture.foreign());
        let done = match step {
            Step::Nothing => return,
            Step::Drop(names) => tracing.capture.forget(&names).map_err(|e| e.to_string()),
            Step::Down(paths) => self.step_down(paths, &words),
        };
        out.push(Event::Less(match done {
            Ok(()) => words,
            Err(why) => format!("{words}; that failed: {why}"),
        }));
    }

    /// Arms less, or nothing; failures from now on say why they have no path.
    fn step_down(&mut self, paths: Paths, words: &str) -> Result<(), String> {
        // First the old one goes: both at once would be more, not less.
        self.graphs = None;
        let armed = match paths {
            Paths::None => Err(words.to_owned()),
            _ => arm_families(families_of(paths), None),
        };
        let (graphs, source) = split(armed);
        if let Err(why) = &source {
            self.host.capture.function_graph = Availability::no(why.clone());
            self.host.capture.returns = Availability::no("they come with function_graph");
        }
        let failed = source.clone().err().filter(|_| paths != Paths::None);
        self.correlator.watched_anew(self.host.clone(), source);
        self.graphs = graphs;
        failed.map_or(Ok(()), Err)
    }
}

/// Arms the tracer, or says why not. `beside` are the threads of daemons that work for the tree.
pub(super) fn arm(spec: &Spec, beside: Vec<u32>) -> (Option<Tracing>, Source) {
    split(try_arm(spec, beside))
}

fn split(armed: Result<Tracing, String>) -> (Option<Tracing>, Source) {
    match armed {
        Ok(tracing) => {
            let source = tracing.capture.source();
            (Some(tracing), Ok(source))
        }
        Err(why) => (None, Err(why)),
    }
}

/// One command's tree can afford all families and all that lies below them.
fn try_arm(spec: &Spec, beside: Vec<u32>) -> Result<Tracing, String> {
    if spec.paths == Paths::None {
        return Err("switched off by --no-graph or --capture light".into());
    }
    if std::env::var("DIAG_DISABLE").is_ok_and(|d| d.split(',').any(|w| w == "function_graph")) {
        return Err("switched off by DIAG_DISABLE".into());
    }
    match spec.tree {
        Some(pid) => {
            let all = families::ALL.iter().copied().chain([&families::TREE]).collect();
            arm_families(all, Some((pid, beside)))
        }
        None => arm_families(families_of(spec.paths), None),
    }
}

/// What is traced of a whole machine: the functions of the mount family rest where nothing is mounted.
fn families_of(paths: Paths) -> Vec<&'static families::Family> {
    match paths {
        Paths::None => Vec::new(),
        Paths::Rare => vec![&families::MOUNT],
        Paths::Full => families::ALL.to_vec(),
    }
}

fn arm_families(
    families: Vec<&'static families::Family>,
    tree: Option<(u32, Vec<u32>)>,
) -> Result<Tracing, String> {
    let mut graphs = GraphSpec::new(&families).with_returns();
    match tree {
        Some((pid, beside)) => graphs = graphs.of_process(pid).and_threads(beside),
        None => graphs.price = true,
    }
    let mut capture = GraphCapture::arm(graphs).map_err(|e| e.to_string())?;
    let finished = capture.take_receiver().ok_or("the tracer's reader is gone")?;
    Ok(Tracing { capture, families, finished })
}
