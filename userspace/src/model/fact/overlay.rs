//! The options of an overlay that was refused, each held against the file systems they name.

use super::Place;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OverlayOptions {
    /// Bytes of the option string as far as it was seen.
    pub bytes: u64,
    /// It reached the end of the page that mount(2) copies.
    pub cut: bool,
    /// Lower folders in it.
    pub lowers: u64,
    /// The places named: roles `lowerdir`, `upperdir`, `workdir`. Of the lower ones those that stand out, and the first.
    pub places: Vec<Place>,
    /// How deep overlays (and other stacking file systems) lie in each other below the deepest folder.
    pub depth: u64,
    /// Another overlay of the namespace that has this upper or work folder: `upperdir of /merged`.
    pub taken: Vec<String>,
    /// Files left in the work folder.
    pub work_left: Option<u64>,
    /// upperdir and workdir lie on one mount.
    pub same_mount: Option<bool>,
    /// One contains the other.
    pub nested: Option<bool>,
    /// Options that overlay has (`index=on`).
    pub switches: Vec<String>,
    /// Words that no overlay of these kernels knows.
    pub strange: Vec<String>,
}

impl OverlayOptions {
    pub fn place(&self, role: &str) -> Option<&Place> {
        self.places.iter().find(|p| p.role == role)
    }
}
