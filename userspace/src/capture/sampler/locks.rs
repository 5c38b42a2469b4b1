//! Who holds the lock that a task did not get: /proc/locks, and for locks that belong to an open file the processes that
//! have it open.
//!
//! `lock_get_status()` in fs/locks.c writes a line per lock: its kind, its type, the process that took it (-1 where the
//! lock belongs to the open file), and the file as device and inode, in the kernel's own numbers.

use super::{Look, Sampled, file_system::own};
use crate::limits::read::Root;
use crate::model::{Errno, Fact, Failure, State};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Holders named, and processes looked at for those that only have the file open.
const MOST: usize = 3;
const MOST_PROCESSES: usize = 4096;

/// F_SETLK, F_OFD_SETLK (linux/fcntl.h); the waiting forms say EAGAIN never.
const SET: &[u64] = &[6, 37];

/// F_SETLEASE.
const SETLEASE: u64 = 1024;

/// A line of /proc/locks.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Held {
    kind: String,
    write: bool,
    pid: Option<u32>,
    device: (u32, u32),
    inode: u64,
}

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let lease = matches!(look.call, "fcntl" | "fcntl64") && failure.number_arg("op") == Some(SETLEASE);
    let record = match look.call {
        "flock" => false,
        _ if lease => false,
        "fcntl" | "fcntl64" if failure.number_arg("op").is_some_and(|op| SET.contains(&op)) => true,
        _ => return,
    };
    if ![Errno::EAGAIN, Errno::EACCES].contains(&look.errno) {
        return;
    }
    let Some(fd) = failure.number_arg("fd").map(|raw| raw as u32 as i32) else { return };
    let Some(task) = own(&look.view, &failure.task) else { return };
    let link = task.join(format!("fd/{fd}"));
    let Ok(path) = fs::read_link(&link).map(|p| p.to_string_lossy().into_owned()) else { return };
    let seen = fs::metadata(&link).ok();
    if lease {
        return out.facts.push(open_elsewhere(look, failure, path, seen.as_ref()));
    }
    let Some((device, inode)) = file(failure, seen.as_ref()) else { return };
    let text = fs::read_to_string(look.root.join("proc/locks")).unwrap_or_default();
    // A file may have a lock for each of its pages, all of one process: who that is, is looked up once.
    let mut asked = Vec::new();
    let mut holders = Vec::new();
    for lock in text.lines().filter_map(parse).filter(|l| (l.device, l.inode) == (device, inode)) {
        let same_kind = (lock.kind != "FLOCK") == record;
        if !same_kind || holders.len() == MOST || asked.contains(&(lock.write, lock.pid)) {
            continue;
        }
        asked.push((lock.write, lock.pid));
        let who = holder(look.root, lock.pid, seen.as_ref(), failure.task.pid);
        let what = if lock.write { "exclusive" } else { "shared" };
        let words = format!("{what} lock of {who}");
        if !holders.contains(&words) {
            holders.push(words);
        }
    }
    let value = if holders.is_empty() { "none".into() } else { holders.join(", ") };
    let after_ns = look.after(failure);
    let state = State { name: "lock holder".into(), of: path, value, source: "/proc/locks".into(), after_ns };
    out.facts.push(Fact::State(state));
}

/// A lease stands against every other way in which the file is open (`check_conflicting_open()`, fs/locks.c).
fn open_elsewhere(look: &Look<'_>, failure: &Failure, of: String, seen: Option<&fs::Metadata>) -> Fact {
    let value = holder(look.root, None, seen, failure.task.pid);
    let after_ns = look.after(failure);
    Fact::State(State { name: "file open by".into(), of, value, source: "/proc/PID/fd".into(), after_ns })
}

/// As the kernel numbers it, where the probe saw that: stat(2) of some file systems shows other numbers.
fn file(failure: &Failure, seen: Option<&fs::Metadata>) -> Option<((u32, u32), u64)> {
    if let Some(file) = failure.file() {
        let (major, minor) = file.device.split_once(':')?;
        return Some(((major.parse().ok()?, minor.parse().ok()?), file.inode));
    }
    let seen = seen?;
    Some(((libc::major(seen.dev()), libc::minor(seen.dev())), seen.ino()))
}

/// `1: POSIX  ADVISORY  WRITE 1234 08:01:123456 0 EOF`; those that wait have an arrow behind the number.
fn parse(line: &str) -> Option<Held> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let (kind, write) = (words.get(1)?, words.get(3)?);
    if *kind == "->" {
        return None;
    }
    let mut place = words.get(5)?.split(':');
    let mut hex = || u32::from_str_radix(place.next()?, 16).ok();
    let device = (hex()?, hex()?);
    Some(Held {
        kind: (*kind).into(),
        write: *write == "WRITE",
        pid: words.get(4)?.parse().ok(),
        device,
        inode: words.get(5)?.rsplit(':').next()?.parse().ok()?,
    })
}

/// The process that took it; when that is gone, or the lock is the open file's, whoever else has the file open.
fn holder(root: &Root, pid: Option<u32>, seen: Option<&fs::Metadata>, failing: u32) -> String {
    let name = |dir: &Path| fs::read_to_string(dir.join("comm")).map(|comm| comm.trim().to_owned());
    if let Some(pid) = pid
        && let Ok(comm) = name(&root.join(format!("proc/{pid}")))
    {
        return format!("{comm} (pid {pid})");
    }
    let unknown = || "a process that is gone, or not to be seen from here".to_string();
    let Some(seen) = seen else { return unknown() };
    let same = |path: &Path| fs::metadata(path).is_ok_and(|m| (m.dev(), m.ino()) == (seen.dev(), seen.ino()));
    let mut open = Vec::new();
    for entry in fs::read_dir(root.join("proc")).into_iter().flatten().flatten().take(MOST_PROCESSES) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let all = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        if pid != std::process::id() && all.into_iter().any(|fd| same(&fd.path())) {
            open.push(format!("{} (pid {pid})", name(&entry.path()).unwrap_or_default()));
        }
    }
    // The failing process has it open, too; alone it holds the lock by another descriptor.
    if open.len() > 1 {
        open.retain(|who| !who.ends_with(&format!("(pid {failing})")));
    }
    open.truncate(MOST);
    if open.is_empty() { unknown() } else { open.join(" or ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_locks() {
        let held = parse("3: POSIX  ADVISORY  WRITE 42 fd:01:77 0 EOF").unwrap();
        assert_eq!((held.kind.as_str(), held.write, held.pid), ("POSIX", true, Some(42)));
        assert_eq!((held.device, held.inode), ((0xfd, 1), 77));
        let open = parse("4: OFDLCK ADVISORY  READ -1 00:2a:9 0 EOF").unwrap();
        assert_eq!((open.write, open.pid), (false, None));
        assert_eq!(parse("4: -> FLOCK ADVISORY  WRITE 43 fd:01:77 0 EOF"), None, "it waits itself");
        assert_eq!(parse(""), None);
    }

    #[test]
    fn who_took_it_or_has_it_open() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/7/fd")).unwrap();
        fs::write(dir.path().join("proc/7/comm"), "mysqld\n").unwrap();
        let file = dir.path().join("ibdata1");
        fs::write(&file, "").unwrap();
        std::os::unix::fs::symlink(&file, dir.path().join("proc/7/fd/3")).unwrap();
        let (root, seen) = (Root::at(dir.path()), fs::metadata(&file).unwrap());
        assert_eq!(holder(&root, Some(7), None, 1), "mysqld (pid 7)");
        assert_eq!(holder(&root, None, Some(&seen), 1), "mysqld (pid 7)");
        assert!(holder(&root, Some(8), None, 1).contains("gone"));
    }
}
