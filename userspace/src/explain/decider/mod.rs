//! Which function decided, without knowing its name: the failed call against calls that succeeded.
//!
//! Up to the decision both run the same code; from it on the failed one only unwinds. So the last call
//! that both have in common before the failed one gives up is the decider (DESIGN §4.3, rung 2). Both call
//! trees are aligned level by level from the root: at each level the call that is followed by nothing
//! but clean-up, while the success goes on, is the one that brought the error; the search goes down into
//! it until a level where it is the same in both. Differences before that point (another file system
//! type, a slow path) re-synchronise at their own level and are passed by.
//!
//! A wrong answer is worse than none: where the failed call went a way that no success went, or events
//! were lost at the deciding level, there is no answer and the notes say why.

pub(super) mod align;
mod compare;
mod noise;
mod probing;
mod returned;
mod tree;
mod typed;

pub use noise::{can_come, is_noise};
pub use probing::worth_probing;
pub use returned::{ByReturn, by_answer, by_return_value};
pub use typed::{errno, words};

use crate::model::{Call, Graph, Prototype, base_name};
use compare::Verdict;
use std::collections::{BTreeMap, HashSet};
use tree::{Node, View};

/// How far the answer can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sureness {
    /// A chain of calls that is the same in both, of which any may have brought the error; or told by the
    /// failed call's extra clean-up alone.
    Low,
    /// The two calls of the decider differ in what they call, or it decided before calling anything.
    Medium,
    /// The same call in both; the success goes on after it, the failure only cleans up.
    High,
}

/// The answer of [`by_difference`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Without compiler suffixes. `None`: the notes say why.
    pub decider: Option<String>,
    /// Outermost first, the decider last; without a decider as far as the search came.
    pub path: Vec<String>,
    /// Index of the success that was compared.
    pub sibling: Option<usize>,
    pub sureness: Option<Sureness>,
    pub notes: Vec<String>,
}

impl Difference {
    fn none(note: impl Into<String>) -> Self {
        Self { decider: None, path: Vec::new(), sibling: None, sureness: None, notes: vec![note.into()] }
    }
}

/// Holds the failed call against the nearest of the successful ones. `types` are those of the failed call's functions,
/// as far as they are known.
pub fn by_difference(failed: &Graph, succeeded: &[Graph], types: &BTreeMap<String, Prototype>) -> Difference {
    let nothing = HashSet::new();
    let all = View { learned: &nothing, types };
    let plain = Node::of(&failed.root, &all);
    let comparable: Vec<_> = succeeded
        .iter()
        .enumerate()
        .map(|(index, graph)| (index, Node::of(&graph.root, &all)))
        .filter(|(_, node)| node.name == plain.name)
        .collect();
    let Some(nearest) = nearest(&plain, &comparable) else {
        return Difference::none(format!("no comparable success: no {} that succeeded was seen", plain.name));
    };
    let learned = noise::learn(nearest, &comparable);
    let view = View { learned: &learned, types };
    let failure = Node::of(&failed.root, &view);
    let Some(success) = succeeded.get(nearest).map(|graph| Node::of(&graph.root, &view)) else {
        return Difference::none("no comparable success");
    };
    let mut answer = judge(&failure, &success);
    answer.sibling = Some(nearest);
    if !learned.is_empty() {
        answer.notes.push(format!("left out, because successes differ in them: {}", list(&learned)));
    }
    if failed.lost > 0 {
        answer.notes.push(format!("{} events were lost while the failed call was recorded", failed.lost));
    }
    answer
}

fn judge(failure: &Node, success: &Node) -> Difference {
    if failure.same(success) {
        return Difference::none("the failed call and the successful one call the same functions");
    }
    let mut path = vec![failure.name.clone()];
    match compare::search(failure, success, &mut path) {
        Verdict::Decider(sureness) => Difference {
            decider: path.last().cloned(),
            path,
            sibling: None,
            sureness: Some(sureness),
            notes: Vec::new(),
        },
        Verdict::Unknown(note) => Difference { path, ..Difference::none(note) },
        Verdict::Nothing => Difference::none("the failed call nowhere ends earlier than the successful one"),
    }
}

/// The success that shares most with the failure; among equals the one with the longest common
/// beginning.
fn nearest(failure: &Node, candidates: &[(usize, Node)]) -> Option<usize> {
    let score = |node: &Node| (align::shared(failure, node), align::common_prefix(failure, node));
    let best = candidates.iter().max_by_key(|(index, node)| (score(node), std::cmp::Reverse(*index)));
    best.map(|(index, _)| *index)
}

fn list(names: &HashSet<String>) -> String {
    let mut names: Vec<_> = names.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.join(", ")
}

/// The path to the last call of `function`, which is the one that failed if several were made; empty
/// if there is none. Compiler suffixes do not matter.
pub fn path_to(failed: &Graph, function: &str) -> Vec<String> {
    let mut path = Vec::new();
    find_last(&failed.root, base_name(function), &mut path);
    path
}

fn find_last(call: &Call, function: &str, path: &mut Vec<String>) -> bool {
    path.push(base_name(&call.name).to_owned());
    // Deeper before higher: a wrapper may bear the same name as what it calls.
    if call.children.iter().rev().any(|child| find_last(child, function, path)) {
        return true;
    }
    if base_name(&call.name) == function {
        return true;
    }
    path.pop();
    false
}

/// Without anything to compare: the last call at each level that is neither noise nor clean-up, which is
/// where the error most likely came up.
pub fn deepest_path(failed: &Graph) -> Vec<String> {
    let view = View { learned: &HashSet::new(), types: &BTreeMap::new() };
    let root = Node::of(&failed.root, &view);
    let mut path = vec![root.name.clone()];
    let mut at = &root;
    while let Some(next) = at.children.iter().rev().find(|child| !noise::cleans_up(&child.name)) {
        path.push(next.name.clone());
        at = next;
    }
    path
}

#[cfg(test)]
mod recorded_tests;
#[cfg(test)]
mod tests;
