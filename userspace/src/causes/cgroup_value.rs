//! A value that the cgroup's file does not take.

mod grammar;

use super::case::cgroups::{self, CALLERS, Write};
use super::case::claim::{cite_state, knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, State};

const ERRNOS: &[Errno] =
    &[Errno::EINVAL, Errno(libc::ERANGE), Errno(libc::ENODEV), Errno(libc::EOVERFLOW), Errno(libc::E2BIG)];

/// Parsers and the files' own functions: each says so only to the text it was given.
const DECIDERS: &[&str] = &[
    "blkg_conf_open_bdev",
    "blkcg_conf_open_bdev",
    "blkcg_conf_get_disk",
    "blkg_conf_prep",
    "tg_set_limit",
    "tg_set_conf",
    "iolatency_set_limit",
    "misc_cg_max_write",
    "rdmacg_resource_set_max",
    "pids_max_write",
    "cpu_max_write",
    "cpu_weight_write_u64",
    "cpu_weight_nice_write_s64",
    "cpu_cfs_quota_write_s64",
    "cpu_rt_runtime_write",
    "tg_set_cfs_bandwidth",
    "tg_set_rt_bandwidth",
    "memory_max_write",
    "memory_high_write",
    "memory_low_write",
    "memory_min_write",
    "memory_oom_group_write",
    "mem_cgroup_write",
    "swap_max_write",
    "page_counter_memparse",
    "hugetlb_cgroup_write",
    "cgroup_freeze_write",
    "cgroup_kill_write",
    "cgroup_type_write",
    "cgroup_max_depth_write",
    "cgroup_max_descendants_write",
    "cpuset_write_resmask",
    "update_nodemask",
    "update_cpumask",
    "nodelist_parse",
    "cpulist_parse",
    "bitmap_parselist",
    "cpuset_partition_write",
    "sched_partition_write",
    "freezer_write",
    "devcgroup_update_access",
    "devcgroup_access_write",
];

/// Their own causes speak of these.
const OTHERS: &[&str] = &["cgroup.procs", "cgroup.threads", "tasks", "cgroup.subtree_control"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-value",
    title: "the cgroup's file does not take this value",
    about: "\
A write to a cgroup's file fails with EINVAL, ERANGE or ENODEV: each controller reads the text with a parser of its own.
io.max wants MAJOR:MINOR of a whole disk (a partition or no disk at all: ENODEV), cpu.max at least a millisecond of quota
in a period of a millisecond to a second, cpu.weight 1 to 10000 (ERANGE), pids.max no -1 (the word is max),
cpuset.cpus and cpuset.mems only what the machine has, misc.max only resources that misc.capacity of the root lists,
cpu.rt_runtime_us no more than the cgroup above has left.

It surprises because engines pass values of a configuration through (or convert those of v1: shares to weight, -1 to max),
and report only \"write …: invalid argument\"; and because a number that is right on another machine (a device, a
processor, a memory node) is wrong here.",
    shows_as: &[("write", "EINVAL"), ("write", "ERANGE"), ("write", "ENODEV"), ("write", "EOVERFLOW")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "writes a word where a number is wanted",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["words"],
    },
    see: &["https://docs.kernel.org/admin-guide/cgroup-v2.html#conventions", "block/blk-cgroup.c: blkg_conf_open_bdev(); kernel/cgroup/misc.c: misc_cg_max_write()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let write = cgroups::write(case, ERRNOS).filter(|w| !OTHERS.contains(&w.file) && w.file.contains('.'))?;
    let (_, errno) = case.failure().syscall()?;
    if errno == Errno(libc::ENODEV)
        && !["io.", "blkio.", "rdma.", "dmem."].iter().any(|begin| write.file.starts_with(begin))
    {
        return None;
    }
    let text = write.text.filter(|t| !t.ends_with('…'));
    let why = text
        .and_then(|t| grammar::wrong(write.file, t, has(case, write.file)))
        .or_else(|| missing(case, &write, text));
    let weighed = weigh(case, DECIDERS, CALLERS, why.as_ref().map(|_| true))?;
    let reason = why.unwrap_or_else(|| "the file's own function does not take it".into());
    let sentence = format!("{} of {} was not changed: {reason}.", write.file, write.place());
    let written = write.text.map(|t| format!("{:?} was written at that instant", t.trim()));
    let now = write.cgroup.and_then(|c| {
        Some(format!(
            "{} ms after it {}: {}",
            c.after_ns / 1_000_000,
            write.path(write.file),
            c.own(write.file)?.replace('\n', ", ")
        ))
    });
    let lines = written.into_iter().chain(now).chain(
        ["block device", "misc.capacity", State::PROCESSORS, State::MEMORY_NODES]
            .into_iter()
            .filter_map(|n| cite_state(case, n)),
    );
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Cgroup, write.file, write.path(write.file)))
            .because(lines),
    )
}

/// The processors or the memory nodes that the machine has, where the file is about such.
fn has<'a>(case: &'a Case<'_>, file: &str) -> Option<&'a str> {
    let what = match file {
        f if f.starts_with("cpuset.cpus") => State::PROCESSORS,
        f if f.starts_with("cpuset.mems") => State::MEMORY_NODES,
        _ => return None,
    };
    case.state(what).map(|state| state.value.as_str())
}

/// A device or a resource that this machine does not have.
fn missing(case: &Case<'_>, write: &Write<'_>, text: Option<&str>) -> Option<String> {
    if let Some(device) = case.state("block device") {
        return match device.value.as_str() {
            "not there" => Some(format!("the machine has no block device {}", device.of)),
            "partition" => Some(format!("{} is a partition, and only whole disks have limits", device.of)),
            _ => None,
        };
    }
    if write.file == "misc.max" {
        let name = text?.split_whitespace().next()?;
        let known = &case.state("misc.capacity")?.value;
        let there = known.lines().any(|l| l.split_whitespace().next() == Some(name));
        return (!there).then(|| {
            format!(
                "this machine has no resource {name:?} (misc.capacity: {})",
                if known.is_empty() { "empty" } else { known }
            )
        });
    }
    None
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (file, path) = (proof.knob.name.as_str(), &proof.knob.path);
    let hint = match file {
        f if f.starts_with("io.") || f.starts_with("blkio.") => {
            look("lsblk -d -o NAME,MAJ:MIN", "whole disks and their numbers")
        }
        f if f.starts_with("cpuset.") => {
            look("cat /sys/devices/system/cpu/online /sys/devices/system/node/online", "what the machine has")
        }
        "misc.max" => look("cat /sys/fs/cgroup/misc.capacity", "resources of this machine"),
        f if f.contains("rt_") => look(
            "grep . /sys/fs/cgroup/cpu/cpu.rt_runtime_us /sys/fs/cgroup/cpu/*/cpu.rt_runtime_us",
            "what all cgroups beside it have, out of what is above",
        ),
        _ => look(format!("cat {path}"), "the form in which the kernel shows its value is the one it takes"),
    };
    vec![
        hint,
        step(
            "now",
            format!("echo VALUE > {path}"),
            "with a value of that form; \"max\" is no limit",
            format!("echo the value before > {path}"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::wrote;
    use crate::causes::case::ids::testing::state;
    use crate::causes::case::testing::judge_with;
    use crate::model::{Confidence, Fact};

    #[test]
    fn the_text_and_the_machine_tell_why() {
        let i = wrote("io.max", "bad rbps=1", libc::EINVAL, &[("io.max", "")]);
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "io.max"));
        let mut i = wrote("misc.max", "sev 10", libc::EINVAL, &[("misc.max", "")]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        state(&mut i, "misc.capacity", "");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn processors_that_the_machine_has_not_are_told_when_the_cgroup_is_gone() {
        let mut i = wrote("cpuset.cpus", "900", libc::ERANGE, &[]);
        i.facts.retain(|fact| !matches!(fact, Fact::Cgroup(_)));
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        state(&mut i, State::PROCESSORS, "0-3");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        assert!(f.sentence.contains("900 is not among those the machine has (0-3)"), "{}", f.sentence);
    }

    #[test]
    fn a_value_that_is_right_has_another_reason() {
        let i = wrote("memory.max", "1048576", libc::EINVAL, &[("memory.max", "max")]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        assert!(judge_with(&CAUSE, &wrote("cgroup.procs", "x", libc::EINVAL, &[])).is_none());
        assert!(judge_with(&CAUSE, &wrote("cgroup.subtree_control", "+x", libc::EINVAL, &[])).is_none());
        assert!(judge_with(&CAUSE, &wrote("memory.max", "x", libc::EBUSY, &[])).is_none());
    }
}
