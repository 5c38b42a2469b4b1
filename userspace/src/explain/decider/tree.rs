//! The call tree in the form in which two of them are compared: noise gone, names plain, each subtree
//! with a fingerprint.

use super::noise;
use crate::model::{Call, Gives, Prototype, base_name};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// What a function can tell its caller, by its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tells {
    /// An errno, or a pointer that may be none.
    Error,
    /// Yes or no, or a number: a caller that says an errno has made it up.
    Verdict,
    Nothing,
    /// Its type is not known.
    Unknown,
}

impl Tells {
    fn of(name: &str, prototype: Option<&Prototype>) -> Self {
        if noise::says_null(name) {
            return Self::Verdict;
        }
        match prototype.map(|prototype| prototype.gives) {
            None => Self::Unknown,
            Some(Gives::Int | Gives::Long | Gives::Pointer) => Self::Error,
            Some(Gives::Bool | Gives::Number(_)) => Self::Verdict,
            Some(Gives::Nothing | Gives::Other) => Self::Nothing,
        }
    }
}

/// What is left out, and what the functions' types are.
pub(super) struct View<'a> {
    pub(super) learned: &'a HashSet<String>,
    pub(super) types: &'a BTreeMap<String, Prototype>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) children: Vec<Node>,
    pub(super) hole: bool,
    pub(super) tells: Tells,
    /// What the pointer that it returns points to, where that is known.
    pub(super) pointee: Option<String>,
    /// Calls in this subtree, itself included.
    pub(super) size: usize,
    fingerprint: u64,
}

impl Node {
    pub(super) fn of(call: &Call, view: &View<'_>) -> Self {
        let keep = |child: &&Call| {
            let name = base_name(&child.name);
            !noise::is_noise(name) && !view.learned.contains(name)
        };
        let children: Vec<_> = call.children.iter().filter(keep).map(|child| Self::of(child, view)).collect();
        let name = base_name(&call.name).to_owned();
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        for child in &children {
            child.fingerprint.hash(&mut hasher);
        }
        let size = 1 + children.iter().map(|child| child.size).sum::<usize>();
        let prototype = view.types.get(&call.name);
        let tells = Tells::of(&name, prototype);
        let pointee = prototype.and_then(|prototype| prototype.pointee.clone());
        Self { name, children, hole: call.hole, tells, pointee, size, fingerprint: hasher.finish() }
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
