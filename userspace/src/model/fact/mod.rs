//! What user space found out about the object of a failed call, milliseconds after it: the file system it
//! would have written to, the cpuset it would have entered, the filter that answered for the kernel.
//!
//! A reading is a number against a ceiling; a fact is a state that has more sides than that.

mod cgroup;
mod cpuset;
mod file_system;
mod identity;
mod mounting;
pub mod network;
mod overlay;
mod path_object;
mod place;
mod seccomp;
mod state;

pub(crate) use cgroup::keyed;
pub use cgroup::{Cgroup, Files, Neighbour};
pub use cpuset::Cpuset;
pub use file_system::{FileKind, FileSystem};
pub use identity::Identity;
pub use mounting::{BlockDevice, Mounting};
pub use overlay::OverlayOptions;
pub use path_object::{Head, MountSeen, ObjectKind, PathObject, Permissions};
pub use place::{Place, PlaceKind, PlaceMount};
pub use seccomp::{Seccomp, SeccompAnswer, SeccompSource};
pub use state::State;

use serde::{Deserialize, Serialize};

/// One state, read again after the failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Fact {
    FileSystem(FileSystem),
    Cgroup(Cgroup),
    Cpuset(Cpuset),
    Seccomp(Seccomp),
    State(State),
    Place(Place),
    Mounting(Mounting),
    Overlay(OverlayOptions),
    Identity(Box<Identity>),
    PathObject(Box<PathObject>),
}
