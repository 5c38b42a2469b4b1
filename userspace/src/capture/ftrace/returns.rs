//! Puts return values to the calls of a graph.
//!
//! Values arrive in the order in which calls end, each with its thread and time, and a graph says in which
//! order its calls ended: children before their parent. So the values of a thread between the graph's start
//! and end belong to its calls one by one, if there are as many of them. Where there are not, something was
//! lost or somebody else traces the same threads; then the stack pointers must tell, or there are none:
//! a value at the wrong call would be a wrong answer.

use super::tap::{Sample, Tap};
use crate::capture::callgraph::INTERRUPT;
use crate::model::{Availability, Call, Graph};
use std::collections::{HashMap, VecDeque};

/// Values that wait for their graph. Beyond it the oldest threads' are forgotten.
const MOST_WAITING: usize = 1 << 20;
/// THREAD_SIZE (arch/x86/include/asm/page_64_types.h).
const STACK_BYTES: u64 = 16 << 10;

/// How the return values of a capture are had.
#[derive(Debug)]
pub(super) enum Source {
    /// The kernel prints them (CONFIG_FUNCTION_GRAPH_RETVAL, since 6.5).
    Printed,
    Tapped(Returns),
    None(String),
}

/// The rungs' names, for `DIAG_DISABLE` and for reports.
pub(super) const PRINTED: &str = "funcgraph-retval";
pub(super) const TAPPED: &str = "breakpoint";

/// Whether a way of looking is switched off by name, so that tests reach what lies behind it.
pub(super) fn is_off(way: &str) -> bool {
    // A dot is not easily set in a variable of every shell.
    std::env::var("DIAG_DISABLE")
        .is_ok_and(|off| off.split(',').any(|name| name.replace("kprobe_", "kprobe.") == way))
}

impl Source {
    pub(super) fn availability(&self) -> Availability {
        match self {
            Self::Printed => Availability::yes(PRINTED),
            Self::Tapped(_) => Availability::yes(TAPPED),
            Self::None(why) => Availability::no(why.clone()),
        }
    }

    /// Makes room for more. To be called after graphs were read: a call's value is there before its end is.
    pub(super) fn take(&mut self) {
        if let Self::Tapped(returns) = self {
            returns.take();
        }
    }

    /// Completes graphs that have just been read.
    pub(super) fn complete(&mut self, graphs: &mut [Graph]) {
        if graphs.is_empty() {
            return;
        }
        self.take();
        let Self::Tapped(returns) = self else { return };
        graphs.iter_mut().for_each(|graph| returns.give(graph));
    }
}

/// Values that wait for their graph.
#[derive(Debug)]
pub(super) struct Returns {
    tap: Option<Tap>,
    /// How much earlier than it was a graph's times may be.
    rounding_ns: u64,
    waiting: HashMap<u32, VecDeque<Sample>>,
    count: usize,
}

impl Returns {
    pub(super) fn new(tap: Tap, rounding_ns: u64) -> Self {
        Self { tap: Some(tap), rounding_ns, waiting: HashMap::new(), count: 0 }
    }

    fn take(&mut self) {
        let Some(mut tap) = self.tap.take() else { return };
        tap.drain(|sample| self.put(sample));
        self.tap = Some(tap);
    }

    fn put(&mut self, sample: Sample) {
        if self.count >= MOST_WAITING {
            self.waiting.clear();
            self.count = 0;
        }
        let of_thread = self.waiting.entry(sample.tid).or_default();
        // A thread that moved to another processor has its values in two rings.
        let at = of_thread.iter().rposition(|known| known.time_ns <= sample.time_ns).map_or(0, |at| at + 1);
        of_thread.insert(at, sample);
        self.count += 1;
    }

    /// Fills in what the graph's calls returned. Values that are older are of no use any more.
    pub(super) fn give(&mut self, graph: &mut Graph) {
        let Some(end) = graph.end_ns else { return };
        let Some(of_thread) = self.waiting.get_mut(&graph.tid) else { return };
        let mut own = Vec::new();
        while of_thread.front().is_some_and(|first| first.time_ns <= end + self.rounding_ns) {
            let Some(sample) = of_thread.pop_front() else { break };
            self.count -= 1;
            if sample.time_ns >= graph.start_ns {
                own.push(sample);
            }
        }
        if of_thread.is_empty() {
            self.waiting.remove(&graph.tid);
        }
        if !graph.is_whole() {
            return;
        }
        if let Some(values) = fit(&graph.root, &own) {
            fill(&mut graph.root, &mut values.into_iter());
        } else {
            let calls = ended(&graph.root);
            tracing::debug!("{}: {} values for {calls} calls", graph.root.name, own.len());
        }
    }
}

/// How many calls return, themselves included: what ran in an interrupt is held by a made-up one.
fn ended(call: &Call) -> usize {
    usize::from(call.name != INTERRUPT) + call.children.iter().map(ended).sum::<usize>()
}

/// For each call in the order of ending, how many calls end with it: itself and all below.
fn sizes(call: &Call, into: &mut Vec<usize>) -> usize {
    let mut size = call.children.iter().map(|child| sizes(child, into)).sum();
    if call.name != INTERRUPT {
        size += 1;
        into.push(size);
    }
    size
}

/// The values in the order in which the calls end, if they fit.
///
/// The processor stops for a sample before the end of the call is recorded, and an interrupt that became due
/// meanwhile runs just then: its functions look as if they were the last ones that the call made, although
/// they ended after the call's value was taken. They run on a stack of their own, so they can be told.
fn fit(root: &Call, samples: &[Sample]) -> Option<Vec<u64>> {
    let mut sizes_at = Vec::new();
    sizes(root, &mut sizes_at);
    if samples.is_empty() || samples.len() != sizes_at.len() {
        return None;
    }
    let own = own_stack(samples);
    let foreign = |sample: &Sample| stack_of(sample) != own;
    let mut ordered = samples.to_vec();
    let mut at = 0;
    while at < ordered.len() {
        if !foreign(&ordered[at]) {
            at += 1;
            continue;
        }
        let run = ordered[at..].iter().take_while(|sample| foreign(sample)).count();
        // The call before the run would end inside the last call of the run: so it ends after it.
        if at > 0 && sizes_at.get(at + run - 1).is_some_and(|size| *size > run) {
            ordered[at - 1..at + run].rotate_left(1);
        }
        at += run;
    }
    consistent(&ordered, &sizes_at, own).then(|| ordered.iter().map(|sample| sample.value).collect())
}

fn stack_of(sample: &Sample) -> u64 {
    sample.stack / STACK_BYTES
}

/// The stack of the thread itself: the one that most calls return on.
fn own_stack(samples: &[Sample]) -> u64 {
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for sample in samples {
        *counts.entry(stack_of(sample)).or_default() += 1;
    }
    let (first, last) = (stack_of(&samples[0]), stack_of(&samples[samples.len() - 1]));
    let most = counts.into_iter().max_by_key(|(_, count)| *count).map_or(last, |(stack, _)| stack);
    if first == last { last } else { most }
}

/// Whether every caller returned from a higher place of the stack than what it called, and nothing that an
/// interrupt called ran on the thread's own stack.
fn consistent(ordered: &[Sample], sizes: &[usize], own: u64) -> bool {
    (0..ordered.len()).all(|caller| {
        let mut child = caller;
        let begin = caller + 1 - sizes[caller];
        let mut fits = true;
        // From the last call that it made to the first.
        while child > begin {
            child -= 1;
            let (above, below) = (&ordered[caller], &ordered[child]);
            fits &= match (stack_of(above) == own, stack_of(below) == own) {
                (true, true) => below.stack <= above.stack,
                (false, true) => false,
                _ => true,
            };
            child = child + 1 - sizes[child];
        }
        fits
    })
}

fn fill(call: &mut Call, values: &mut impl Iterator<Item = u64>) {
    for child in &mut call.children {
        fill(child, values);
    }
    if call.name != INTERRUPT {
        call.ret = values.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(time_ns: u64, value: i64, stack: u64) -> Sample {
        Sample { tid: 7, time_ns, value: value as u64, stack: 4 * STACK_BYTES + stack }
    }

    fn mount_graph() -> Graph {
        let mut root = Call::leaf("__x64_sys_mount");
        let mut path_mount = Call::leaf("path_mount");
        path_mount.children = vec![Call::leaf("ns_capable"), Call::leaf("count_mounts")];
        root.children = vec![Call::leaf("copy_mount_options"), path_mount];
        Graph { tid: 7, comm: String::new(), cpu: 0, start_ns: 10_000, end_ns: Some(20_000), root, lost: 0 }
    }

    fn returns(samples: &[Sample]) -> Returns {
        let mut returns = Returns { tap: None, rounding_ns: 999, waiting: HashMap::new(), count: 0 };
        samples.iter().for_each(|sample| returns.put(*sample));
        returns
    }

    const FIVE: [(u64, i64, u64); 5] =
        [(11_000, 0, 80), (12_000, 1, 60), (13_000, -28, 60), (14_000, -28, 80), (20_500, -28, 100)];

    fn five() -> Vec<Sample> {
        FIVE.iter().map(|(time, value, stack)| sample(*time, *value, *stack)).collect()
    }

    #[test]
    fn values_go_to_their_calls_in_the_order_of_ending() {
        let mut samples = five();
        samples.insert(0, sample(9_000, 5, 100));
        samples.push(sample(22_000, 6, 80));
        let mut returns = returns(&samples);
        let mut graph = mount_graph();
        returns.give(&mut graph);
        let value = |call: &Call| call.ret.map(|ret| ret as i64);
        assert_eq!(value(&graph.root), Some(-28));
        let path_mount = &graph.root.children[1];
        assert_eq!(path_mount.children.iter().map(value).collect::<Vec<_>>(), [Some(1), Some(-28)]);
        // What came later waits for the next graph.
        assert_eq!(returns.count, 1);
    }

    #[test]
    fn a_value_too_few_or_too_many_is_no_value_at_all() {
        for change in [0, 1] {
            let mut samples = five();
            if change == 0 {
                samples.remove(1);
            } else {
                samples.insert(1, sample(11_500, 0, 60));
            }
            let mut graph = mount_graph();
            returns(&samples).give(&mut graph);
            assert_eq!(graph.root.ret, None);
        }
    }

    #[test]
    fn an_interrupt_that_waited_for_the_sample_does_not_shift_the_values() {
        let mut graph = mount_graph();
        // Recorded inside count_mounts, but its value was taken before.
        graph.root.children[1].children[1].children = vec![Call::leaf("timer_function")];
        let mut samples = five();
        let timer = Sample { stack: 40 * STACK_BYTES, ..sample(13_500, 77, 0) };
        samples.insert(3, timer);
        returns(&samples).give(&mut graph);
        let count_mounts = &graph.root.children[1].children[1];
        assert_eq!(count_mounts.ret, Some(-28i64 as u64));
        assert_eq!(count_mounts.children[0].ret, Some(77));
        // One that came when the call was over is beside it.
        let mut graph = mount_graph();
        graph.root.children[1].children.push(Call::leaf("timer_function"));
        returns(&samples).give(&mut graph);
        let children = &graph.root.children[1].children;
        assert_eq!((children[1].ret, children[2].ret), (Some(-28i64 as u64), Some(77)));
    }

    #[test]
    fn values_of_two_processors_are_put_in_order() {
        let mut samples = five();
        samples.swap(0, 4);
        samples.swap(1, 3);
        let mut graph = mount_graph();
        returns(&samples).give(&mut graph);
        assert_eq!(graph.root.children[0].ret, Some(0));
        assert_eq!(graph.root.ret, Some(-28i64 as u64));
    }

    #[test]
    fn the_outermost_call_returns_from_the_highest_place() {
        let mut samples = five();
        samples[1].stack += 60;
        let mut graph = mount_graph();
        returns(&samples).give(&mut graph);
        assert_eq!(graph.root.ret, None);
    }
}
