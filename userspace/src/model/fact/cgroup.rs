//! A cgroup with its neighbours.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Interface files by name, with their text (trimmed, and cut where it is long). What is not there is missing.
pub type Files = BTreeMap<String, String>;

/// The cgroup that a failed call was about: whose file was written to, which would have been made or removed, in
/// which a child was to start.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cgroup {
    /// Its folder.
    pub path: String,
    /// The file or folder in it that the call named; empty when it named the cgroup itself.
    pub file: String,
    /// Of the hierarchy.
    pub version: u8,
    pub own: Files,
    /// Empty for the root of the hierarchy.
    pub parent: Files,
    /// The first of them.
    pub children: Vec<Neighbour>,
    /// All around it, nearest first, the root not among them: where limits of the hierarchy stand.
    pub above: Vec<Neighbour>,
    pub after_ns: u64,
}

/// One cgroup next to another.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Neighbour {
    /// A child's name, an ancestor's folder.
    pub name: String,
    pub files: Files,
}

impl Cgroup {
    /// The text of one of its files.
    pub fn own(&self, file: &str) -> Option<&str> {
        self.own.get(file).map(String::as_str)
    }

    /// The words of one of its files.
    pub fn words(&self, file: &str) -> impl Iterator<Item = &str> {
        self.own(file).unwrap_or_default().split_whitespace()
    }

    pub fn parent(&self, file: &str) -> Option<&str> {
        self.parent.get(file).map(String::as_str)
    }

    /// Whether it is the root of its hierarchy, as far as was seen.
    pub fn is_root(&self) -> bool {
        self.parent.is_empty()
    }
}

/// The number behind a key of a file with lines of the form `key number`.
pub(crate) fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

impl Neighbour {
    /// The number behind a key of one of its files.
    pub fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        keyed(self.files.get(file)?, key)
    }
}
