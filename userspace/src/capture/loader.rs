//! Loading the probes: what this kernel accepts is attached, what it refuses is named.

mod required;
mod watch;

pub(super) use required::{check_kernel, is_older};

use super::btf::BtfError;
use super::btf::offsets::Resolved;
use super::cost::Counted;
use super::interest::Table;
use super::symbols::{self, Addresses};
use super::values;
use crate::model::Availability;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, ProgramArray, RingBuf};
use aya::programs::{ProgramError, RawTracePoint, TestRun};
use aya::{Ebpf, EbpfLoader, include_bytes_aligned};
use diag_abi::bounds::COMM;
use diag_abi::{
    Config, FloodKey, FloodValue, InterestRow, Loss, Record, STAGE_COUNTS, STAGE_DESCRIPTORS, STAGE_KEYS,
    STAGE_NAMESPACES, STAGE_OBJECT, STAGE_RLIMITS, STAGE_SOCKET, STAGE_TASKS, STAGE_VALUES, ValueSet,
};
use std::{fs, io};
use thiserror::Error;

/// The object that `build.rs` made; empty when the BPF tools were missing.
pub(super) static OBJECT: &[u8] = include_bytes_aligned!(concat!(env!("OUT_DIR"), "/diag-probes"));

/// The errno watch itself.
pub(super) const WATCH: &str = "watch_errno";
/// Adds the children of followed processes.
pub(super) const FOLLOW: &str = "follow_fork";
/// Signals that end a process.
pub(super) const SIGNALS: &str = "watch_signal";
/// What the watch enters by tail calls: readings that only some failures need.
pub(super) const STAGES: &[(&str, u32)] = &[
    ("read_tasks", STAGE_TASKS),
    ("read_namespaces", STAGE_NAMESPACES),
    ("read_object", STAGE_OBJECT),
    ("read_descriptors", STAGE_DESCRIPTORS),
    ("read_rlimits", STAGE_RLIMITS),
    ("read_values", STAGE_VALUES),
    ("read_counts", STAGE_COUNTS),
    ("read_keys", STAGE_KEYS),
    ("read_socket", STAGE_SOCKET),
];
/// How the programs for io_uring begin, of which one fits.
pub(super) const IO_URING: &str = "watch_uring";
/// Refused netlink requests.
pub(super) const NETLINK: &str = "watch_netlink";
/// The kernel's sentences about them.
pub(super) const SENTENCES: &str = "watch_sentence";
/// The names of new cgroups.
pub(super) const CGROUPS: &str = "watch_cgroup";
/// Victims of the OOM killer.
pub(super) const OOM: &str = "watch_oom";
/// Programs whose set-user-ID bit has no effect.
pub(super) const EXEC: &str = "watch_exec";
/// Engines' programs as they start, and as they end.
pub(super) const ENGINES: &str = "watch_engines";
pub(super) const ENGINES_END: &str = "watch_engines_end";
/// Shows diag's own task as the probes see it.
pub(super) const SELF_CHECK: &str = "self_check";

/// Why nothing can be captured, and what to do about it.
#[derive(Debug, Error)]
pub enum CaptureError {
    #[error(
        "loading eBPF needs root, or the capabilities CAP_BPF and CAP_PERFMON; this process lacks {missing}"
    )]
    NotPermitted { missing: String },
    #[error(
        "diag runs in a child pid namespace, whose numbers are not the kernel's\nrun it on the host, or with the host's pid namespace (hostPID, --pid=host)"
    )]
    PidNamespace,
    #[error(
        "this kernel, {release}, is too old: diag needs Linux 5.10 or newer, which has the BPF ring buffer and BTF"
    )]
    TooOld { release: String },
    #[error("this diag was built without its probes\nrun `cargo xtask setup`, then build again")]
    NoProbes,
    #[error("cannot read the kernel's types from {path}: {error}\nthe kernel needs CONFIG_DEBUG_INFO_BTF")]
    NoBtf { path: String, error: io::Error },
    #[error("cannot use the kernel's types: {0}")]
    Btf(#[from] BtfError),
    #[error("{reading} cannot be read on this kernel: {why}")]
    Unreadable { reading: &'static str, why: String },
    #[error("the kernel refused {what}: {why}")]
    Refused { what: String, why: String },
    #[error("only a watch of a process tree can follow a process")]
    NotATree,
}

/// The loaded object. Dropping it detaches everything.
pub(super) struct Loader {
    ebpf: Ebpf,
    /// The watch and its stages are the programs that know their arguments' types.
    typed: Option<aya::Btf>,
    /// Each program's name and what became of it.
    pub(super) programs: Vec<(String, Availability)>,
}

/// The maps that user space uses while the probes run.
pub(super) struct Maps {
    pub(super) events: RingBuf<MapData>,
    pub(super) flood: HashMap<MapData, [u8; size_of::<FloodKey>()], [u8; size_of::<FloodValue>()]>,
    pub(super) loss: PerCpuArray<MapData, [u8; size_of::<Loss>()]>,
    pub(super) tree: HashMap<MapData, u32, u64>,
}

type Rows<'a> = Array<&'a mut MapData, [u8; size_of::<InterestRow>()]>;

impl Loader {
    /// Creates the maps. Programs are loaded one by one afterwards.
    pub(super) fn open(
        config: &Config,
        fields: &Resolved,
        table: &Table,
        ring_bytes: u32,
    ) -> Result<Self, CaptureError> {
        if OBJECT.is_empty() {
            return Err(CaptureError::NoProbes);
        }
        required::check_capabilities()?;
        let log_level = if debugging() { u8::MAX } else { 0 };
        let maybe = table.maybe();
        let (symbols, addresses) = symbols::find(&values::symbols());
        let mut loader = EbpfLoader::new();
        // No relocation against the kernel's types is wanted: offsets come from our own walker.
        loader
            .btf(None)
            .override_global("CONFIG", config.as_bytes(), true)
            .override_global("OFFSETS", fields.offsets.as_bytes(), true)
            .override_global("SILENT", fields.silent.as_bytes(), true)
            .override_global("LIMITS", fields.limits.as_bytes(), true)
            .override_global("SYMBOLS", symbols.as_bytes(), true)
            .override_global("OBJECTS", fields.objects.as_bytes(), true)
            .override_global("SOCKETS", fields.sockets.as_bytes(), true)
            .override_global("CREDENTIALS", fields.credentials.as_bytes(), true)
            .override_global("ENGINE_WORDS", fields.engines.as_bytes(), true)
            .override_global("RLIMITS", fields.rlimits.as_bytes(), true)
            .override_global("NETLINK", fields.netlink.as_bytes(), true)
            .override_global("MAYBE", maybe.as_slice(), true)
            .override_global("AYA_LOG_LEVEL", &log_level, false)
            .map_max_entries("EVENTS", ring_bytes);
        let ebpf = loader.load(OBJECT).map_err(|error| refused("the maps of the probes", &error))?;
        let mut loader = Self { ebpf, typed: None, programs: Vec::new() };
        loader.set_recipes(&fields.recipes, &addresses)?;
        Ok(loader)
    }

    /// Moves the maps out.
    pub(super) fn maps(&mut self) -> Result<Maps, CaptureError> {
        Ok(Maps {
            events: self.map("EVENTS")?,
            flood: self.map("FLOOD")?,
            loss: self.map("LOSS")?,
            tree: self.map("TREE")?,
        })
    }

    fn map<T: TryFrom<Map, Error = MapError>>(&mut self, name: &str) -> Result<T, CaptureError> {
        let missing =
            || CaptureError::Refused { what: format!("map {name}"), why: "not in the object".into() };
        let map = self.ebpf.take_map(name).ok_or_else(missing)?;
        T::try_from(map).map_err(|error| refused(&format!("map {name}"), &error))
    }

    /// Fills the interest tables.
    pub(super) fn set_interest(&mut self, table: &Table) -> Result<(), CaptureError> {
        for (name, rows) in [("INTEREST", &table.native), ("INTEREST_COMPAT", &table.compat)] {
            // Borrowed and not taken: a map whose last descriptor is closed cannot be loaded against.
            let map = self.ebpf.map_mut(name).ok_or_else(|| not_in_object(name))?;
            let mut map: Rows<'_> = map.try_into().map_err(|error: MapError| refused(name, &error))?;
            for (number, row) in (0..).zip(rows) {
                let Ok(bytes) = row.as_bytes().try_into() else { continue };
                let bytes: [u8; size_of::<InterestRow>()] = bytes;
                if *row != InterestRow::NONE {
                    map.set(number, bytes, 0).map_err(|error| refused(&format!("map {name}"), &error))?;
                }
            }
        }
        Ok(())
    }

    /// Says by which names engines' programs are known.
    pub(super) fn set_engines(
        &mut self,
        names: impl Iterator<Item = &'static str>,
    ) -> Result<(), CaptureError> {
        let map = self.ebpf.map_mut("ENGINES").ok_or_else(|| not_in_object("ENGINES"))?;
        let mut map: HashMap<&mut MapData, [u8; COMM], u32> =
            map.try_into().map_err(|error: MapError| refused("map ENGINES", &error))?;
        for name in names {
            let mut comm = [0; COMM];
            comm.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
            map.insert(comm, 1, 0).map_err(|error| refused("map ENGINES", &error))?;
        }
        Ok(())
    }

    /// Fills the recipes of values, with the addresses of this boot.
    fn set_recipes(&mut self, recipes: &[ValueSet], addresses: &Addresses) -> Result<(), CaptureError> {
        let name = "RECIPES";
        let map = self.ebpf.map_mut(name).ok_or_else(|| not_in_object(name))?;
        let mut map: Array<&mut MapData, [u8; size_of::<ValueSet>()]> =
            map.try_into().map_err(|error: MapError| refused(name, &error))?;
        for (number, set) in (1..).zip(values::located(recipes, addresses)) {
            let Ok(bytes) = set.as_bytes().try_into() else { continue };
            let bytes: [u8; size_of::<ValueSet>()] = bytes;
            map.set(number, bytes, 0).map_err(|error| refused("map RECIPES", &error))?;
        }
        Ok(())
    }

    /// Loads a program and attaches it, keeping the reason when that fails.
    pub(super) fn attach(&mut self, program: &str, tracepoint: &str) -> Result<(), CaptureError> {
        let outcome = self.try_attach(program, tracepoint);
        self.note(program, &outcome, &format!("attached to {tracepoint}"));
        outcome
    }

    fn try_attach(&mut self, program: &str, tracepoint: &str) -> Result<(), CaptureError> {
        let loaded = self.load(program)?;
        loaded
            .attach(tracepoint)
            .map_err(|error| refused(&format!("attaching {program} to {tracepoint}"), &error))?;
        Ok(())
    }

    /// Loads a stage and lets the watch enter it. Without it failures travel without its readings.
    pub(super) fn add_stage(&mut self, program: &str, slot: u32) -> Result<(), CaptureError> {
        let outcome = self.try_add_stage(program, slot);
        self.note(program, &outcome, "stage of the watch");
        outcome
    }

    fn try_add_stage(&mut self, program: &str, slot: u32) -> Result<(), CaptureError> {
        let fd = self.load_any(program)?;
        let map = self.ebpf.map_mut("STAGES").ok_or_else(|| not_in_object("STAGES"))?;
        let mut map: ProgramArray<_> = map.try_into().map_err(|error: MapError| refused("STAGES", &error))?;
        map.set(slot, &fd, 0).map_err(|error| refused(&format!("stage {program}"), &error))
    }

    /// Runs the self-check once in this very task; its record is in the ring afterwards.
    pub(super) fn run_self_check(&mut self) -> Result<(), CaptureError> {
        let outcome = self.try_self_check();
        self.note(SELF_CHECK, &outcome, "ran once");
        outcome
    }

    fn try_self_check(&mut self) -> Result<(), CaptureError> {
        let mut log = match debugging() {
            true => aya_log::EbpfLogger::init(&mut self.ebpf).ok(),
            false => None,
        };
        let loaded = self.load(SELF_CHECK)?;
        loaded.test_run(Default::default()).map_err(|error| refused("a run of self_check", &error))?;
        if let Some(log) = &mut log {
            log.flush();
        }
        Ok(())
    }

    fn load(&mut self, program: &str) -> Result<&mut RawTracePoint, CaptureError> {
        let loaded = self.ebpf.program_mut(program).ok_or_else(|| not_in_object(program))?;
        let raw: &mut RawTracePoint =
            loaded.try_into().map_err(|error: ProgramError| refused(program, &error))?;
        raw.load().map_err(|error| refused(program, &error))?;
        Ok(raw)
    }

    fn note(&mut self, program: &str, outcome: &Result<(), CaptureError>, done: &str) {
        let state = match outcome {
            Ok(()) => Availability::yes(format!("{done}{}", self.size(program))),
            Err(error) => Availability::no(error.to_string()),
        };
        self.programs.push((program.to_owned(), state));
    }

    /// `: 702 instructions, 1500 verified`, as far as the kernel tells.
    fn size(&self, program: &str) -> String {
        let Some(info) = self.ebpf.program(&self.actual(program)).and_then(|program| program.info().ok())
        else {
            return String::new();
        };
        // Eight bytes each, after the verifier removed what the offsets and switches made dead.
        let kept = info.size_translated().map(|bytes| format!(": {} instructions", bytes / 8));
        let verified = info.verified_instruction_count().map(|count| format!(", {count} verified"));
        kept.into_iter().chain(verified).collect()
    }

    /// Runs of a program that the kernel skipped because it was already running on that processor
    /// (bpf_prog_info.recursion_misses, Linux 5.12). Up to 6.x that is next to never; since 7.0 a
    /// tracepoint's program can be preempted, and then it is skipped until that task runs again.
    pub(super) fn misses(&self, program: &str) -> u64 {
        self.fdinfo(program).map_or(0, |info| number(&info, "recursion_misses:"))
    }

    /// Runs and time of all programs, as far as the kernel has measured them. A stage counts in the program
    /// that entered it: a tail call is no run of its own.
    pub(super) fn counted(&self) -> Counted {
        let mut sum = Counted::default();
        for (name, _) in &self.programs {
            let Some(info) = self.fdinfo(name) else { continue };
            sum.runs += number(&info, "run_cnt:");
            sum.ran_ns += number(&info, "run_time_ns:");
        }
        sum
    }

    fn fdinfo(&self, program: &str) -> Option<String> {
        use std::os::fd::{AsFd, AsRawFd};
        let fd = self.ebpf.program(&self.actual(program))?.fd().ok()?;
        fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_fd().as_raw_fd())).ok()
    }
}

/// The number after a word at the start of a line; 0 where this kernel does not print it.
fn number(info: &str, word: &str) -> u64 {
    let line = info.lines().find_map(|line| line.strip_prefix(word));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or(0)
}

/// Whether the probes' own messages are wanted: `DIAG_DEBUG`, or a logger that listens to debug messages.
fn debugging() -> bool {
    std::env::var_os("DIAG_DEBUG").is_some() || log::max_level() >= log::LevelFilter::Debug
}

fn not_in_object(what: &str) -> CaptureError {
    CaptureError::Refused { what: what.to_owned(), why: "it is not in the object".into() }
}

/// An error with its causes in one line. Of a verifier's log, which may have thousands, the line that
/// says why; the rest goes to the log.
fn refused(what: &str, error: &(dyn std::error::Error + 'static)) -> CaptureError {
    let mut why: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let line = verdict(&text);
        if text.lines().nth(1).is_some() {
            tracing::debug!("{what}: {text}");
        }
        if why.last().is_none_or(|last| !last.contains(&line)) {
            why.push(line);
        }
        next = error.source();
    }
    CaptureError::Refused { what: what.to_owned(), why: why.join(": ") }
}

/// What failed, and the last thing the verifier said before its statistics.
pub(super) fn verdict(text: &str) -> String {
    let (what, log) = text.split_once("Verifier output:").unwrap_or((text, ""));
    let what = what.lines().next().unwrap_or_default().trim().trim_end_matches('.');
    let statistics = |line: &&str| {
        ["processed ", "verification time", "stack depth"].iter().any(|start| line.starts_with(start))
    };
    match log.lines().map(str::trim).rfind(|line| !line.is_empty() && !statistics(line)) {
        Some(last) => format!("{what}: {last}"),
        None => what.to_owned(),
    }
}
