//! The cpuset a write was about: the cgroup behind the descriptor, and what processors and memory it has.
//!
//! Whoever moves a task opens `cgroup.procs`, writes, and closes it on any error, mostly before anybody could
//! look. The probe has the cgroup's id by then, and a folder of cgroupfs can be opened by that id
//! (open_by_handle_at(2), fs/kernfs/mount.c `kernfs_fh_to_dentry()`).

use super::{Look, Sampled, View};
use crate::model::{Cpuset, Errno, Fact, Failure, OpenFile};
use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `CGROUP_SUPER_MAGIC`, `CGROUP2_SUPER_MAGIC` (linux/magic.h).
pub(super) const V1: u64 = 0x27_e0eb;
pub(super) const V2: u64 = 0x6367_7270;

/// Files whose write `kernel/cgroup/cpuset.c` may refuse with ENOSPC.
const FILES: &[&str] = &["cgroup.procs", "cgroup.threads", "tasks", "cpuset.cpus", "cpuset.mems"];

/// Not in the libc crate: `enum fid_type` (include/linux/exportfs.h).
const FILEID_KERNFS: i32 = 0xfe;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.errno == Errno::ENOSPC {
        out.facts.extend(sample(&look.view, failure, look.after(failure)).map(Fact::Cpuset));
    }
}

/// `None` when the call was about something else, or its cgroup is gone.
fn sample(view: &View, failure: &Failure, after_ns: u64) -> Option<Cpuset> {
    let file = failure.file()?;
    let version = match file.magic {
        V1 => 1,
        V2 => 2,
        _ => return None,
    };
    if !FILES.contains(&file.name.as_str()) {
        return None;
    }
    let folder = folder(view, file)?;
    let effective = if version == 1 {
        ["effective_cpus", "effective_mems"]
    } else {
        ["cpus.effective", "mems.effective"]
    };
    // Without the controller a cgroup of version 2 has the nearest cpuset above.
    let place = folder.ancestors().find(|at| version == 1 || at.join("cpuset.cpus.effective").exists())?;
    if !place.join("cpuset.mems").exists() && !place.join("cpuset.mems.effective").exists() {
        return None;
    }
    let read = |name: &str| {
        let text = fs::read_to_string(place.join(format!("cpuset.{name}"))).ok()?;
        Some(text.trim().to_string())
    };
    Some(Cpuset {
        path: place.display().to_string(),
        file: file.name.clone(),
        version,
        cpus: read("cpus"),
        mems: read("mems"),
        effective_cpus: read(effective[0]),
        effective_mems: read(effective[1]),
        partition: read("cpus.partition"),
        populated: populated(place),
        after_ns,
    })
}

/// Whether tasks are in it. Version 1 tells only those that are in no folder below.
fn populated(folder: &Path) -> Option<bool> {
    if let Ok(events) = fs::read_to_string(folder.join("cgroup.events")) {
        return events.lines().find_map(|line| line.strip_prefix("populated ")).map(|n| n == "1");
    }
    fs::read_to_string(folder.join("cgroup.procs")).ok().map(|text| !text.is_empty())
}

/// The folder with this inode on this device, by the mounts that diag or the task sees.
pub(super) fn folder(view: &View, file: &OpenFile) -> Option<PathBuf> {
    for (root, table) in [
        (view.root.join("/"), view.root.join("proc/self/mountinfo")),
        (view.proc("root"), view.proc("mountinfo")),
    ] {
        let table = fs::read_to_string(table).unwrap_or_default();
        for line in table.lines() {
            let fields: Vec<&str> = line.split(' ').collect();
            let (Some(device), Some(point)) = (fields.get(2), fields.get(4)) else { continue };
            if *device != file.device {
                continue;
            }
            let point = super::mounts::unescape(point);
            let mount = root.join(point.strip_prefix('/').unwrap_or(&point));
            if let Some(found) = by_id(&mount, &root, file.folder) {
                return Some(found);
            }
        }
    }
    None
}

/// `struct file_handle` with a kernfs id.
#[repr(C)]
struct Handle {
    bytes: u32,
    kind: i32,
    id: u64,
}

/// A mount of another namespace has its path told as that namespace sees it, so that `root`, the task's, is in front.
fn by_id(mount: &Path, root: &Path, id: u64) -> Option<PathBuf> {
    let path = CString::new(mount.as_os_str().as_encoded_bytes()).ok()?;
    // SAFETY: a path that ends with NUL; the descriptor is ours alone.
    let mount_fd = unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))?
    };
    let mut handle = Handle { bytes: 8, kind: FILEID_KERNFS, id };
    // SAFETY: the handle has the layout of struct file_handle and as many bytes behind its head as it says.
    let fd = unsafe {
        let handle = (&raw mut handle).cast::<libc::file_handle>();
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        let fd = libc::open_by_handle_at(mount_fd.as_raw_fd(), handle, flags);
        (fd >= 0).then(|| OwnedFd::from_raw_fd(fd))?
    };
    let path = fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok()?;
    // A cgroup that was removed meanwhile keeps its name with a remark behind it.
    let theirs = root.join(path.strip_prefix("/").unwrap_or(&path));
    [path, theirs].into_iter().find(|at| fs::metadata(at).is_ok_and(|m| m.ino() == id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_populated_by_its_events_or_its_tasks() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(populated(dir.path()), None);
        fs::write(dir.path().join("cgroup.procs"), "").unwrap();
        assert_eq!(populated(dir.path()), Some(false));
        fs::write(dir.path().join("cgroup.procs"), "7\n").unwrap();
        assert_eq!(populated(dir.path()), Some(true));
        fs::write(dir.path().join("cgroup.events"), "populated 0\nfrozen 0\n").unwrap();
        assert_eq!(populated(dir.path()), Some(false));
    }
}
