//! The call tree in the form in which two of them are compared: noise gone, names plain, each subtree
//! with a fingerprint.

use super::noise;
use crate::model::{Call, base_name};
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) children: Vec<Node>,
    pub(super) hole: bool,
    /// Calls in this subtree, itself included.
    pub(super) size: usize,
    fingerprint: u64,
}

impl Node {
    pub(super) fn of(call: &Call, learned: &HashSet<String>) -> Self {
        let keep = |child: &&Call| {
            let name = base_name(&child.name);
            !noise::is_noise(name) && !learned.contains(name)
        };
        let children: Vec<_> =
            call.children.iter().filter(keep).map(|child| Self::of(child, learned)).collect();
        let name = base_name(&call.name).to_owned();
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        for child in &children {
            child.fingerprint.hash(&mut hasher);
        }
        let size = 1 + children.iter().map(|child| child.size).sum::<usize>();
        Self { name, children, hole: call.hole, size, fingerprint: hasher.finish() }
    }

    /// Whether both call the same functions in the same order, all the way down.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint && self.size == other.size
    }

    pub(super) fn names<'a>(&'a self, into: &mut HashSet<&'a str>) {
        into.insert(&self.name);
        for child in &self.children {
            child.names(into);
        }
    }
}
