//! Usage that the kernel counts but does not show: found by looking at every process, per process or per user.

use super::{Holder, read::Root, system::fullest_first};
use std::collections::BTreeMap;
use std::{fs, io};

/// Processes that are looked at, at most.
const PROCESSES: usize = 65_536;

/// One living process.
pub struct Process {
    pub pid: u32,
    pub comm: String,
    pub uid: u32,
    status: String,
}

impl Process {
    /// A number of its status; kB are bytes.
    fn status(&self, name: &str) -> Option<u64> {
        let line = self.status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        let mut words = line.split_ascii_whitespace();
        let number: u64 = words.next()?.split('/').next()?.parse().ok()?;
        Some(if words.next() == Some("kB") { number * 1024 } else { number })
    }

    fn name(&self) -> String {
        format!("process {} ({})", self.pid, self.comm)
    }
}

/// Every process with an own number in `/proc`.
pub fn processes(root: &Root) -> io::Result<Vec<Process>> {
    let pids =
        fs::read_dir(root.join("proc"))?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Ok(pids.take(PROCESSES).filter_map(|pid| process(root, pid)).collect())
}

pub fn process(root: &Root, pid: u32) -> Option<Process> {
    let status = fs::read_to_string(root.join(format!("proc/{pid}/status"))).ok()?;
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let comm = of("Name:")?.to_owned();
    let uid = of("Uid:")?.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(Process { pid, comm, uid, status })
}

/// The soft limit of a line of `/proc/PID/limits`; `u64::MAX` for unlimited.
pub fn soft_limit(root: &Root, pid: u32, name: &str) -> Option<u64> {
    soft_in(&fs::read_to_string(root.join(format!("proc/{pid}/limits"))).ok()?, name)
}

/// The same of that file's text.
pub fn soft_in(limits: &str, name: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    match line.split_ascii_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

/// Usage of each process against its own soft limit.
fn per_process(root: &Root, limit: &str, usage: impl Fn(&Process) -> Option<u64>) -> io::Result<Vec<Holder>> {
    let all = processes(root)?;
    let mut found: Vec<Holder> = all
        .iter()
        .filter_map(|p| {
            Some(Holder { name: p.name(), usage: usage(p)?, ceiling: soft_limit(root, p.pid, limit) })
        })
        .collect();
    fullest_first(&mut found);
    Ok(found)
}

/// Entries of a folder, or lines of a file, of a process.
fn entries(root: &Root, pid: u32, what: &str) -> Option<u64> {
    Some(fs::read_dir(root.join(format!("proc/{pid}/{what}"))).ok()?.count() as u64)
}

pub fn descriptors(root: &Root) -> io::Result<Vec<Holder>> {
    per_process(root, "Max open files", |p| entries(root, p.pid, "fd"))
}

pub fn locked(root: &Root) -> io::Result<Vec<Holder>> {
    per_process(root, "Max locked memory", |p| p.status("VmLck"))
}

pub fn address_space(root: &Root) -> io::Result<Vec<Holder>> {
    per_process(root, "Max address space", |p| p.status("VmSize"))
}

pub fn data(root: &Root) -> io::Result<Vec<Holder>> {
    per_process(root, "Max data size", |p| p.status("VmData"))
}

/// Counted per user, and shown in the status of each of its processes.
pub fn signals(root: &Root) -> io::Result<Vec<Holder>> {
    per_process(root, "Max pending signals", |p| p.status("SigQ"))
}

pub fn mappings(root: &Root) -> io::Result<Vec<Holder>> {
    let most = root.number("proc/sys/vm/max_map_count")?;
    let lines = |pid: u32| {
        let text = fs::read(root.join(format!("proc/{pid}/maps"))).ok()?;
        Some(text.iter().filter(|byte| **byte == b'\n').count() as u64)
    };
    let all = processes(root)?;
    let mut found: Vec<Holder> = all
        .iter()
        .filter_map(|p| Some(Holder { name: p.name(), usage: lines(p.pid)?, ceiling: Some(most) }))
        .collect();
    fullest_first(&mut found);
    Ok(found)
}

/// Descriptors of one kind: who has them, and what each stands for.
pub struct Watcher {
    pub pid: u32,
    pub comm: String,
    pub uid: u32,
    /// Descriptors, and lines of their fdinfo that stand for one watch each.
    pub instances: u64,
    pub watches: u64,
}

/// Every process with descriptors of `kind` (`anon_inode:inotify`); `line` begins a watch in fdinfo
/// (proc_pid_fdinfo(5)). A descriptor that several processes share counts for each.
pub fn watchers(root: &Root, kind: &str, line: &str) -> io::Result<Vec<Watcher>> {
    let mut found = Vec::new();
    for p in processes(root)? {
        let Ok(folder) = fs::read_dir(root.join(format!("proc/{}/fd", p.pid))) else { continue };
        let (mut instances, mut watches) = (0, 0);
        for fd in folder.flatten() {
            let target = fs::read_link(fd.path()).unwrap_or_default();
            // `anon_inode:inotify` and `anon_inode:[fanotify]`.
            if target.to_string_lossy().replace(['[', ']'], "") != kind {
                continue;
            }
            instances += 1;
            let info = root.join(format!("proc/{}/fdinfo", p.pid)).join(fd.file_name());
            let text = fs::read_to_string(info).unwrap_or_default();
            watches += text.lines().filter(|l| l.starts_with(line)).count() as u64;
        }
        if instances > 0 {
            found.push(Watcher { pid: p.pid, comm: p.comm, uid: p.uid, instances, watches });
        }
    }
    Ok(found)
}

pub const INOTIFY: (&str, &str) = ("anon_inode:inotify", "inotify wd:");
pub const FANOTIFY: (&str, &str) = ("anon_inode:fanotify", "fanotify ");
pub const EPOLL: (&str, &str) = ("anon_inode:eventpoll", "tfd:");

fn per_user(
    root: &Root,
    kind: (&str, &str),
    file: &str,
    usage: fn(&Watcher) -> u64,
) -> io::Result<Vec<Holder>> {
    let most = root.number(file)?;
    let mut users: BTreeMap<u32, u64> = BTreeMap::new();
    for watcher in watchers(root, kind.0, kind.1)? {
        *users.entry(watcher.uid).or_default() += usage(&watcher);
    }
    let mut found: Vec<Holder> = users
        .into_iter()
        .map(|(uid, usage)| Holder { name: format!("user {uid}"), usage, ceiling: Some(most) })
        .collect();
    fullest_first(&mut found);
    Ok(found)
}

pub fn inotify_instances(root: &Root) -> io::Result<Vec<Holder>> {
    per_user(root, INOTIFY, "proc/sys/fs/inotify/max_user_instances", |w| w.instances)
}

pub fn inotify_watches(root: &Root) -> io::Result<Vec<Holder>> {
    per_user(root, INOTIFY, "proc/sys/fs/inotify/max_user_watches", |w| w.watches)
}

pub fn fanotify_groups(root: &Root) -> io::Result<Vec<Holder>> {
    per_user(root, FANOTIFY, "proc/sys/fs/fanotify/max_user_groups", |w| w.instances)
}

pub fn fanotify_marks(root: &Root) -> io::Result<Vec<Holder>> {
    per_user(root, FANOTIFY, "proc/sys/fs/fanotify/max_user_marks", |w| w.watches)
}

pub fn epoll_watches(root: &Root) -> io::Result<Vec<Holder>> {
    per_user(root, EPOLL, "proc/sys/fs/epoll/max_user_watches", |w| w.watches)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn process_folder(dir: &std::path::Path, pid: u32, uid: u32) -> std::path::PathBuf {
        let folder = dir.join(format!("proc/{pid}"));
        fs::create_dir_all(folder.join("fd")).unwrap();
        fs::create_dir_all(folder.join("fdinfo")).unwrap();
        let status =
            format!("Name:\tp{pid}\nUid:\t{uid}\t{uid}\t{uid}\t{uid}\nVmLck:\t   64 kB\nSigQ:\t3/100\n");
        fs::write(folder.join("status"), status).unwrap();
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            4                    4096                 files\n\
                      Max locked memory         unlimited            unlimited            bytes\n\
                      Max pending signals       100                  100                  signals\n";
        fs::write(folder.join("limits"), limits).unwrap();
        folder
    }

    #[test]
    fn descriptors_are_held_against_each_process_s_own_limit() {
        let dir = tempfile::tempdir().unwrap();
        let folder = process_folder(dir.path(), 7, 1000);
        for fd in 0..3 {
            symlink("/dev/null", folder.join(format!("fd/{fd}"))).unwrap();
        }
        let root = Root::at(dir.path());
        let found = descriptors(&root).unwrap();
        assert_eq!((found[0].usage, found[0].ceiling), (3, Some(4)));
        assert_eq!(found[0].name, "process 7 (p7)");
        assert_eq!(
            (locked(&root).unwrap()[0].usage, locked(&root).unwrap()[0].ceiling),
            (64 << 10, Some(u64::MAX))
        );
        assert_eq!(signals(&root).unwrap()[0].usage, 3);
    }

    #[test]
    fn inotify_is_counted_over_all_processes_of_a_user() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("proc/sys/fs/inotify")).unwrap();
        fs::write(dir.path().join("proc/sys/fs/inotify/max_user_watches"), "10\n").unwrap();
        fs::write(dir.path().join("proc/sys/fs/inotify/max_user_instances"), "2\n").unwrap();
        for (pid, watches) in [(7, 2), (8, 3)] {
            let folder = process_folder(dir.path(), pid, 1000);
            symlink("anon_inode:inotify", folder.join("fd/5")).unwrap();
            symlink("anon_inode:[eventpoll]", folder.join("fd/6")).unwrap();
            let info =
                "pos:\t0\ninotify wd:1 ino:2\n".to_owned() + &"inotify wd:2 ino:3\n".repeat(watches - 1);
            fs::write(folder.join("fdinfo/5"), info).unwrap();
        }
        let root = Root::at(dir.path());
        assert_eq!(inotify_watches(&root).unwrap()[0].usage, 5);
        let instances = inotify_instances(&root).unwrap();
        assert_eq!((instances[0].usage, instances[0].ceiling), (2, Some(2)));
        assert_eq!(instances[0].name, "user 1000");
    }
}
