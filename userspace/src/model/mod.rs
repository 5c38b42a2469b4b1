//! The plain data that travels between the stages: no file, clock or environment is touched here.
//!
//! One direction: `capture` makes observations ([`Failure`]s, [`Graph`]s, [`EngineWord`]s), `attribute` says whose they are, `correlate` folds
//! them into [`Incident`]s, `explain` adds [`Finding`]s, `render` turns the [`Explanation`] into words.
//! Everything derives serde because the journal and the incident file hold exactly these types; the
//! published JSON contract is a separate form (`render::json`) so that it cannot drift by accident.

mod container;
mod cost;
mod credentials;
mod errno;
mod explanation;
mod fact;
mod failure;
mod graph;
mod host;
mod incident;
mod netlink;
mod number;
mod observation;
mod picture;
mod reading;
mod said;
mod socket;
mod syscall;
mod user_stack;

pub use container::{CgroupId, Container};
pub use cost::{Cost, Programs};
pub use credentials::{Credentials, FIRST_USER_NAMESPACE, Owners};
pub use errno::Errno;
pub use explanation::{
    Confidence, Ended, Evidence, Explained, Explanation, Finding, Knob, KnobKind, Path, Remedy, RuledOut,
    Trial,
};
pub(crate) use fact::keyed;
pub use fact::{
    BlockDevice, Cgroup, Cpuset, Fact, FileKind, FileSystem, Files, Head, Identity, MountSeen, Mounting,
    Neighbour, ObjectKind, OverlayOptions, PathObject, Permissions, Place, PlaceKind, PlaceMount, Seccomp,
    SeccompAnswer, SeccompSource, State, network,
};
pub use failure::{
    Arg, ArgValue, Failure, FailureKind, Filters, IgnoredSetId, Killer, OomWitness, OpenFile, Stamp, Task,
    uring_label,
};
pub use graph::{Call, Gives, Graph, GraphSource, Prototype, Returned, base_name, entry_of, is_entry_of};
pub use host::{Availability, CaptureState, Host};
pub use incident::{EngineStep, GraphEvidence, Incident, Loss};
pub use netlink::{Netlink, netlink_label};
pub use number::{number_list, spaced};
pub use observation::{ContainerEvent, EngineWord, Repeated};
pub use picture::{Compared, Drawn, Picture, Role, Seen, Side};
pub use reading::{Owner, Reading, Suspect, Taken};
pub use said::{Chain, Said};
pub use socket::{Address, NetPlace, Socket};
pub use syscall::Abi;
pub use user_stack::{CallSite, UserFrame, UserStack};
