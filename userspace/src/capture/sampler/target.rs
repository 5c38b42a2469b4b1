//! The other process of a call: who it runs as, whether it lets itself be looked at, and whether it descends from the
//! caller. What ptrace(2), kill(2) and their kin ask (kernel/ptrace.c, security/yama/yama_lsm.c, kernel/signal.c).

use super::{Look, Sampled};
use crate::limits::read::Root;
use crate::model::{Errno, Fact, Failure, State};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// (calls, the argument that names the process).
const CALLS: &[(&[&str], &str)] = &[
    (&["ptrace", "kill", "process_vm_readv", "process_vm_writev", "sched_setaffinity"], "pid"),
    (&["tgkill"], "tgid"),
    (&["tkill"], "tid"),
    (&["kcmp"], "pid1"),
    (&["rt_sigqueueinfo", "rt_tgsigqueueinfo"], "tgid"),
];

/// Generations looked up at most.
const MOST_PARENTS: usize = 64;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if ![Errno::EPERM, Errno::EACCES].contains(&look.errno) {
        return;
    }
    let Some((_, arg)) = CALLS.iter().find(|(calls, _)| calls.contains(&look.call)) else { return };
    let Some(number) = failure.number_arg(arg) else { return };
    let Some(pid) = global(look.root, failure, number as u32) else { return };
    let mut notes = notes(look.root, pid, number as u32, failure.task.pid);
    let after_ns = look.after(failure);
    notes.iter_mut().for_each(|note| note.after_ns = after_ns);
    out.facts.extend(notes.into_iter().map(Fact::State));
}

/// The process as diag numbers it. A caller in another pid namespace counts on its own: the number is then looked for
/// among the numbers of processes in that namespace, and taken only if it is the only one.
fn global(root: &Root, failure: &Failure, number: u32) -> Option<u32> {
    let namespace = |pid: &str| fs::read_link(root.join(format!("proc/{pid}/ns/pid"))).ok();
    let theirs = namespace(&failure.task.tid.to_string())?;
    if Some(&theirs) == namespace("self").as_ref() {
        return Some(number);
    }
    let mut found = None;
    for entry in fs::read_dir(root.join("proc")).ok()?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let status = fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let last =
            status.lines().find_map(|l| l.strip_prefix("NSpid:")).and_then(|l| l.split_whitespace().last());
        if last.and_then(|n| n.parse().ok()) == Some(number)
            && namespace(&pid.to_string()).as_ref() == Some(&theirs)
        {
            found = match found {
                None => Some(pid),
                Some(_) => return None,
            };
        }
    }
    found
}

fn notes(root: &Root, pid: u32, number: u32, caller: u32) -> Vec<State> {
    let at = root.join(format!("proc/{pid}"));
    let Ok(status) = fs::read_to_string(at.join("status")) else { return Vec::new() };
    let field =
        |name: &str| status.lines().find_map(|l| l.strip_prefix(name)).map(str::trim).unwrap_or_default();
    let uids: Vec<&str> = field("Uid:").split_whitespace().collect();
    let mut out = Vec::new();
    let mut note = |name: &str, value: String| {
        out.push(State {
            name: name.into(),
            of: format!("process {number} ({})", field("Name:")),
            value,
            source: at.join("status").display().to_string(),
            after_ns: 0,
        });
    };
    note("target user", uids.iter().take(3).copied().collect::<Vec<_>>().join(" "));
    note("target permitted", field("CapPrm:").to_owned());
    note("target tracer", field("TracerPid:").to_owned());
    note("target kernel thread", yes(field("Kthread:") == "1" || field("VmSize:").is_empty()));
    // The folder belongs to the process's user, but to root where the process is not dumpable (`task_dump_owner()`).
    if let (Ok(folder), Some(euid)) = (fs::metadata(at.join("mem")), uids.get(1)) {
        note("target dumpable", yes(folder.uid().to_string() == *euid));
    }
    note("target descends", yes(descends(root, pid, caller)));
    out
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

fn descends(root: &Root, mut pid: u32, ancestor: u32) -> bool {
    for _ in 0..MOST_PARENTS {
        if pid == ancestor {
            return true;
        }
        let status = fs::read_to_string(root.join(format!("proc/{pid}/status"))).unwrap_or_default();
        let parent = status.lines().find_map(|l| l.strip_prefix("PPid:")).and_then(|p| p.trim().parse().ok());
        match parent {
            Some(parent) if parent > 0 => pid = parent,
            _ => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_and_its_ancestors() {
        let dir = tempfile::tempdir().unwrap();
        for (pid, parent) in [(9, 7), (7, 1), (1, 0)] {
            let at = dir.path().join(format!("proc/{pid}"));
            fs::create_dir_all(&at).unwrap();
            let text = format!(
                "Name:\tp{pid}\nPPid:\t{parent}\nTracerPid:\t0\nUid:\t5\t6\t7\t8\nVmSize:\t9 kB\nCapPrm:\t00\n"
            );
            fs::write(at.join("status"), text).unwrap();
        }
        let root = Root::at(dir.path());
        assert!(descends(&root, 9, 7) && descends(&root, 9, 1) && !descends(&root, 7, 9));
        let all = notes(&root, 9, 3, 7);
        let value = |name: &str| all.iter().find(|s| s.name == name).map(|s| s.value.as_str());
        assert_eq!(value("target user"), Some("5 6 7"));
        assert_eq!(value("target kernel thread"), Some("no"));
        assert_eq!(all[0].of, "process 3 (p9)");
    }
}
