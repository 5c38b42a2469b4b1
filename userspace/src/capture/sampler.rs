//! Readings by user space, milliseconds after a failure: ceilings, owners, and the suspects that every
//! engineer checks first.

mod arguments;
mod bpf_map;
mod bpf_program;
mod caller;
mod cgroup;
mod cpuset;
mod denials;
mod devices;
mod file_capabilities;
mod file_system;
pub(super) mod frozen;
pub(super) mod hierarchies;
mod huge_pages;
mod identity;
mod ipc;
mod kernel_values;
mod links;
mod locks;
mod mapping;
mod memory_cgroups;
mod mounting;
mod mounts;
mod namespaces;
mod network;
mod objects;
mod path_object;
pub(super) mod perf_ring;
mod rlimits;
mod scheduling;
mod seccomp;
mod session;
mod storage;
mod switches;
mod target;
mod tasks;

use super::cgroups::Names;
use super::clock;
use crate::limits::read::Root;
use crate::model::{Errno, Fact, Failure, FailureKind, Owner, Reading, State, Suspect};
use std::path::{Path, PathBuf};

/// What the sampler adds to a failure.
#[derive(Debug, Default)]
pub struct Sampled {
    pub readings: Vec<Reading>,
    pub suspects: Vec<Suspect>,
    pub owners: Vec<Owner>,
    pub facts: Vec<Fact>,
}

impl Sampled {
    /// What is no number against a ceiling (see [`State`]).
    fn state(&mut self, name: &str, of: &str, value: String, source: &str, after_ns: u64) {
        let (name, of, source) = (name.into(), of.into(), source.into());
        self.facts.push(Fact::State(State { name, of, value, source, after_ns }));
    }
}

/// A failed system call under the sampler's eyes.
pub(crate) struct Look<'a> {
    root: &'a Root,
    cgroups: &'a Names,
    view: View,
    /// The call's name.
    call: &'a str,
    errno: Errno,
}

impl Look<'_> {
    /// How long ago it failed, in nanoseconds.
    fn after(&self, failure: &Failure) -> u64 {
        clock::mono_ns().saturating_sub(failure.time.mono_ns)
    }
}

/// Each decides by call and errno whether the failure is its business, and adds what it finds out. What goes first
/// is soonest gone.
const SAMPLERS: &[fn(&Look<'_>, &mut Failure, &mut Sampled)] = &[
    seccomp::look,
    mounting::look,
    namespaces::look,
    cgroup::look,
    arguments::look,
    bpf_map::look,
    bpf_program::look,
    identity::look,
    denials::look,
    path_object::look,
    file_capabilities::look,
    switches::look,
    session::look,
    target::look,
    mapping::look,
    ipc::look,
    links::look,
    locks::look,
    kernel_values::look,
    cpuset::look,
    storage::look,
    tasks::look,
    mounts::look,
    rlimits::look,
    memory_cgroups::look,
    huge_pages::look,
    perf_ring::look,
    devices::look,
    scheduling::look,
    network::look,
];

/// Samples for one failure, and completes the probe's own readings with their ceilings.
pub fn sample(root: &Root, cgroups: &Names, failure: &mut Failure) -> Sampled {
    let mut out = Sampled::default();
    if matches!(&failure.kind, FailureKind::Fault { signal, .. } if signal == "SIGBUS") {
        let after = clock::mono_ns().saturating_sub(failure.time.mono_ns);
        // The process is ending: between one look at its mounts and the next they may be its parent's only.
        huge_pages::touched(root, failure, after);
        let full = View::all_of(root, failure).find_map(|view| file_system::full_tmpfs(&view, after));
        out.facts.extend(full.map(Fact::FileSystem));
    }
    out.facts.extend(frozen::look(root, failure));
    if failure.netlink().is_some() {
        let after = clock::mono_ns().saturating_sub(failure.time.mono_ns);
        network::refused_request(root, failure, after, &mut out);
    }
    let Some((name, errno)) = failure.syscall() else { return out };
    let call = name.to_string();
    let look = Look { root, cgroups, view: View::of(root, failure), call: &call, errno };
    for sampler in SAMPLERS {
        sampler(&look, failure, &mut out);
    }
    out
}

/// How the failing task sees the file system: through `/proc/PID` while it lives, else through our own
/// view when it shares our mount namespace, else not at all.
pub(crate) struct View {
    root: Root,
    pid: Option<u32>,
}

impl View {
    fn of(root: &Root, failure: &Failure) -> Self {
        Self::all_of(root, failure).next().unwrap_or_else(|| Self { root: root.clone(), pid: None })
    }

    /// Every living task that shares the failing one's mounts, itself first, diag's own view last. Where the
    /// probe could not read whose mounts they are, its own parent may be taken for it, diag never.
    fn all_of(root: &Root, failure: &Failure) -> impl Iterator<Item = Self> {
        let task = &failure.task;
        let (root, theirs) = (root.clone(), task.mnt_ns);
        let of = move |pid: u32| {
            let link = std::fs::read_link(root.join(format!("proc/{pid}/ns/mnt"))).ok()?;
            let own = link.to_str()?.strip_prefix("mnt:[")?.strip_suffix(']')?.parse::<u32>().ok()?;
            theirs.is_none_or(|inode| inode == own).then(|| Self { root: root.clone(), pid: Some(pid) })
        };
        let diag = theirs.map_or(0, |_| std::process::id());
        [task.tid, task.pid, task.ppid, diag].into_iter().filter(|pid| *pid != 0).filter_map(of)
    }

    /// A file of `/proc/PID` of a task in that mount namespace.
    fn proc(&self, file: &str) -> PathBuf {
        let pid = self.pid.map_or_else(|| "none".into(), |p| p.to_string());
        self.root.join(format!("proc/{pid}/{file}"))
    }

    /// A path as that task would resolve it, and the folder it starts from.
    fn path(&self, path: &str) -> Option<(PathBuf, PathBuf)> {
        self.pid?;
        let base = if path.starts_with('/') { self.proc("root") } else { self.proc("cwd") };
        // The task may have ended since its namespace was looked at.
        base.exists().then(|| (base.join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path))), base))
    }
}
