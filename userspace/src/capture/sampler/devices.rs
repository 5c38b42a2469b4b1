//! The device a refused open or mknod was about, and what the task's cgroup says to it.

use super::{Look, Sampled, hierarchies};
use crate::model::{Errno, Fact, Failure, State};
use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

const OPENS: &[&str] = &["open", "openat", "openat2", "creat"];
const MAKES: &[&str] = &["mknod", "mknodat"];

/// `BPF_PROG_QUERY`, `BPF_CGROUP_DEVICE`, `BPF_F_QUERY_EFFECTIVE` (include/uapi/linux/bpf.h).
const PROG_QUERY: libc::c_long = 16;
const CGROUP_DEVICE: u32 = 6;
const EFFECTIVE: u32 = 1;
/// Programs that are asked for: one per level is usual.
const MOST: usize = 64;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let makes = MAKES.contains(&look.call);
    if look.errno != Errno::EPERM || !(makes || OPENS.contains(&look.call)) {
        return;
    }
    let after_ns = look.after(failure);
    let mut add = |name: &str, of: &str, value: String, source: String| {
        out.facts.push(Fact::State(State { name: name.into(), of: of.into(), value, source, after_ns }));
    };
    if !makes {
        let Some(path) = failure.text_arg("pathname").filter(|p| !p.ends_with('…')) else { return };
        let Some(meta) = look.view.path(path).and_then(|(at, _)| fs::metadata(at).ok()) else { return };
        let kind = match meta.file_type() {
            t if t.is_char_device() => 'c',
            t if t.is_block_device() => 'b',
            _ => return,
        };
        let (major, minor) = (libc::major(meta.rdev()), libc::minor(meta.rdev()));
        add("device", path, format!("{kind} {major}:{minor}"), "stat".into());
    }
    for pid in [failure.task.tid, failure.task.pid] {
        let Some(folder) = hierarchies::v1(look.root, pid, "devices") else { continue };
        let file = folder.join("devices.list");
        if let Ok(list) = fs::read_to_string(&file) {
            add("devices.list", "the task's cgroup", list.trim().into(), file.display().to_string());
            break;
        }
    }
    if let Some((folder, n)) =
        hierarchies::v2(look.root, failure.task.tid).and_then(|f| Some((f.clone(), programs(&f)?)))
    {
        add(
            "device programs",
            &folder.display().to_string(),
            n.to_string(),
            "BPF_PROG_QUERY of BPF_CGROUP_DEVICE".into(),
        );
    }
}

/// How many device programs have a say in a cgroup, those of the levels above among them.
fn programs(folder: &Path) -> Option<u32> {
    #[repr(C)]
    struct Query {
        target_fd: u32,
        attach_type: u32,
        query_flags: u32,
        attach_flags: u32,
        ids: u64,
        count: u32,
        pad: u32,
    }
    let opened = fs::File::open(folder).ok()?;
    let mut ids = [0_u32; MOST];
    let mut query = Query {
        target_fd: opened.as_raw_fd() as u32,
        attach_type: CGROUP_DEVICE,
        query_flags: EFFECTIVE,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: MOST as u32,
        pad: 0,
    };
    // SAFETY: the structure is the beginning of union bpf_attr, the kernel writes at most `count` ids.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_QUERY, &raw mut query, size_of::<Query>()) };
    (done == 0).then_some(query.count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_cgroup_has_no_programs() {
        assert_eq!(programs(Path::new("/proc")), None);
        assert_eq!(programs(Path::new("/nowhere")), None);
    }
}
