//! Puts the values of single functions to the calls of a graph.
//!
//! Other than where every traced function tells its value ([`super::super::returns`]), only some do, each with its
//! name. So a call's value is known where the function returned as often as the graph has calls of it: then they belong
//! to each other in the order of ending. Where it did not, something was missed, and that function has none at all:
//! a value at the wrong call would be a wrong answer.

use crate::model::{Call, Graph};
use std::collections::{HashMap, VecDeque};

/// Values that wait for their graph. Beyond it all are forgotten.
const MOST_WAITING: usize = 1 << 18;
/// A probe may run after the tracer has noted the end of the call, with an interrupt in between.
const LATE_NS: u64 = 5_000_000;

/// What one function returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value {
    pub(super) tid: u32,
    /// `CLOCK_MONOTONIC`.
    pub(super) time_ns: u64,
    /// Its place in the list of probed functions.
    pub(super) function: usize,
    pub(super) value: u64,
}

/// Values that wait for their graph, by thread.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    of_thread: HashMap<u32, VecDeque<Value>>,
    count: usize,
}

impl Waiting {
    pub(super) fn put(&mut self, value: Value) {
        if self.count >= MOST_WAITING {
            self.of_thread.clear();
            self.count = 0;
        }
        let queue = self.of_thread.entry(value.tid).or_default();
        // A thread that moved to another processor may have its values in two buffers.
        let at = queue.iter().rposition(|known| known.time_ns <= value.time_ns).map_or(0, |at| at + 1);
        queue.insert(at, value);
        self.count += 1;
    }

    /// Whether the outermost call got its value.
    pub(super) fn give(&mut self, graph: &mut Graph, functions: &[String]) -> bool {
        let Some(own) = self.of(graph, functions) else { return false };
        if !graph.is_whole() {
            return false;
        }
        let mut seen: HashMap<&str, Vec<u64>> = HashMap::new();
        for value in &own {
            if let Some(name) = functions.get(value.function) {
                seen.entry(name).or_default().push(value.value);
            }
        }
        let mut calls = HashMap::new();
        count(&graph.root, &mut calls);
        seen.retain(|name, values| calls.get(*name) == Some(&values.len()));
        let mut left: HashMap<&str, std::vec::IntoIter<u64>> =
            seen.into_iter().map(|(name, values)| (name, values.into_iter())).collect();
        fill(&mut graph.root, &mut left);
        graph.root.ret.is_some()
    }

    /// The values of the graph's thread from its start to its end; what is older is of no use any more.
    fn of(&mut self, graph: &Graph, functions: &[String]) -> Option<Vec<Value>> {
        let end = graph.end_ns?;
        let queue = self.of_thread.get_mut(&graph.tid)?;
        let mut own = Vec::new();
        while queue.front().is_some_and(|first| first.time_ns <= end + LATE_NS) {
            let Some(value) = queue.pop_front() else { break };
            self.count -= 1;
            if value.time_ns < graph.start_ns {
                continue;
            }
            own.push(value);
            // What it was all about returns last: what comes then is of the thread's next call.
            if functions.get(value.function) == Some(&graph.root.name) {
                break;
            }
        }
        if queue.is_empty() {
            self.of_thread.remove(&graph.tid);
        }
        Some(own)
    }
}

fn count(call: &Call, into: &mut HashMap<String, usize>) {
    *into.entry(call.name.clone()).or_default() += 1;
    call.children.iter().for_each(|child| count(child, into));
}

/// In the order of ending: what a call made ended before it.
fn fill(call: &mut Call, left: &mut HashMap<&str, std::vec::IntoIter<u64>>) {
    call.children.iter_mut().for_each(|child| fill(child, left));
    if let Some(values) = left.get_mut(call.name.as_str()) {
        call.ret = values.next();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTIONS: [&str; 4] = ["__x64_sys_mount", "path_mount", "ns_capable", "count_mounts"];

    fn functions() -> Vec<String> {
        FUNCTIONS.map(str::to_owned).into()
    }

    fn graph() -> Graph {
        let mut root = Call::leaf("__x64_sys_mount");
        let mut path_mount = Call::leaf("path_mount");
        path_mount.children =
            ["ns_capable", "lock_mount", "ns_capable", "count_mounts"].map(Call::leaf).into();
        root.children = vec![path_mount];
        Graph { tid: 7, comm: String::new(), cpu: 0, start_ns: 10_000, end_ns: Some(20_000), root, lost: 0 }
    }

    fn waiting(values: &[(u64, &str, i64)]) -> Waiting {
        let mut waiting = Waiting::default();
        for (time_ns, name, value) in values {
            let function = FUNCTIONS.iter().position(|known| known == name).unwrap();
            waiting.put(Value { tid: 7, time_ns: *time_ns, function, value: *value as u64 });
        }
        waiting
    }

    const SEEN: [(u64, &str, i64); 7] = [
        (9_000, "ns_capable", 7),
        (11_000, "ns_capable", 1),
        (12_000, "ns_capable", 0),
        (13_000, "count_mounts", -28),
        (14_000, "path_mount", -28),
        (20_900, "__x64_sys_mount", -28),
        (21_000, "ns_capable", 5),
    ];

    #[test]
    fn values_go_to_the_calls_of_their_function_in_the_order_of_ending() {
        let (mut waiting, mut graph) = (waiting(&SEEN), graph());
        assert!(waiting.give(&mut graph, &functions()));
        let below: Vec<_> = graph.root.children[0].children.iter().map(|c| c.ret.map(|v| v as i64)).collect();
        assert_eq!(below, [Some(1), None, Some(0), Some(-28)]);
        assert_eq!(graph.root.ret, Some(-28i64 as u64));
        assert_eq!(waiting.count, 1, "what came later waits for the next graph");
    }

    #[test]
    fn a_function_that_was_missed_once_has_no_value_and_the_others_keep_theirs() {
        let mut values = SEEN.to_vec();
        values.remove(1);
        let (mut waiting, mut graph) = (waiting(&values), graph());
        assert!(waiting.give(&mut graph, &functions()));
        let below: Vec<_> = graph.root.children[0].children.iter().map(|c| c.ret.is_some()).collect();
        assert_eq!(below, [false, false, false, true]);
    }

    #[test]
    fn without_the_outermost_value_nothing_is_told() {
        let (mut waiting, mut graph) = (waiting(&SEEN[..5]), graph());
        assert!(!waiting.give(&mut graph, &functions()));
        graph.tid = 8;
        assert!(!waiting.give(&mut graph, &functions()));
    }

    #[test]
    fn a_graph_with_a_hole_gets_no_values() {
        let (mut waiting, mut graph) = (waiting(&SEEN), graph());
        graph.lost = 1;
        assert!(!waiting.give(&mut graph, &functions()));
        assert_eq!(graph.root.ret, None);
    }
}
