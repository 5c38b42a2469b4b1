//! The followed processes as others may use them: the map itself, and who is in it now.

use super::{ErrnoWatch, Scope};
use aya::maps::IterableMap;
use std::os::fd::{AsFd, OwnedFd};

impl ErrnoWatch {
    /// The map of the followed tree, in which the probes add children at their first instant; `None` where the whole
    /// machine is watched.
    pub fn tree(&self) -> Option<OwnedFd> {
        if self.scope != Scope::Tree {
            return None;
        }
        self.maps.tree.map().fd().as_fd().try_clone_to_owned().ok()
    }

    /// Processes of the tree, those included that are gone by now.
    pub fn followed(&self) -> Vec<u32> {
        self.maps.tree.keys().filter_map(Result::ok).collect()
    }
}
