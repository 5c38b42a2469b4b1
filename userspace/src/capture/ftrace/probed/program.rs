//! The program behind kprobe.multi: taken out of the probes' object and loaded by hand.
//!
//! The kernel wants to know at *load* that a program is meant for kprobe.multi (`expected_attach_type`, checked by
//! kernel/trace/bpf_trace.c `bpf_kprobe_multi_link_attach`), and aya 0.14 does not say so for any program of its own.

use crate::capture::loader::{OBJECT, verdict};
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuArray, RingBuf};
use aya_obj::Object;
use aya_obj::generated::{bpf_attach_type, bpf_attr, bpf_cmd, bpf_insn, bpf_prog_type};
use diag_abi::{FunctionReturned, Header, Loss, Record, kind};
use std::collections::HashSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

const NAME: &str = "watch_return";
/// Some ten thousand values.
const RING_BYTES: u32 = 1 << 20;
/// For the verifier's words, when it refuses.
const LOG_BYTES: usize = 64 << 10;

/// The loaded program with its maps; not attached to anything yet.
pub(super) struct Program {
    pub(super) fd: OwnedFd,
    ring: RingBuf<MapData>,
    loss: PerCpuArray<MapData, [u8; size_of::<Loss>()]>,
    /// Kept open for as long as the program looks into it.
    _tree: Tree,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Program").field("fd", &self.fd).finish_non_exhaustive()
    }
}

/// Which processes are meant.
#[derive(Debug)]
enum Tree {
    Theirs { _map: OwnedFd },
    Own { _map: HashMap<MapData, u32, u64> },
}

impl Program {
    /// For the processes of a map that somebody keeps, or else for these.
    pub(super) fn load(tree: Option<&OwnedFd>, processes: &[u32]) -> Result<Self, String> {
        if OBJECT.is_empty() {
            return Err(
                "this diag was built without its probes; `cargo xtask setup` says what is missing".into()
            );
        }
        let mut object = Object::parse(OBJECT).map_err(|error| format!("the probes' object: {error}"))?;
        let key = object.programs.get(NAME).ok_or("the probes' object has no such program")?.function_key();
        // Of the others neither maps nor subprograms are wanted.
        object.programs.retain(|name, _| name == NAME);
        object.functions.retain(|at, _| *at == key);

        let mut maps = Maps { object: &object, made: Vec::new() };
        let (events, loss) = (maps.make("EVENTS", Some(RING_BYTES))?, maps.make("LOSS", None)?);
        let tree = match tree {
            Some(fd) => {
                let fd = fd.try_clone().map_err(|error| format!("the map of the tree: {error}"))?;
                maps.made.push(("TREE", fd.as_raw_fd()));
                Tree::Theirs { _map: fd }
            }
            None => Tree::Own { _map: processes_in(maps.make("TREE", None)?, processes)? },
        };
        let made = maps.made;
        let by_hand = object.maps.clone();
        let relocated = made.iter().filter_map(|(name, fd)| Some((*name, *fd, by_hand.get(*name)?)));
        let sections: HashSet<usize> = object.functions.keys().map(|(section, _)| *section).collect();
        object.relocate_maps(relocated, &sections).map_err(|error| chain(&error))?;
        object.relocate_calls(&sections).map_err(|error| chain(&error))?;
        let function = object.functions.get(&key).ok_or("the program is gone from its object")?;
        let fd = load(&function.instructions, &object.license)?;
        let ring = RingBuf::try_from(events).map_err(|error| refused("EVENTS", &error))?;
        let loss = PerCpuArray::try_from(loss).map_err(|error| refused("LOSS", &error))?;
        Ok(Self { fd, ring, loss, _tree: tree })
    }

    /// Hands out what came since the last call: thread, time, function, value.
    pub(super) fn drain(&mut self, mut each: impl FnMut(&FunctionReturned)) {
        while let Some(bytes) = self.ring.next() {
            let known = |header: Header| header.kind == kind::FUNCTION_RETURNED;
            if Header::from_bytes(&bytes).is_some_and(known)
                && let Some(record) = FunctionReturned::from_bytes(&bytes)
            {
                each(&record);
            }
        }
    }

    pub(super) fn lost(&self) -> u64 {
        let lost = self.loss.get(&0, 0);
        lost.map_or(0, |cpus| cpus.iter().filter_map(|b| Loss::from_bytes(b)).map(|loss| loss.dropped).sum())
    }
}

/// Makes maps as the object describes them.
struct Maps<'a> {
    object: &'a Object,
    made: Vec<(&'static str, i32)>,
}

impl Maps<'_> {
    fn make(&mut self, name: &'static str, entries: Option<u32>) -> Result<Map, String> {
        let described = self.object.maps.get(name);
        let mut described = described.cloned().ok_or_else(|| format!("the probes have no map {name}"))?;
        if let Some(entries) = entries {
            described.set_max_entries(entries);
        }
        let data = MapData::create(described, name, None).map_err(|error| refused(name, &error))?;
        self.made.push((name, data.fd().as_fd().as_raw_fd()));
        Map::from_map_data(data).map_err(|error| refused(name, &error))
    }
}

fn processes_in(map: Map, processes: &[u32]) -> Result<HashMap<MapData, u32, u64>, String> {
    let mut map: HashMap<MapData, u32, u64> = map.try_into().map_err(|error| refused("TREE", &error))?;
    for pid in processes {
        map.insert(pid, 0, 0).map_err(|error| refused("TREE", &error))?;
    }
    Ok(map)
}

/// bpf(2), BPF_PROG_LOAD.
fn load(instructions: &[bpf_insn], license: &CStr) -> Result<OwnedFd, String> {
    // Without a log first: it makes the verifier slow, and is wanted only where it says no.
    let first = match try_load(instructions, license, None) {
        Ok(fd) => return Ok(fd),
        Err(error) => error,
    };
    let mut log = vec![0_u8; LOG_BYTES];
    let error = match try_load(instructions, license, Some(&mut log)) {
        Ok(fd) => return Ok(fd),
        // A log that is too short for its words is an error of its own.
        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => first,
        Err(error) => error,
    };
    let said = String::from_utf8_lossy(&log);
    let said = said.trim_end_matches('\0');
    Err(verdict(&format!("the kernel refuses the program: {error}\nVerifier output:{said}")))
}

fn try_load(instructions: &[bpf_insn], license: &CStr, log: Option<&mut Vec<u8>>) -> io::Result<OwnedFd> {
    // SAFETY: all zeros are a value of this union of integers.
    let mut attr = unsafe { std::mem::zeroed::<bpf_attr>() };
    // SAFETY: the part that BPF_PROG_LOAD reads; any bits are a value.
    let part = unsafe { &mut attr.__bindgen_anon_3 };
    part.prog_type = bpf_prog_type::BPF_PROG_TYPE_KPROBE as u32;
    part.expected_attach_type = bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32;
    part.insns = instructions.as_ptr() as u64;
    part.insn_cnt = instructions.len() as u32;
    part.license = license.as_ptr() as u64;
    for (to, from) in part.prog_name.iter_mut().zip(NAME.as_bytes()) {
        *to = from.cast_signed();
    }
    if let Some(log) = log {
        (part.log_level, part.log_size, part.log_buf) = (1, log.len() as u32, log.as_mut_ptr() as u64);
    }
    bpf(bpf_cmd::BPF_PROG_LOAD, &attr)
}

/// A command of bpf(2) that gives a descriptor.
pub(super) fn bpf(command: bpf_cmd, attr: &bpf_attr) -> io::Result<OwnedFd> {
    // SAFETY: the attributes have the size that is said, and what they point to outlives the call.
    let fd = unsafe {
        libc::syscall(libc::SYS_bpf, command as libc::c_int, std::ptr::from_ref(attr), size_of::<bpf_attr>())
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a fresh descriptor that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}

fn refused(map: &str, error: &MapError) -> String {
    format!("map {map}: {}", chain(error))
}

/// An error with its causes, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
