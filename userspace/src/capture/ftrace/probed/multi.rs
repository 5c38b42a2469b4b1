//! kprobe.multi: one attachment for all functions (Linux 5.18 with CONFIG_FPROBE; Documentation/trace/fprobe.rst).
//!
//! The link goes with its descriptor, so a killed diag leaves nothing. One function that the kernel does not take
//! makes it refuse all; it does not say which, so the list is halved until it is found.

use super::program::{Program, bpf};
use super::values::Value;
use super::{ProbeSpec, Reached};
use crate::capture::loader::is_older;
use crate::capture::symbols;
use aya_obj::generated::{BPF_F_KPROBE_MULTI_RETURN, bpf_attach_type, bpf_attr, bpf_cmd};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// Functions that may be refused before it is given up: then it is not about single functions.
const MOST_REFUSED: usize = 16;

/// The program, attached.
#[derive(Debug)]
pub(super) struct Attached {
    // Dropped in this order: nothing runs any more when the maps go.
    _links: Vec<OwnedFd>,
    program: Program,
    /// Places in the list of functions, by address.
    places: HashMap<u64, usize>,
}

impl Attached {
    pub(super) fn drain(&mut self, mut each: impl FnMut(Value)) {
        let places = &self.places;
        self.program.drain(|record| {
            let Some(&function) = places.get(&record.function) else { return };
            let (tid, time_ns, value) = (record.tid, record.header.time_ns, record.value);
            each(Value { tid, time_ns, function, value });
        });
    }

    pub(super) fn lost(&self) -> u64 {
        self.program.lost()
    }
}

pub(super) fn attach(spec: &ProbeSpec) -> Result<Reached<Attached>, String> {
    let program = Program::load(spec.tree.as_ref(), &spec.processes).map_err(|why| match is_old() {
        true => format!("{TOO_OLD} ({why})"),
        false => why,
    })?;
    let places = symbols::functions(&spec.functions).map_err(|error| format!("/proc/kallsyms: {error}"))?;
    let places: HashMap<u64, usize> = places.into_iter().collect();
    let mut addresses: Vec<u64> = places.keys().copied().collect();
    if addresses.is_empty() {
        return Err("/proc/kallsyms does not show the functions' addresses".into());
    }
    addresses.sort_unstable();
    let mut search = Search { program: program.fd.as_raw_fd(), links: Vec::new(), refused: Vec::new() };
    search.attach(&addresses).map_err(|error| refusal(&error))?;
    let Search { links, refused, .. } = search;
    let mut missing: Vec<(String, String)> = Vec::new();
    for (place, name) in spec.functions.iter().enumerate() {
        let mut of_it = places.iter().filter(|(_, known)| **known == place).peekable();
        if of_it.peek().is_none() {
            missing.push((name.clone(), "/proc/kallsyms does not show it".into()));
        } else if of_it.all(|(address, _)| refused.iter().any(|(known, _)| known == address)) {
            let why = refused.iter().find(|(address, _)| places.get(address) == Some(&place));
            missing.push((name.clone(), why.map_or_else(String::new, |(_, why)| why.to_string())));
        }
    }
    if links.is_empty() {
        return Err(format!("the kernel takes none of them ({})", super::words(&missing)));
    }
    Ok((Attached { _links: links, program, places }, missing))
}

/// Attaches what can be attached, and finds what cannot.
struct Search {
    program: i32,
    links: Vec<OwnedFd>,
    refused: Vec<(u64, io::Error)>,
}

impl Search {
    fn attach(&mut self, addresses: &[u64]) -> io::Result<()> {
        let error = match link(self.program, addresses) {
            Ok(fd) => {
                self.links.push(fd);
                return Ok(());
            }
            Err(error) => error,
        };
        if !is_about_functions(&error) {
            return Err(error);
        }
        let (first, second) = addresses.split_at(addresses.len() / 2);
        if first.is_empty() {
            if self.refused.len() >= MOST_REFUSED {
                return Err(error);
            }
            self.refused.extend(addresses.iter().map(|address| (*address, again(&error))));
            return Ok(());
        }
        self.attach(first)?;
        self.attach(second)
    }
}

/// bpf(2), BPF_LINK_CREATE.
fn link(program: i32, addresses: &[u64]) -> io::Result<OwnedFd> {
    // SAFETY: all zeros are a value of this union of integers.
    let mut attr = unsafe { std::mem::zeroed::<bpf_attr>() };
    attr.link_create.__bindgen_anon_1.prog_fd = program.cast_unsigned();
    attr.link_create.attach_type = bpf_attach_type::BPF_TRACE_KPROBE_MULTI as u32;
    // SAFETY: the part that this attach type reads; any bits are a value.
    let part = unsafe { &mut attr.link_create.__bindgen_anon_3.kprobe_multi };
    part.flags = BPF_F_KPROBE_MULTI_RETURN;
    part.cnt = addresses.len() as u32;
    part.addrs = addresses.as_ptr() as u64;
    bpf(bpf_cmd::BPF_LINK_CREATE, &attr)
}

/// What kernel/trace/ftrace.c `ftrace_set_filter_ips` and lib/error-inject.c say to a function that is not theirs;
/// anything else is about the kernel or the privileges.
fn is_about_functions(error: &io::Error) -> bool {
    const OURS: [i32; 5] = [libc::EINVAL, libc::ENOENT, libc::ESRCH, libc::EADDRNOTAVAIL, libc::EILSEQ];
    error.raw_os_error().is_some_and(|code| OURS.contains(&code))
}

fn again(error: &io::Error) -> io::Error {
    error.raw_os_error().map_or_else(|| io::Error::other(error.to_string()), io::Error::from_raw_os_error)
}

fn refusal(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "this kernel is built without CONFIG_FPROBE".into(),
        Some(libc::EPERM | libc::EACCES) => "the kernel refuses return probes (lockdown)".into(),
        // The attach type is unknown: then it is refused whatever the functions.
        Some(libc::EINVAL) if is_old() => TOO_OLD.into(),
        _ => error.to_string(),
    }
}

const TOO_OLD: &str = "kprobe.multi came with Linux 5.18";

fn is_old() -> bool {
    let release = nix::sys::utsname::uname().map(|u| u.release().to_string_lossy().into_owned());
    release.is_ok_and(|release| is_older(&release, (5, 18)))
}
