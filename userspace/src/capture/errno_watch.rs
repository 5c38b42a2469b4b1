//! The errno watch: failed system calls as observations, as they happen.

mod self_check;
mod tree;

use super::account;
use super::btf::offsets::{self, Resolved};
use super::btf::{netlink as netlink_fields, silent};
use super::cgroups::{Made, Names};
use super::clock;
use super::cost::Meter;
use super::decode::{Decoded, Decoder};
use super::engines::{Process, Register, programs};
use super::interest::{self, Table};
use super::kernel_log::KernelLog;
use super::kills::Kills;
use super::loader::{
    self, CGROUPS, ENGINES, ENGINES_END, EXEC, FOLLOW, IO_URING, Loader, Maps, NETLINK, OOM, SENTENCES,
    SIGNALS, STAGES, WATCH,
};
use super::netlink;
use super::ring::RingReader;
use super::uring;
use super::user_stack::Recorded;
use crate::limits::read::Root;
use crate::model::{Abi, Availability, Cost, Errno, Failure, Repeated};
use diag_abi::bounds::{
    RING_BYTES, RING_BYTES_TREE, TREE_BESIDE, WHOLE_PER_WINDOW, WHOLE_PER_WINDOW_TREE, WINDOW_NS,
};
use diag_abi::{
    ABI_COMPAT, ABI_IO_URING, ABI_NETLINK, Config, FloodKey, FloodValue, Loss, MODE_MACHINE, MODE_TREE,
    Record,
};
use nix::errno::Errno as Os;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use std::collections::HashMap;
use std::io;

pub use super::loader::CaptureError;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Every process, for the errnos of the curated table.
    Machine,
    /// The processes added by [`ErrnoWatch::follow`] and their descendants, for every errno.
    Tree,
}

/// The running watch. Dropping it detaches the probes.
pub struct ErrnoWatch {
    scope: Scope,
    // Before the loader, whose drop closes the programs that fill it.
    ring: RingReader,
    maps: Counters,
    decoder: Decoder,
    kills: Kills,
    cgroups: Names,
    /// Engines' processes, also those that are gone.
    engines: Register,
    /// Cgroups that runtimes made, by whom and when.
    of_runtimes: Vec<(Made, u32, u64)>,
    /// What a tree's processes mapped; of a whole machine nothing.
    recorded: Recorded,
    log: KernelLog,
    resolved: Resolved,
    /// Readings that disagreed with `/proc`, and what could not be attached.
    distrusted: Vec<(&'static str, String)>,
    /// How much of each flood has been reported.
    reported: HashMap<FloodKey, u64>,
    meter: Meter,
    loader: Loader,
}

/// The maps that are only read, or written by `follow`.
struct Counters {
    flood: aya::maps::HashMap<aya::maps::MapData, [u8; 24], [u8; 24]>,
    loss: aya::maps::PerCpuArray<aya::maps::MapData, [u8; 16]>,
    tree: aya::maps::HashMap<aya::maps::MapData, u32, u64>,
}

const _: () =
    assert!(size_of::<FloodKey>() == 24 && size_of::<FloodValue>() == 24 && size_of::<Loss>() == 16);

impl ErrnoWatch {
    /// Resolves the kernel's fields, loads the probes, compares what they see with `/proc/self`, and
    /// attaches them.
    pub fn start(scope: Scope) -> Result<Self, CaptureError> {
        Self::start_with(scope, None)
    }

    /// Like [`ErrnoWatch::start`] with a ring of another size, for tests of loss.
    pub fn start_with(scope: Scope, ring_bytes: Option<u32>) -> Result<Self, CaptureError> {
        let release = loader::check_kernel()?;
        let _account = account::Elsewhere::for_bpf(&release);
        self_check::in_host_pid_namespace()?;
        let types = offsets::read_vmlinux()
            .map_err(|error| CaptureError::NoBtf { path: offsets::VMLINUX.into(), error })?;
        let resolved = offsets::resolve(&types)?;
        drop(types);
        if let Some(why) = resolved.why_not(offsets::COMPAT) {
            // A number read in the wrong table would be a wrong answer, which is worse than none.
            return Err(CaptureError::Unreadable { reading: offsets::COMPAT, why: why.to_owned() });
        }
        let (table, config, default_ring) = match scope {
            Scope::Machine => (Table::curated(), config(MODE_MACHINE, WHOLE_PER_WINDOW), RING_BYTES),
            Scope::Tree => (Table::everything(), config(MODE_TREE, WHOLE_PER_WINDOW_TREE), RING_BYTES_TREE),
        };
        let mut loader = Loader::open(&config, &resolved, &table, ring_bytes.unwrap_or(default_ring))?;
        let Maps { events, flood, loss, tree } = loader.maps()?;
        loader.set_interest(&table)?;

        let now = clock::now();
        let mut decoder =
            Decoder::new(now.unix_ns.saturating_sub_unsigned(now.mono_ns), self_check::trust(&resolved));
        let mut ring = RingReader::new(events);
        let mut distrusted = self_check::run(&mut loader, &mut ring, &mut decoder);
        if scope == Scope::Tree {
            // Before the watch, or a child of the first moment would be missed. Without it the followed
            // process itself is still seen.
            if let Err(error) = loader.attach(FOLLOW, "sched_process_fork") {
                distrusted.push((offsets::TREE, error.to_string()));
            }
        }
        attach_beside(&mut loader, &resolved);
        let told = loader.set_engines(programs::names()).is_ok()
            && loader.attach(ENGINES, "sched_process_exec").is_ok()
            && loader.attach(ENGINES_END, "sched_process_exit").is_ok();
        loader.choose_watch(&resolved.sys_exit);
        for (program, slot) in STAGES {
            let _ = loader.add_stage(program, *slot);
        }
        loader.attach_watch()?;
        Ok(Self {
            scope,
            ring,
            maps: Counters { flood, loss, tree },
            decoder,
            kills: Kills::default(),
            // After the probe, so that none falls in between; a tree's own cgroups are looked up as they come.
            cgroups: if scope == Scope::Machine {
                Names::existing(&Root::default())
            } else {
                Names::default()
            },
            engines: Register::existing(&Root::default(), told),
            of_runtimes: Vec::new(),
            recorded: Recorded::default(),
            log: KernelLog::open(),
            resolved,
            distrusted,
            reported: HashMap::new(),
            meter: Meter::start(scope == Scope::Tree, loader.counted()),
            loader,
        })
    }

    /// The watch itself, the mount count of the instant, and each program, with the reason of a "no".
    pub fn state(&self) -> (Availability, Availability, Vec<(String, Availability)>) {
        let scope = match self.scope {
            Scope::Machine => "every process",
            Scope::Tree => "one process tree",
        };
        let watch = match self.missing().as_slice() {
            [] => Availability::yes(format!("sys_exit, {scope}")),
            missing => {
                let names: Vec<&str> = missing.iter().map(|(name, _)| *name).collect();
                Availability::yes(format!("sys_exit, {scope}; without {}", names.join(", ")))
            }
        };
        let mounts =
            match (&self.decoder.trust.mounts, self.missing().iter().find(|m| m.0 == offsets::MOUNTS)) {
                (Some(field), _) => Availability::yes(field.clone()),
                (None, Some((_, why))) => Availability::no(why.clone()),
                (None, None) => Availability::no("the mount namespace of a task cannot be found"),
            };
        (watch, mounts, self.loader.programs.clone())
    }

    /// Kills, failed operations of io_uring and refused netlink requests: whether they are seen, with the reason of a
    /// "no".
    pub fn silent(&self) -> (Availability, Availability, Availability) {
        let of = |names: &[&str]| {
            let known =
                || self.loader.programs.iter().filter(|(n, _)| names.iter().any(|s| n.starts_with(s)));
            match known().find(|(_, state)| !state.is_yes()).or_else(|| known().next()) {
                Some((_, Availability::Yes { .. })) => Availability::yes("yes"),
                Some((_, no)) => no.clone(),
                None => Availability::default(),
            }
        };
        (of(&[SIGNALS, OOM]), of(&[IO_URING]), of(&[NETLINK]))
    }

    /// Whether a kill that was seen waits for the kernel's word about it.
    pub fn is_waiting(&self) -> bool {
        self.kills.is_waiting()
    }

    /// Readings that are not taken on this kernel, with the reason.
    pub fn missing(&self) -> Vec<(&'static str, String)> {
        self.resolved.missing.iter().chain(&self.distrusted).cloned().collect()
    }

    /// Adds a process to the tree. Children it already has are not followed, so call this before it
    /// starts any.
    pub fn follow(&mut self, pid: u32) -> Result<(), CaptureError> {
        if let Err(error) = self.recorded.follow(pid) {
            tracing::info!("memory maps of process {pid} are not recorded: {error}");
        }
        self.add(pid, 0)
    }

    /// Adds an engine's daemon, and what it starts from now on, beside the tree: it works for whoever asks.
    pub fn follow_beside(&mut self, pid: u32) -> Result<(), CaptureError> {
        self.add(pid, TREE_BESIDE)
    }

    // The probe learns the start time when it first sees the process.
    fn add(&mut self, pid: u32, side: u64) -> Result<(), CaptureError> {
        if self.scope != Scope::Tree {
            return Err(CaptureError::NotATree);
        }
        self.maps.tree.insert(pid, side, 0).map_err(|error| CaptureError::Refused {
            what: format!("following process {pid}"),
            why: error.to_string(),
        })
    }

    /// Whether a process is in the tree: `Some(true)` beside it, as a daemon or one's child.
    pub fn is_beside(&self, pid: u32) -> Option<bool> {
        self.maps.tree.get(&pid, 0).ok().map(|entry| entry & TREE_BESIDE != 0)
    }

    /// Waits until there may be something to drain.
    pub async fn ready(&mut self) -> io::Result<()> {
        self.ring.ready().await
    }

    /// All failures that travelled whole since the last call.
    pub fn drain(&mut self) -> Vec<Failure> {
        let mut seen = Vec::new();
        let (decoder, kills, log) = (&mut self.decoder, &mut self.kills, &mut self.log);
        let (cgroups, engines) = (&mut self.cgroups, &mut self.engines);
        let (root, of_runtimes) = (Root::default(), &mut self.of_runtimes);
        self.ring.drain(|bytes| match decoder.decode(bytes) {
            Some(Decoded::Failure(failure)) => seen.push(failure),
            Some(Decoded::KernelKill { failure, memory }) => kills.kernel(failure, memory),
            Some(Decoded::OomVictim { tid }) => {
                seen.extend(kills.victim(tid, log.of(tid)));
            }
            Some(Decoded::CgroupMade { made, by, at_ns }) => {
                if engines.at(&root, by, at_ns).is_some_and(|(process, _)| process.is_runtime()) {
                    of_runtimes.push((made.clone(), by, at_ns));
                }
                cgroups.learn(made);
            }
            Some(Decoded::EngineStarted { process, at_ns }) => engines.began(process, at_ns),
            Some(Decoded::EngineEnded { pid, at_ns }) => engines.ended(pid, at_ns),
            Some(Decoded::SelfCheck(_)) | None => {}
        });
        engines.keep_up(&root, clock::mono_ns());
        seen.extend(kills.due(clock::mono_ns()));
        self.recorded.take();
        seen
    }

    /// The memory maps of a tree's processes.
    pub fn recorded(&mut self) -> &mut Recorded {
        &mut self.recorded
    }

    /// The names of cgroups, also of those that are gone.
    pub fn cgroups(&self) -> &Names {
        &self.cgroups
    }

    /// Engines' processes, also those that are gone.
    pub fn engines(&self) -> &Register {
        &self.engines
    }

    /// Cgroups that runtimes made since this was last asked, by whom and when.
    pub fn cgroups_of_runtimes(&mut self) -> Vec<(Made, u32, u64)> {
        std::mem::take(&mut self.of_runtimes)
    }

    /// Clients of engines that were started since this was last asked.
    pub fn new_clients(&mut self) -> Vec<Process> {
        self.engines.new_clients()
    }

    /// Failures that were only counted since the last call, one for each kind of failure.
    pub fn repeated(&mut self) -> Vec<Repeated> {
        let keys: Vec<[u8; 24]> = self.maps.flood.keys().filter_map(Result::ok).collect();
        let mut observations = Vec::new();
        for bytes in keys {
            let Some(key) = FloodKey::from_bytes(&bytes) else { continue };
            // Looked at before the count is read: what is dead by then can add nothing afterwards.
            let dead = is_dead(key.tgid);
            let value = self.maps.flood.get(&bytes, 0).ok().and_then(|value| FloodValue::from_bytes(&value));
            let Some(value) = value else { continue };
            let known = self.reported.entry(key).or_insert(0);
            let count = value.repeated.saturating_sub(*known);
            *known = value.repeated;
            if count > 0 {
                observations.push(repeated(&key, count));
            }
            if dead {
                self.reported.remove(&key);
                // Fails only if it is gone already, which is what is wanted.
                let _ = self.maps.flood.remove(&bytes);
            }
        }
        observations
    }

    /// What the programs and this process took so far.
    pub fn cost(&mut self) -> Cost {
        let now = clock::mono_ns();
        if self.meter.is_due(now) {
            self.meter.turn(now, self.loader.counted());
        }
        self.meter.cost(self.loader.counted())
    }

    /// Failures of interest that may have been neither delivered nor counted, since the start. An upper
    /// bound where the kernel skipped the program: it does not know what the program would have seen.
    pub fn lost(&self) -> u64 {
        let per_cpu = self.maps.loss.get(&0, 0);
        let dropped = per_cpu.map_or(0, |values| {
            values.iter().filter_map(|bytes| Loss::from_bytes(bytes)).map(|loss| loss.dropped).sum()
        });
        dropped + self.decoder.lost() + self.loader.misses(WATCH)
    }
}

/// What is watched beside system calls. Each on its own: what this kernel refuses is named by [`ErrnoWatch::state`], and
/// the rest goes on.
fn attach_beside(loader: &mut Loader, resolved: &Resolved) {
    for (program, tracepoint) in
        [(SIGNALS, "signal_generate"), (OOM, "mark_victim"), (EXEC, "sched_process_exec")]
    {
        let _ = loader.attach(program, tracepoint);
    }
    match resolved.why_not(netlink_fields::NETLINK) {
        None => drop(loader.attach(NETLINK, "skb_copy_datagram_iovec")),
        Some(why) => loader.programs.push((NETLINK.into(), Availability::no(why))),
    }
    if resolved.netlink_sentences {
        let _ = loader.attach(SENTENCES, "netlink_extack");
    }
    match resolved.why_not(silent::HIERARCHY) {
        None => drop(loader.attach(CGROUPS, "cgroup_mkdir")),
        Some(why) => loader.programs.push((CGROUPS.into(), Availability::no(why))),
    }
    match &resolved.io_uring {
        Ok(program) => drop(loader.attach(program, "io_uring_complete")),
        Err(error) => loader.programs.push((IO_URING.into(), Availability::no(error.to_string()))),
    }
}

fn config(mode: u32, whole_per_window: u32) -> Config {
    Config { own_tgid: std::process::id(), mode, whole_per_window, pad: 0, window_ns: WINDOW_NS }
}

fn repeated(key: &FloodKey, count: u64) -> Repeated {
    let abi = if key.abi == ABI_COMPAT { Abi::Compat } else { Abi::Native };
    Repeated {
        pid: key.tgid,
        syscall: match key.abi {
            ABI_IO_URING => uring::label(key.nr),
            ABI_NETLINK => netlink::label(key.nr),
            _ => interest::name(key.nr, abi),
        },
        errno: Errno(key.errno as i32),
        count,
    }
}

fn is_dead(tgid: u32) -> bool {
    i32::try_from(tgid).is_ok_and(|pid| kill(Pid::from_raw(pid), None) == Err(Os::ESRCH))
}
