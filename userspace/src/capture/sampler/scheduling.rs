//! What a refused scheduling call was held against: resource limits, the cpuset, the mask itself.

use super::{Look, Sampled};
use crate::model::{Errno, Fact, Failure, State};
use std::fs;
use std::path::Path;

const CALLS: &[&str] = &[
    "sched_setscheduler",
    "sched_setattr",
    "sched_setparam",
    "setpriority",
    "ioprio_set",
    "sched_setaffinity",
    "set_mempolicy",
    "mbind",
];

/// Lines of `/proc/PID/limits`, and the kernel's names.
const LIMITS: &[(&str, &str)] =
    &[("Max realtime priority", "RLIMIT_RTPRIO"), ("Max nice priority", "RLIMIT_NICE")];

/// Bytes of a mask that are read: 8192 processors.
const MOST_BYTES: usize = 1024;
const LEVELS: usize = 32;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let refusals = [Errno::EPERM, Errno::EACCES, Errno::EINVAL];
    if !CALLS.contains(&look.call) || !refusals.contains(&look.errno) {
        return;
    }
    let after_ns = look.after(failure);
    let tid = failure.task.tid;
    let mut add = |name: &str, value: String, source: String| {
        out.facts.push(Fact::State(State {
            name: name.into(),
            of: "caller".into(),
            value,
            source,
            after_ns,
        }));
    };
    let file = format!("/proc/{tid}/status");
    let status = fs::read_to_string(look.root.join(&file)).unwrap_or_default();
    if let Some(caps) = status.lines().find_map(|l| l.strip_prefix("CapEff:")) {
        add("CapEff", caps.trim().into(), file);
    }
    let file = format!("/proc/{tid}/limits");
    let limits = fs::read_to_string(look.root.join(&file)).unwrap_or_default();
    for (line, name) in LIMITS {
        if let Some(soft) = limits.lines().find_map(|l| l.strip_prefix(line)?.split_whitespace().next()) {
            add(name, soft.into(), file.clone());
        }
    }
    if look.call != "sched_setaffinity" {
        return;
    }
    if let Some(mask) = mask(failure) {
        add("processors asked for", mask, "the caller's memory".into());
    }
    if let Ok(online) = fs::read_to_string(look.root.join("sys/devices/system/cpu/online")) {
        add("processors online", online.trim().into(), "/sys/devices/system/cpu/online".into());
    }
    let of = failure.number_arg("pid").filter(|pid| *pid != 0).unwrap_or(u64::from(tid));
    let text = fs::read_to_string(look.root.join(format!("proc/{of}/cgroup"))).unwrap_or_default();
    let path = text.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or("/");
    for level in Path::new(path).ancestors().take(LEVELS) {
        let file = look
            .root
            .join("sys/fs/cgroup")
            .join(level.strip_prefix("/").unwrap_or(level))
            .join("cpuset.cpus.effective");
        if let Ok(text) = fs::read_to_string(&file) {
            add("cpuset.cpus.effective", text.trim().into(), file.display().to_string());
            break;
        }
    }
}

/// The mask that was asked for.
fn mask(failure: &Failure) -> Option<String> {
    let (size, address) = (failure.number_arg("cpusetsize")? as usize, failure.number_arg("mask")?);
    memory(failure, address, size.min(MOST_BYTES)).map(|bytes| numbers(&bytes))
}

/// The memory of the caller, who is still in front of its answer or a little past it.
fn memory(failure: &Failure, address: u64, size: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; size];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: bytes.len() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: bytes.len() };
    // SAFETY: one buffer of ours with its length; the other address is the kernel's to check.
    let read = unsafe {
        libc::process_vm_readv(failure.task.pid as i32, &raw const local, 1, &raw const remote, 1, 0)
    };
    (read == bytes.len() as isize).then_some(bytes)
}

/// The set bits, as a list.
fn numbers(bytes: &[u8]) -> String {
    let set = bytes
        .iter()
        .enumerate()
        .flat_map(|(at, byte)| (0..8).filter(move |bit| byte >> bit & 1 == 1).map(move |bit| at * 8 + bit));
    set.map(|n| n.to_string()).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_processors() {
        assert_eq!(numbers(&[0b10_0001, 0, 1]), "0,5,16");
        assert_eq!(numbers(&[0; 8]), "");
    }
}
