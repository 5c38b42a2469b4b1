//! What a container uses at the moment, and a stop for all of it: `stats`, `pause`, `unpause`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::{Cgroup, Group, Kind, write};
use crate::error::StepError;
use crate::steps::Step;

/// How long a group may take to come to a stop: a process in uninterruptible sleep stops when it wakes.
const PATIENCE: Duration = Duration::from_secs(10);
/// v1 spells "no limit" as the largest multiple of a page, and any such number means it.
const V1_UNLIMITED: u64 = 1 << 62;

/// What a container uses, as its cgroups count it. `None` where the controller is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of memory charged, page cache included: `memory.current`, on v1 `memory.usage_in_bytes`.
    pub memory_bytes: Option<u64>,
    /// Its limit; `None` for no limit.
    pub memory_limit_bytes: Option<u64>,
    /// Tasks, that is processes and threads: `pids.current`.
    pub tasks: Option<u64>,
    /// Their limit; `None` for no limit.
    pub tasks_limit: Option<u64>,
    /// CPU time since the start, in nanoseconds: `cpu.stat`, on v1 `cpuacct.usage`.
    pub cpu_ns: Option<u64>,
}

impl Cgroup {
    /// Read the counters.
    pub(crate) fn usage(&self) -> Usage {
        // A controller is in one hierarchy only, so the first group that has the file is the one that counts.
        let first = |files: &[&str]| {
            let paths = self.groups.iter().flat_map(|group| files.iter().map(|file| group.path.join(file)));
            paths.filter_map(|path| fs::read_to_string(path).ok()).find_map(|text| text.trim().parse().ok())
        };
        let limit = |files: &[&str]| first(files).filter(|limit: &u64| *limit < V1_UNLIMITED);
        // Every v2 group has this line, also where the controller is on v1.
        let microseconds = self.groups.iter().find_map(|group| {
            let text = fs::read_to_string(group.path.join("cpu.stat")).ok()?;
            text.lines().find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse::<u64>().ok())
        });
        Usage {
            memory_bytes: first(&["memory.current", "memory.usage_in_bytes"]),
            memory_limit_bytes: limit(&["memory.max", "memory.limit_in_bytes"]),
            tasks: first(&["pids.current"]),
            tasks_limit: limit(&["pids.max"]),
            cpu_ns: microseconds.map(|us| us.saturating_mul(1000)).or_else(|| first(&["cpuacct.usage"])),
        }
    }

    /// Whether all its processes are stopped by [`Cgroup::freeze`].
    pub(crate) fn is_frozen(&self) -> bool {
        self.unified().is_some_and(|group| frozen(&group.path) == Some(true))
    }

    /// Step "freeze container": `cgroup.freeze`, which every v2 group has (kernel ≥ 5.2). Returns once all of it
    /// stands still, or goes on.
    pub(crate) fn freeze(&self, freeze: bool) -> Result<(), StepError> {
        let Some(group) = self.unified() else {
            let object =
                "cgroup.freeze: the container has no group in a cgroup v2, and the v1 freezer is not used";
            return Err(StepError::here(Step::FreezeContainer, "openat", object, Errno::ENOENT));
        };
        write(Step::FreezeContainer, &group.path.join("cgroup.freeze"), if freeze { "1" } else { "0" })?;
        let deadline = Instant::now() + PATIENCE;
        while frozen(&group.path) != Some(freeze) {
            if Instant::now() > deadline {
                let object = group.path.join("cgroup.events");
                return Err(StepError::here(
                    Step::FreezeContainer,
                    "read",
                    object.display(),
                    Errno::ETIMEDOUT,
                ));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    fn unified(&self) -> Option<&Group> {
        self.groups.iter().find(|group| group.kind == Kind::V2)
    }
}

fn frozen(group: &Path) -> Option<bool> {
    let text = fs::read_to_string(group.join("cgroup.events")).ok()?;
    text.lines().find_map(|line| line.strip_prefix("frozen ")).map(|value| value.trim() == "1")
}
