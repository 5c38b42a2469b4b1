//! What the machine has, of what cgroups hand out: processors, nodes, disks, resources, numbers of memory cgroups.

use crate::capture::sampler::Look;
use crate::limits::cgroups::MEMORY_IDS;
use crate::model::{Errno, Failure, Reading, State, Taken, keyed};
use std::fs;

/// States that the value of a file is held against. They are the machine's, so they are there when the cgroup is gone.
pub(super) fn known(look: &Look<'_>, failure: &Failure, name: &str) -> Vec<State> {
    let state = |name: &str, of: &str, value: String, source: String| State {
        name: name.into(),
        of: of.into(),
        value,
        source,
        after_ns: look.after(failure),
    };
    let mut out = Vec::new();
    let text = failure.text_arg("written").unwrap_or_default().trim();
    if name == "misc.max" {
        let file = "sys/fs/cgroup/misc.capacity";
        if let Ok(text) = fs::read_to_string(look.root.join(file)) {
            out.push(state("misc.capacity", "the root", text.trim().into(), format!("/{file}")));
        }
    }
    if name.starts_with("io.") || name.starts_with("blkio.") {
        let device = text.split_whitespace().next().unwrap_or_default();
        let whole =
            device.split_once(':').is_some_and(|(a, b)| a.parse::<u32>().is_ok() && b.parse::<u32>().is_ok());
        let at = look.root.join(format!("sys/dev/block/{device}"));
        if whole && look.root.join("sys/dev/block").exists() {
            let value = match (at.exists(), at.join("partition").exists()) {
                (false, _) => "not there",
                (true, true) => "partition",
                (true, false) => "disk",
            };
            out.push(state("block device", device, value.into(), format!("/sys/dev/block/{device}")));
        }
    }
    for (files, what, folder) in
        [("cpuset.cpus", State::PROCESSORS, "cpu"), ("cpuset.mems", State::MEMORY_NODES, "node")]
    {
        if name.starts_with(files) {
            let file = format!("sys/devices/system/{folder}/possible");
            // A kernel without NUMA has one node, and no file that says so.
            let all = fs::read_to_string(look.root.join(&file)).unwrap_or_else(|_| "0".into());
            out.push(state(what, "the machine", all.trim().into(), format!("/{file}")));
        }
    }
    out
}

/// Memory cgroups of the machine, the dying ones with them: their numbers are 16 bits wide.
pub(super) fn memory_ids(look: &Look<'_>) -> Option<Reading> {
    let suspect = [Errno::ENOSPC, Errno::EBUSY, Errno::ENOMEM];
    if !suspect.contains(&look.errno) || !matches!(look.call, "mkdir" | "mkdirat") {
        return None;
    }
    let stat = fs::read_to_string(look.root.join("sys/fs/cgroup/cgroup.stat")).unwrap_or_default();
    let cgroups = fs::read_to_string(look.root.join("proc/cgroups")).unwrap_or_default();
    let row = cgroups.lines().find_map(|l| l.strip_prefix("memory\t"));
    let living = keyed(&stat, "nr_subsys_memory").or_else(|| row?.split('\t').nth(1)?.parse().ok())?;
    let dying = keyed(&stat, "nr_dying_subsys_memory").or_else(|| keyed(&stat, "nr_dying_descendants"));
    Some(Reading {
        limit: MEMORY_IDS.id.into(),
        scope: "the machine".into(),
        ceiling: look.root.ceiling(&MEMORY_IDS).ok(),
        usage: Some(living + dying.unwrap_or(0)),
        adds: Some(1),
        hits: None,
        unit: MEMORY_IDS.unit.into(),
        taken: Taken::After { ns: 0 },
        source: "/proc/cgroups, cgroup.stat of the root".into(),
    })
}
