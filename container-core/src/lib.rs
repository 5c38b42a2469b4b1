//! A small container engine as a library: images, overlay root file systems, namespaces, cgroups, and errors that
//! name the step that failed.
//!
//! It is made to be read and to fail explainably. Every kernel-facing step is one small function with a name in
//! words ([`steps::TABLE`]); a refused step is a [`StepError`] `{ step, syscall, object, errno, pid }` that crosses
//! from the container's first process to the caller whole. What was done to which container stays in an event
//! log ([`events`]), even after the container is removed.
//!
//! ```no_run
#![doc = include_str!("../examples/hello.rs")]
//! ```
//!
//! # Invariants
//!
//! 1. There is no daemon and no global state: an [`Engine`] is a folder, used by any number of processes at once.
//! 2. A container's root file system is mounted in the caller's mount namespace, as docker, podman and containerd do
//!    it; it is unmounted when the container ends, when its start fails, or by the next call after a crash.
//! 3. The cgroups exist, and the event that names them is written, before the first mount and before the workload's
//!    first instruction.
//! 4. A failed start leaves nothing in the kernel. What could not be undone is in the same error as its reason.
//! 5. A live container has one live process that answers for it (`owner`, `supervisor`), recognised by pid, start time
//!    and boot. When that process is killed the kernel ends the container, and the next call that touches it cleans up.
//! 6. Between clone(2) and execve(2) the child only does what signal-safety(7) allows, for the caller may have threads.
//! 7. Files of the store are replaced whole or appended to by single writes; what a reader sees is never half of it.
//! 8. Locks are taken in one order, container before store and network, and nobody waits for a container holding any.
//! 9. What is in the kernel of a store's network follows from its `network.json`; whoever changes that makes the kernel
//!    agree (`network`).
//!
//! # Where things are
//!
//! `engine` (the calls) · `launch` (a start, from both sides) · `isolate` (what the child does to itself) · `cgroup` ·
//! `image` · `network` · `terminal` · `store` · `events`, `log` over `lines` · `spec`, `container`, `lifecycle`, `error`, `steps` (the words).
//!
//! Needs Linux ≥ 5.10, root, and overlayfs; cgroup v1, v2 or both. A normal user becomes root of a user namespace first
//! ([`rootless`]). A bridge network needs nf_tables, users of a container's own kernel 5.19; both say so where it is
//! missing.

mod cgroup;
mod clock;
mod container;
mod engine;
mod error;
pub mod events;
mod id;
mod image;
mod isolate;
mod launch;
mod lifecycle;
mod lines;
pub mod log;
mod network;
mod observe;
mod process;
pub mod rootless;
pub mod signal;
mod spec;
pub mod steps;
mod store;
mod sys;
pub mod terminal;
#[cfg(test)]
mod testing;

pub use cgroup::Usage;
pub use container::{CgroupRef, Config, Container, ContainerRef};
pub use engine::{Engine, ExecSpec, Finished, Leftover};
pub use error::{Error, LaunchError, StepError};
pub use image::{Image, ImageConfig, LoadOptions, PullEvent, PullListener, PullOptions, Refusal};
pub use launch::output::Attach;
pub use lifecycle::{Exit, State};
pub use network::Connection;
pub use observe::Observer;
pub use process::ProcessId;
pub use spec::{
    Capabilities, Capability, CpuSet, Device, IdMap, Limits, Mount, MountSource, Names, Network, Port,
    Protocol, ResourceLimit, RestartPolicy, Seccomp, Security, Spec, Sysctl, User, UserNamespace,
};
