//! Which function decided, by what functions returned: DESIGN §4.3, rung 1.
//!
//! From the system call down, always into the last call that returned the error: what was passed up unchanged
//! belongs to the one that first produced it, which is the end of that way. Two things fool this rule. A
//! register that no result was written to is sorted out by types ([`super::typed`]). A function that is
//! *given* the error and returns it (it writes an audit record, or walks a path that is an ERR_PTR) comes
//! after the one that decided, so among calls side by side such a one gives way to those before it.

use super::noise;
use super::typed::{Node, Reading, Said};
use crate::model::{Errno, GraphEvidence, Returned};

/// Values that travel with a path.
const MOST_VALUES: usize = 400;

/// The answer of [`by_return_value`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ByReturn {
    pub decider: Option<String>,
    /// Outermost first, the decider last.
    pub path: Vec<String>,
    pub note: Option<String>,
    /// What the functions on the path and those they called returned, in the order of ending.
    pub returns: Vec<Returned>,
}

/// `None` where no return values were recorded.
pub fn by_return_value(evidence: &GraphEvidence, errno: Errno) -> Option<ByReturn> {
    evidence.failed.root.ret?;
    let root = Reading::of(&evidence.failed.root, &evidence.types, i64::from(errno.0));
    let mut way = vec![&root];
    let at = descend(&root, &mut way);
    let returns = values(&root, &way);
    if let Some(word) = noise::error_of_socket(at.name, errno) {
        // Not decided in the call at all, unless what left the error ran inside it (over the loopback).
        let left = find(at, &|node| noise::leaves_error(node.name));
        let mut path: Vec<_> = way.iter().map(|node| node.name.to_owned()).collect();
        path.extend(left.map(|node| node.name.to_owned()));
        let decider = left.map(|node| node.name.to_owned());
        return Some(ByReturn { decider, path, note: Some(word.into()), returns });
    }
    if !root.tells {
        let note = format!("{} itself did not return the error", root.name);
        return Some(ByReturn { note: Some(note), returns, ..ByReturn::default() });
    }
    if let Some(note) = missed(evidence, at) {
        return Some(ByReturn { note: Some(note), returns, ..ByReturn::default() });
    }
    Some(ByReturn {
        decider: Some(at.name.to_owned()),
        path: way.iter().map(|node| node.name.to_owned()).collect(),
        note: inside(at),
        returns,
    })
}

/// Where only some functions were probed: whether the decider may be below this one after all. A wrong name would cost
/// more than none.
fn missed(evidence: &GraphEvidence, at: &Node<'_>) -> Option<String> {
    evidence.probes.as_ref()?;
    let unseen = at.children.iter().find(|child| child.unseen)?;
    Some(format!("{} returned the error, but what {} returned to it was not seen", at.name, unseen.name))
}

/// For an errno that the call did not return but wrote into an answer, as netlink does: what returned it first
/// met nobody above that passed it on.
pub fn by_answer(evidence: &GraphEvidence, errno: Errno) -> Option<ByReturn> {
    evidence.failed.root.ret?;
    let root = Reading::of(&evidence.failed.root, &evidence.types, i64::from(errno.0));
    let mut way = vec![&root];
    if !outermost(&root, &mut way) {
        return None;
    }
    let at = descend(way[way.len() - 1], &mut way);
    if missed(evidence, at).is_some() {
        return None;
    }
    Some(ByReturn {
        decider: Some(at.name.to_owned()),
        path: way.iter().map(|node| node.name.to_owned()).collect(),
        note: inside(at),
        returns: values(&root, &way),
    })
}

/// Extends the way to the last call that returned the error to a caller that did not.
fn outermost<'a, 'n>(at: &'a Node<'n>, way: &mut Vec<&'a Node<'n>>) -> bool {
    for child in at.children.iter().rev() {
        way.push(child);
        if child.tells || outermost(child, way) {
            return true;
        }
        way.pop();
    }
    false
}

/// Down to where the error began; the way is extended.
fn descend<'a, 'n>(from: &'a Node<'n>, way: &mut Vec<&'a Node<'n>>) -> &'a Node<'n> {
    let mut at = from;
    while let Some(next) = teller(&at.children) {
        way.push(next);
        at = next;
    }
    at
}

/// What was returned along the way.
fn values(root: &Node<'_>, way: &[&Node<'_>]) -> Vec<Returned> {
    let mut returns = Vec::new();
    gather(root, &way[1..], &mut returns);
    // What came last was nearest to the decision.
    let surplus = returns.len().saturating_sub(MOST_VALUES);
    returns.drain(..surplus);
    returns
}

/// The call through which the error came up.
fn teller<'a, 'n>(calls: &'a [Node<'n>]) -> Option<&'a Node<'n>> {
    let tellers: Vec<_> = calls.iter().enumerate().filter(|(_, call)| call.tells).collect();
    let mut last = tellers.len().checked_sub(1)?;
    while last > 0 {
        let (at, call) = tellers[last];
        let before: Vec<_> = tellers[..last].iter().map(|(_, call)| *call).collect();
        if !passes_on(call, &before) && !goes_on_with(call, &calls[..at]) {
            break;
        }
        last -= 1;
    }
    Some(tellers[last].1)
}

/// Whether a loop called it once more with what came in between, and that was the error: it worked before, and now it
/// calls nothing. On 7.x that is how `path_openat()` ends: `link_path_walk()` gets the ERR_PTR of the last component.
fn goes_on_with(call: &Node<'_>, before: &[Node<'_>]) -> bool {
    let earlier = before.iter().rposition(|node| node.name == call.name && !node.tells);
    call.children.is_empty()
        && earlier
            .is_some_and(|at| before[at].said == Said::Value(0) && before[at..].iter().any(|node| node.tells))
}

/// Whether `call` may merely have been given the error that calls `before` it returned.
fn passes_on(call: &Node<'_>, before: &[&Node<'_>]) -> bool {
    if noise::reports(call.name) {
        return true;
    }
    let Some(prototype) = call.prototype.filter(|_| !call.children.iter().any(|child| child.tells)) else {
        return false;
    };
    let given = |kind: &str| prototype.takes.iter().any(|takes| takes == kind);
    let as_pointer = before.iter().filter_map(|node| node.prototype?.pointee.as_deref());
    given("errno") || as_pointer.filter(|pointee| !matches!(*pointee, "void" | "?")).any(given)
}

fn find<'a, 'n>(node: &'a Node<'n>, wanted: &impl Fn(&Node<'_>) -> bool) -> Option<&'a Node<'n>> {
    let below = node.children.iter().rev().find_map(|child| find(child, wanted));
    below.or_else(|| wanted(node).then_some(node))
}

/// The values along the way: of each function on it those of the calls it made, of the decider all below.
fn gather(at: &Node<'_>, way: &[&Node<'_>], into: &mut Vec<Returned>) {
    for child in &at.children {
        match way.split_first() {
            Some((next, rest)) if std::ptr::eq(child, *next) => gather(child, rest, into),
            Some(_) => into.extend(child.returned()),
            None => gather(child, &[], into),
        }
    }
    into.extend(at.returned());
}

/// How the decider came to say no, where it called something: none of that returned the error.
fn inside(decider: &Node<'_>) -> Option<String> {
    let work = |node: &&Node<'_>| !noise::is_noise(node.name) && !noise::cleans_up(node.name);
    let last = decider.children.iter().rev().find(work)?;
    let own = decider.name;
    Some(match last.said {
        Said::Bool(value) => format!("{own} made up the error itself, after {} returned {value}", last.name),
        Said::Null => format!("{own} made up the error itself, after {} returned NULL", last.name),
        Said::Errno(errno) => {
            let errno = Errno(i32::try_from(errno).unwrap_or(0));
            format!("{own} made up the error itself, after {} returned {errno}", last.name)
        }
        _ => format!("decided inside {own}: nothing that it called returned the error"),
    })
}

#[cfg(test)]
#[path = "returned_tests.rs"]
mod tests;
