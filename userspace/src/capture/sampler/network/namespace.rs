//! Entering the network namespace of a failed call, on a thread that ends afterwards.

use crate::limits::read::Root;
use crate::model::Failure;
use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::thread;

/// Asks inside the namespace of the call. `None` when nobody is in it any more, or it may not be entered.
pub(super) fn inside<T: Send>(
    root: &Root,
    failure: &Failure,
    ask: impl FnOnce(&Root) -> T + Send,
) -> Option<T> {
    let wanted = failure.task.net.map(|net| net.net_ns).or_else(|| failure.netlink().and_then(|n| n.net_ns));
    let own = inode(&root.join("proc/self/ns/net"));
    if wanted.is_some() && wanted == own {
        return Some(ask(root));
    }
    let file = File::open(find(root, failure, wanted)?).ok()?;
    on_thread(file, || ask(root))
}

/// A number from a file that only the first network namespace has.
pub(super) fn first(root: &Root, path: String) -> Option<u64> {
    let file = File::open(root.join("proc/1/ns/net")).ok()?;
    on_thread(file, || root.number(path).ok())?
}

fn on_thread<T: Send>(namespace: File, ask: impl FnOnce() -> T + Send) -> Option<T> {
    thread::scope(|scope| {
        let asked = scope.spawn(move || {
            // SAFETY: a descriptor of ours; only this thread changes its namespace, and it ends here.
            let entered = unsafe { libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET) } == 0;
            entered.then(ask)
        });
        asked.join().ok().flatten()
    })
}

/// The namespace by a task that is in it: the failing one, its parent, else anybody.
fn find(root: &Root, failure: &Failure, wanted: Option<u32>) -> Option<PathBuf> {
    let task = &failure.task;
    let of = |pid: u32| root.join(format!("proc/{pid}/ns/net"));
    let Some(wanted) = wanted else { return [task.tid, task.pid].into_iter().map(of).find(|p| p.exists()) };
    let near = [task.tid, task.pid, task.ppid].into_iter().filter(|pid| *pid != 0);
    near.map(of).find(|path| inode(path) == Some(wanted)).or_else(|| {
        let all = fs::read_dir(root.join("proc")).ok()?.flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.map(of).find(|path| inode(path) == Some(wanted))
    })
}

pub(super) fn inode(link: &Path) -> Option<u32> {
    fs::read_link(link).ok()?.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_own_namespace_has_a_number() {
        assert!(inode(Path::new("/proc/self/ns/net")).is_some());
        assert_eq!(inode(Path::new("/proc/self/ns/mnt")), None);
    }
}
