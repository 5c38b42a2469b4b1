//! What holds processes back without refusing anything: a frozen cgroup, memory.high, cpu.max.
//!
//! Nothing fails then, so nothing can be hooked: the counters that the kernel keeps for this are looked at now and
//! then, for the cgroups of one command's processes only.

use super::clock;
use super::sampler::{frozen, hierarchies};
use crate::limits::memory::{CPU_MAX, MEMORY_HIGH};
use crate::limits::read::Root;
use crate::model::{Failure, FailureKind, Reading, Stamp, Taken, Task, keyed};
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Processes of the tree that are looked at.
const MOST: usize = 128;
/// How long a cgroup must be held back before it is told, in nanoseconds, and which part of the time.
const LEAST_NS: u64 = 300_000_000;
const PART: u64 = 4;

/// Counters of one cgroup when it was first seen.
#[derive(Debug, Clone, Copy, Default)]
struct Counters {
    at_ns: u64,
    high: u64,
    /// Microseconds in which somebody waited for memory, or had no processor time left.
    memory_us: u64,
    throttled: u64,
    throttled_us: u64,
}

/// What was seen so far of one tree.
#[derive(Debug)]
pub struct Stalls {
    pid: u32,
    started_unix_ns: i64,
    first: HashMap<PathBuf, Counters>,
    told: HashSet<(PathBuf, &'static str)>,
}

impl Stalls {
    /// Of the tree below this process.
    pub fn new(pid: u32) -> Self {
        Self { pid, started_unix_ns: clock::now().unix_ns, first: HashMap::new(), told: HashSet::new() }
    }

    /// Looks once, and returns what is new.
    pub fn look(&mut self, root: &Root) -> Vec<Failure> {
        let mut out = Vec::new();
        for pid in tree(root, self.pid) {
            self.frozen(root, pid, &mut out);
            if let Some(folder) = hierarchies::v2(root, pid) {
                self.held_back(root, pid, &folder, &mut out);
            }
        }
        out
    }

    fn frozen(&mut self, root: &Root, pid: u32, out: &mut Vec<Failure>) {
        let Some((file, value)) = frozen::of_process(root, pid, false) else { return };
        if self.told.insert((file.clone(), "frozen")) {
            let mut failure = failure(root, pid, format!("processes wait: the cgroup is frozen ({value})"));
            failure.readings.push(Reading { scope: file.display().to_string(), ..plain("freezer state") });
            out.push(failure);
        }
    }

    fn held_back(&mut self, root: &Root, pid: u32, folder: &Path, out: &mut Vec<Failure>) {
        let now = counters(folder);
        let began = self.started_unix_ns;
        // A cgroup that was made while watching had no history.
        let first = *self.first.entry(folder.to_path_buf()).or_insert_with(|| match is_new(folder, began) {
            true => Counters { at_ns: now.at_ns, ..Counters::default() },
            false => now,
        });
        let elapsed = now.at_ns.saturating_sub(first.at_ns).max(1);
        let long = |us: u64| us * 1000 >= LEAST_NS && us * 1000 * PART >= elapsed;
        let memory = now.memory_us.saturating_sub(first.memory_us);
        let high = now.high.saturating_sub(first.high);
        if high > 0 && long(memory) && self.told.insert((folder.to_path_buf(), "memory.high")) {
            let what = format!(
                "processes waited {} ms for memory: memory.high of their cgroup is passed",
                memory / 1000
            );
            let mut failure = failure(root, pid, what);
            failure.readings.extend(memory_high(folder, high));
            out.push(failure);
        }
        let throttled = now.throttled_us.saturating_sub(first.throttled_us);
        let times = now.throttled.saturating_sub(first.throttled);
        if times > 0 && long(throttled) && self.told.insert((folder.to_path_buf(), "cpu.max")) {
            let what = format!(
                "processes had no processor time for {} ms: cpu.max of their cgroup is used up",
                throttled / 1000
            );
            let mut failure = failure(root, pid, what);
            failure.readings.extend(cpu_max(folder, times));
            out.push(failure);
        }
    }
}

fn plain(limit: &str) -> Reading {
    Reading {
        limit: limit.into(),
        scope: String::new(),
        ceiling: None,
        usage: None,
        adds: None,
        hits: None,
        unit: String::new(),
        taken: Taken::AtInstant,
        source: String::new(),
    }
}

fn counters(folder: &Path) -> Counters {
    let read = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
    let stat = read("cpu.stat");
    Counters {
        at_ns: clock::mono_ns(),
        high: keyed(&read("memory.events"), "high").unwrap_or(0),
        memory_us: total(&read("memory.pressure"), "some").unwrap_or(0),
        throttled: keyed(&stat, "nr_throttled").unwrap_or(0),
        throttled_us: keyed(&stat, "throttled_usec").unwrap_or(0),
    }
}

/// The sum in a line of a pressure file: `some avg10=0.00 … total=1234`.
fn total(text: &str, line: &str) -> Option<u64> {
    text.lines().find_map(|l| l.strip_prefix(line)?.split_once("total=")?.1.trim().parse().ok())
}

fn is_new(folder: &Path, began_unix_ns: i64) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(folder).is_ok_and(|m| m.ctime() * 1_000_000_000 + m.ctime_nsec() >= began_unix_ns)
}

fn memory_high(folder: &Path, hits: u64) -> Option<Reading> {
    let number = |file: &str| fs::read_to_string(folder.join(file)).ok()?.trim().parse::<u64>().ok();
    // The limit may be one of a cgroup above.
    let (at, ceiling) = folder.ancestors().find_map(|at| {
        let text = fs::read_to_string(at.join("memory.high")).ok()?;
        Some((at, text.trim().parse::<u64>().ok()?))
    })?;
    let usage = if at == folder { number("memory.current") } else { None };
    Some(Reading {
        scope: at.display().to_string(),
        ceiling: Some(ceiling),
        usage,
        hits: Some(hits),
        unit: MEMORY_HIGH.unit.into(),
        source: at.join("memory.high").display().to_string(),
        ..plain(MEMORY_HIGH.id)
    })
}

fn cpu_max(folder: &Path, hits: u64) -> Option<Reading> {
    let (at, quota) = folder.ancestors().find_map(|at| {
        let text = fs::read_to_string(at.join("cpu.max")).ok()?;
        Some((at, text.split_whitespace().next()?.parse::<u64>().ok()?))
    })?;
    Some(Reading {
        scope: at.display().to_string(),
        ceiling: Some(quota),
        usage: Some(quota),
        hits: Some(hits),
        unit: CPU_MAX.unit.into(),
        source: at.join("cpu.max").display().to_string(),
        ..plain(CPU_MAX.id)
    })
}

fn failure(root: &Root, pid: u32, what: String) -> Failure {
    let comm =
        fs::read_to_string(root.join(format!("proc/{pid}/comm"))).unwrap_or_default().trim().to_string();
    let now = clock::now();
    Failure {
        time: Stamp { mono_ns: now.mono_ns, unix_ns: now.unix_ns },
        task: Task { pid, tid: pid, comm, ..Task::default() },
        kind: FailureKind::Stall { what },
        readings: vec![],
    }
}

/// A process and all below it (proc_pid_task_tid_children(5)).
fn tree(root: &Root, top: u32) -> Vec<u32> {
    let mut all = vec![top];
    let mut at = 0;
    while at < all.len() && all.len() < MOST {
        let pid = all[at];
        let text =
            fs::read_to_string(root.join(format!("proc/{pid}/task/{pid}/children"))).unwrap_or_default();
        all.extend(text.split_whitespace().filter_map(|p| p.parse::<u32>().ok()));
        at += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_has_its_sum_at_the_end() {
        assert_eq!(
            total("some avg10=1.00 avg60=0 avg300=0 total=77\nfull avg10=0 total=5\n", "full"),
            Some(5)
        );
        assert_eq!(total("", "some"), None);
    }

    #[test]
    fn a_cgroup_that_is_held_back_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let at = |rel: &str| dir.path().join(rel);
        for folder in ["proc/7/root", "proc/self", "proc/7/task/7", "c/a"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("proc/7/cgroup"), "0::/a\n").unwrap();
        fs::write(at("proc/self/mountinfo"), "30 1 0:20 / /c rw - cgroup2 c rw\n").unwrap();
        for (file, text) in
            [("memory.high", "4096\n"), ("memory.current", "9000\n"), ("memory.events", "high 0\n")]
        {
            fs::write(at("c/a").join(file), text).unwrap();
        }
        let root = Root::at(dir.path());
        let mut stalls = Stalls::new(7);
        assert!(stalls.look(&root).is_empty());
        fs::write(at("c/a/memory.events"), "high 9\n").unwrap();
        fs::write(at("c/a/memory.pressure"), "some avg10=90 total=5000000\n").unwrap();
        let told = stalls.look(&root);
        assert_eq!(told.len(), 1);
        assert_eq!((told[0].readings[0].hits, told[0].readings[0].ceiling), (Some(9), Some(4096)));
        assert!(stalls.look(&root).is_empty(), "once");
    }
}
