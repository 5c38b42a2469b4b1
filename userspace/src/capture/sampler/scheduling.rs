//! What a refused scheduling call was held against: resource limits, the cpuset, the mask itself.

use super::{Look, Sampled};
use crate::model::{Errno, Fact, Failure, Reading, State};
use std::fs;
use std::io::{BufRead, BufReader};
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

/// Calls after which the policy of the task itself counts: a deadline task may not fork.
const TASKS: &[&str] = &["clone", "clone3", "fork", "vfork"];
const DEADLINE: u64 = 6;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let mut notes = Notes { look, after_ns: look.after(failure), out };
    let deadline = |r: &&Reading| r.limit == "scheduling policy" && r.usage == Some(DEADLINE);
    if TASKS.contains(&look.call) && failure.readings.iter().any(|r| deadline(&r)) {
        notes.policy(failure.task.tid);
        return;
    }
    let refusals = [Errno::EPERM, Errno::EACCES, Errno::EINVAL, Errno::EBUSY];
    if !CALLS.contains(&look.call) || !refusals.contains(&look.errno) {
        return;
    }
    let tid = failure.task.tid;
    notes.rights(tid);
    if look.call == "sched_setattr" {
        notes.deadline();
    }
    if look.call != "sched_setaffinity" {
        return;
    }
    let of = failure.number_arg("pid").filter(|pid| *pid != 0).unwrap_or(u64::from(tid));
    notes.policy(of as u32);
    if let Some(mask) = mask(failure) {
        notes.add("processors asked for", mask, "the caller's memory".into());
    }
    notes.file("processors online", ONLINE);
    notes.cpuset(of);
}

const ONLINE: &str = "/sys/devices/system/cpu/online";

/// What is found out, and when.
struct Notes<'a> {
    look: &'a Look<'a>,
    after_ns: u64,
    out: &'a mut Sampled,
}

impl Notes<'_> {
    fn add(&mut self, name: &str, value: String, source: String) {
        let (of, after_ns) = ("caller".into(), self.after_ns);
        self.out.facts.push(Fact::State(State { name: name.into(), of, value, source, after_ns }));
    }

    fn file(&mut self, name: &str, file: &str) {
        if let Ok(text) = fs::read_to_string(self.look.root.join(file)) {
            self.add(name, text.trim().into(), file.into());
        }
    }

    /// Capabilities, where it may run, and the limits on priorities.
    fn rights(&mut self, tid: u32) {
        let file = format!("/proc/{tid}/status");
        let status = fs::read_to_string(self.look.root.join(&file)).unwrap_or_default();
        for name in ["CapEff", "Cpus_allowed_list"] {
            let line = status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
            if let Some(value) = line {
                self.add(name, value.trim().into(), file.clone());
            }
        }
        let file = format!("/proc/{tid}/limits");
        let limits = fs::read_to_string(self.look.root.join(&file)).unwrap_or_default();
        for (line, name) in LIMITS {
            if let Some(soft) = limits.lines().find_map(|l| l.strip_prefix(line)?.split_whitespace().next()) {
                self.add(name, soft.into(), file.clone());
            }
        }
    }

    /// What a deadline policy is held against.
    fn deadline(&mut self) {
        self.file("processors online", ONLINE);
        for name in ["sched_rt_runtime_us", "sched_rt_period_us"] {
            self.file(&format!("kernel.{name}"), &format!("/proc/sys/kernel/{name}"));
        }
        // The second place up to 5.12.
        for file in ["/sys/kernel/debug/sched/debug", "/proc/sched_debug"] {
            let Ok(opened) = fs::File::open(self.look.root.join(file)) else { continue };
            if let Some((each, promised)) = bandwidth(BufReader::new(opened)) {
                self.add("deadline bandwidth", format!("{each} {promised}"), file.into());
            }
            break;
        }
    }

    fn policy(&mut self, tid: u32) {
        // struct sched_attr: size and policy, flags, …
        let mut attributes = [0_u64; 6];
        let size = size_of_val(&attributes);
        // SAFETY: a whole structure with its size, which lives through the call.
        let done = unsafe { libc::syscall(libc::SYS_sched_getattr, tid, attributes.as_mut_ptr(), size, 0) };
        if done == 0 {
            let source = format!("sched_getattr({tid})");
            self.add("policy of the task", (attributes[0] >> 32).to_string(), source.clone());
            // SCHED_FLAG_RESET_ON_FORK
            self.add("reset on fork", (attributes[1] & 1).to_string(), source);
        }
    }

    fn cpuset(&mut self, of: u64) {
        let root = self.look.root;
        let text = fs::read_to_string(root.join(format!("proc/{of}/cgroup"))).unwrap_or_default();
        let path = text.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or("/");
        for level in Path::new(path).ancestors().take(LEVELS) {
            let folder = root.join("sys/fs/cgroup").join(level.strip_prefix("/").unwrap_or(level));
            let file = folder.join("cpuset.cpus.effective");
            if let Ok(text) = fs::read_to_string(&file) {
                self.add("cpuset.cpus.effective", text.trim().into(), file.display().to_string());
                break;
            }
        }
    }
}

/// The share of each processor that may be promised, and the sum of what is, in parts of 2^20. Where the processors are
/// in several root domains with other sums, nobody knows which one was asked.
fn bandwidth(text: impl BufRead) -> Option<(u64, u64)> {
    let mut found = (Vec::new(), Vec::new());
    for line in text.take(MOST_DEBUG).lines().map_while(Result::ok) {
        let Some(rest) = line.trim_start().strip_prefix(".dl_bw->") else { continue };
        let (name, value) = rest.split_once(':')?;
        let value: u64 = value.trim().parse().ok()?;
        match name.trim() {
            "bw" => found.0.push(value),
            "total_bw" => found.1.push(value),
            _ => {}
        }
    }
    found.0.dedup();
    found.1.dedup();
    match (found.0.as_slice(), found.1.as_slice()) {
        ([each], [promised]) => Some((*each, *promised)),
        _ => None,
    }
}

/// Of the scheduler's own report, which names every task.
const MOST_DEBUG: u64 = 8 << 20;

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

    #[test]
    fn what_is_promised_is_one_sum_or_unknown() {
        let rq = |total: u64| {
            format!(
                "dl_rq[0]:\n  .dl_nr_running : 0\n  .dl_bw->bw     : 996147\n  .dl_bw->total_bw : {total}\n"
            )
        };
        assert_eq!(bandwidth((rq(104_857) + &rq(104_857)).as_bytes()), Some((996_147, 104_857)));
        assert_eq!(bandwidth((rq(0) + &rq(104_857)).as_bytes()), None, "two root domains");
        assert_eq!(bandwidth("".as_bytes()), None);
    }
}
