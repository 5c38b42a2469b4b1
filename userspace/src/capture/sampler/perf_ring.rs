//! The ring of a perf event that could not be mapped: what its pages are held against.

use super::{Look, Sampled};
use crate::limits::commit::PERF_RING;
use crate::limits::owners::soft_limit;
use crate::limits::read::Root;
use crate::model::{Errno, Fact, Failure, Reading, State, Taken, number_list};
use std::fs;

/// The names under which the probe reads `user_struct.locked_vm` and `mm_struct.pinned_vm`, in pages.
pub(in crate::capture) const OF_USER: &str = "pages of rings of the user";
pub(in crate::capture) const OF_PROCESS: &str = "pinned pages of the process";

const PAGE_KIB: u64 = 4;
const PARANOID: &str = "kernel.perf_event_paranoid";

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.errno != Errno::EPERM || !matches!(look.call, "mmap" | "mmap2") || !of_perf(look.root, failure) {
        return;
    }
    let source = format!("/proc/sys/{}", PARANOID.replace('.', "/"));
    let value = fs::read_to_string(look.root.join(&source)).map(|text| text.trim().to_owned());
    out.facts.extend(value.ok().map(|value| {
        Fact::State(State {
            name: PARANOID.into(),
            of: String::new(),
            value,
            source,
            after_ns: look.after(failure),
        })
    }));
    out.readings.extend(reading(look.root, failure));
}

/// Whether the descriptor is a perf event's.
fn of_perf(root: &Root, failure: &Failure) -> bool {
    let Some(fd) = failure.number_arg("fd").map(|raw| raw as u32 as i32) else { return false };
    let link = fs::read_link(root.join(format!("proc/{}/fd/{fd}", failure.task.tid)));
    link.is_ok_and(|link| link.to_str() == Some("anon_inode:[perf_event]"))
}

/// `perf_mmap()` (kernel/events/core.c): first the user's pages count against `perf_event_mlock_kb` for each processor;
/// what goes beyond, against RLIMIT_MEMLOCK with what the process has pinned. Together that is one sum and one ceiling.
fn reading(root: &Root, failure: &Failure) -> Option<Reading> {
    let probed = |name: &str| {
        failure.readings.iter().find(|r| r.limit == name && r.ceiling.is_none()).and_then(|r| r.usage)
    };
    let (of_user, of_process) = (probed(OF_USER)? * PAGE_KIB, probed(OF_PROCESS)? * PAGE_KIB);
    let free = root.ceiling(&PERF_RING).ok()? / PAGE_KIB * PAGE_KIB * processors(root)?;
    let locked = soft_limit(root, failure.task.tid, "Max locked memory")?;
    let pages = failure.number_arg("length")?.div_ceil(PAGE_KIB * 1024);
    Some(Reading {
        limit: PERF_RING.id.into(),
        scope: format!("user {}", failure.task.uid),
        ceiling: Some(free.saturating_add(locked / 1024 / PAGE_KIB * PAGE_KIB)),
        usage: Some(of_user.min(free) + of_process),
        adds: Some(pages * PAGE_KIB),
        hits: None,
        unit: PERF_RING.unit.into(),
        taken: Taken::AtInstant,
        source: format!(
            "user_struct.locked_vm, mm_struct.pinned_vm; the ceiling, read later, is {free} KiB of {} and RLIMIT_MEMLOCK",
            PERF_RING.path()
        ),
    })
}

/// Those that are online: `0-3,5`.
fn processors(root: &Root) -> Option<u64> {
    let text = fs::read_to_string(root.join("sys/devices/system/cpu/online")).ok()?;
    Some(number_list(&text)?.len() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::cgroups::Names;
    use crate::capture::sampler::sample;
    use crate::model::{Abi, Arg, ArgValue, FailureKind, Stamp, Task};

    fn refused(length: u64) -> Failure {
        let arg = |name: &str, value| Arg { name: name.into(), value: ArgValue::Number(value) };
        let kind = FailureKind::Syscall {
            name: "mmap".into(),
            nr: 9,
            abi: Abi::Native,
            errno: Errno::EPERM,
            args: vec![arg("length", length), arg("fd", 3)],
        };
        let pages = |name: &str, usage| Reading {
            limit: name.into(),
            scope: String::new(),
            ceiling: None,
            usage: Some(usage),
            adds: None,
            hits: None,
            unit: String::new(),
            taken: Taken::AtInstant,
            source: String::new(),
        };
        let task = Task { pid: 7, tid: 7, uid: 1000, ..Task::default() };
        let readings = vec![pages(OF_USER, 200), pages(OF_PROCESS, 2)];
        Failure { time: Stamp::default(), task, kind, readings }
    }

    #[test]
    fn the_users_share_and_the_rlimit_are_one_ceiling() {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["proc/7/fd", "proc/sys/kernel", "sys/devices/system/cpu"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::os::unix::fs::symlink("anon_inode:[perf_event]", dir.path().join("proc/7/fd/3")).unwrap();
        for (file, text) in [
            ("proc/sys/kernel/perf_event_mlock_kb", "516\n"),
            ("proc/sys/kernel/perf_event_paranoid", "2\n"),
            ("proc/7/limits", "Max locked memory         65536                65536                bytes\n"),
            ("sys/devices/system/cpu/online", "0,2-3\n"),
        ] {
            fs::write(dir.path().join(file), text).unwrap();
        }
        let root = Root::at(dir.path());
        let mut failure = refused(33 * 4096);
        let sampled = sample(&root, &Names::default(), &mut failure);
        let r = sampled.readings.iter().find(|r| r.limit == PERF_RING.id).unwrap();
        assert_eq!((r.ceiling, r.usage, r.adds), (Some(3 * 516 + 64), Some(808), Some(132)));
        assert_eq!(r.exceeded(), Some(false));
        let sampled = sample(&root, &Names::default(), &mut refused(257 * 4096));
        let r = sampled.readings.iter().find(|r| r.limit == PERF_RING.id).unwrap();
        assert_eq!(r.exceeded(), Some(true));
        fs::remove_file(dir.path().join("proc/7/fd/3")).unwrap();
        let sampled = sample(&root, &Names::default(), &mut refused(257 * 4096));
        assert!(!sampled.readings.iter().any(|r| r.limit == PERF_RING.id), "another file");
    }
}
