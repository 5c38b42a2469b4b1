//! What causes about cgroupfs share: which file was written, with what, in which cgroup.

use super::Case;
use crate::model::{ArgValue, Cgroup, Errno, Fact, FileKind};

/// `CGROUP_SUPER_MAGIC`, `CGROUP2_SUPER_MAGIC` (linux/magic.h).
const V1: u64 = 0x27_e0eb;
const V2: u64 = 0x6367_7270;

const WRITES: &[&str] = &["write", "pwrite64", "writev"];

/// Files that move a task.
pub(in crate::causes) const ATTACH: &[&str] = &["cgroup.procs", "cgroup.threads", "tasks"];

/// Controllers that work with threads of one process in different cgroups (`threaded` in their
/// `struct cgroup_subsys`); all others want whole processes, in leaves.
pub(in crate::causes) const THREADED: &[&str] = &["cpu", "cpuset", "perf_event", "pids"];

/// Controllers that kernels of the last years may have.
pub(in crate::causes) const CONTROLLERS: &[&str] = &[
    "cpu",
    "cpuset",
    "cpuacct",
    "io",
    "blkio",
    "memory",
    "hugetlb",
    "pids",
    "rdma",
    "misc",
    "dmem",
    "perf_event",
    "freezer",
    "devices",
    "net_cls",
    "net_prio",
    "debug",
];

/// Functions between write(2) and a cgroup file's own: deciders of nothing.
pub(in crate::causes) const CALLERS: &[&str] = &[
    "vfs_write",
    "new_sync_write",
    "kernfs_fop_write_iter",
    "kernfs_fop_write",
    "cgroup_file_write",
    "cgroup_procs_write",
    "__cgroup_procs_write",
    "__cgroup1_procs_write",
    "cgroup1_procs_write",
    "cgroup1_tasks_write",
    "cgroup_threads_write",
    "cgroup_attach_task",
    "cgroup_migrate",
    "cgroup_migrate_execute",
    "cgroup_attach_permissions",
    "cgroup_can_fork",
    "cgroup_css_set_fork",
    "copy_process",
    "kernel_clone",
    "cgroup_subtree_control_write",
    "cgroup_apply_control",
    "cgroup_mkdir",
    // Taken at the beginning of each; where the check behind it is inlined, they are what is seen last.
    "cgroup_kn_lock_live",
    "cgroup_kn_unlock",
    "cgroup_kn_set_ugid",
    "cgroup_rmdir",
    "kernfs_iop_mkdir",
    "kernfs_iop_rmdir",
    "vfs_mkdir",
    "vfs_rmdir",
    "do_mkdirat",
    "do_rmdir",
    "filename_mkdirat",
    "filename_rmdir",
];

/// A failed write to a file of a cgroup, or a child that was to start in one.
#[derive(Debug, Clone, Copy)]
pub(in crate::causes) struct Write<'a> {
    /// `cgroup.procs` for a child.
    pub(in crate::causes) file: &'a str,
    pub(in crate::causes) version: u8,
    /// What was to be written; `None` where it was not read.
    pub(in crate::causes) text: Option<&'a str>,
    pub(in crate::causes) cgroup: Option<&'a Cgroup>,
}

/// The cgroup of the call, as it was read again.
pub(in crate::causes) fn fact<'a>(case: &Case<'a>) -> Option<&'a Cgroup> {
    case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Cgroup(cgroup) => Some(cgroup),
        _ => None,
    })
}

/// A write to cgroupfs that failed so.
pub(in crate::causes) fn write<'a>(case: &Case<'a>, errnos: &[Errno]) -> Option<Write<'a>> {
    let (call, errno) = case.incident.failure.syscall()?;
    if !errnos.contains(&errno) || !WRITES.contains(&call) {
        return None;
    }
    let open = case.incident.failure.file()?;
    let version = match open.magic {
        V1 => 1,
        V2 => 2,
        _ => return None,
    };
    let cgroup = fact(case);
    let file = match cgroup {
        Some(c) if open.name.ends_with('…') => c.file.as_str(),
        _ => open.name.as_str(),
    };
    Some(Write { file, version, text: case.incident.failure.text_arg("written"), cgroup })
}

/// A task that was to be moved, or a child that was to start, in a cgroup.
pub(in crate::causes) fn entering<'a>(case: &Case<'a>, errnos: &[Errno]) -> Option<Write<'a>> {
    if let Some(write) = write(case, errnos) {
        return ATTACH.contains(&write.file).then_some(write);
    }
    let (call, errno) = case.incident.failure.syscall()?;
    let flags = case.failure().number_arg("flags")?;
    if call != "clone3" || !errnos.contains(&errno) || flags & diag_abi::CLONE_INTO_CGROUP == 0 {
        return None;
    }
    Some(Write { file: "cgroup.procs", version: 2, text: None, cgroup: fact(case) })
}

impl<'a> Write<'a> {
    /// The cgroup's folder, in words.
    pub(in crate::causes) fn place(&self) -> &'a str {
        self.cgroup.map_or("the cgroup", |c| c.path.as_str())
    }

    /// A file of the cgroup.
    pub(in crate::causes) fn path(&self, file: &str) -> String {
        self.cgroup.map_or_else(|| file.to_string(), |c| format!("{}/{file}", c.path))
    }

    /// Controllers that `cgroup.subtree_control` was asked to switch, with `+` or `-`.
    pub(in crate::causes) fn asked(&self, sign: char) -> Option<Vec<&'a str>> {
        let text = self.text.filter(|t| !t.ends_with('…'))?;
        Some(text.split_whitespace().filter_map(|word| word.strip_prefix(sign)).collect())
    }
}

/// The folder behind a descriptor of clone3, seen at that instant.
pub(in crate::causes) fn clone_target(case: &Case<'_>) -> bool {
    case.failure().args().iter().any(|a| {
        a.name == "cgroup"
            && matches!(&a.value, ArgValue::Descriptor { file, .. } if file.kind == FileKind::Folder && file.magic == V2)
    })
}

#[cfg(test)]
pub(in crate::causes) mod testing {
    use super::*;
    use crate::causes::case::testing::incident;
    use crate::model::{Arg, FailureKind, Files, Incident, OpenFile};

    /// A write of `text` to `file` of a cgroup with these files.
    pub(in crate::causes) fn wrote(file: &str, text: &str, errno: i32, own: &[(&str, &str)]) -> Incident {
        let mut i = incident("write", Errno(errno), vec![]);
        let open = OpenFile {
            kind: FileKind::Regular,
            name: file.into(),
            device: "0:26".into(),
            magic: V2,
            inode: 9,
            folder: 8,
        };
        if let FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            *args = vec![
                Arg { name: "fd".into(), value: ArgValue::Descriptor { raw: 3, file: open } },
                Arg { name: "written".into(), value: ArgValue::Text(text.into()) },
            ];
        }
        i.facts.push(Fact::Cgroup(cgroup(file, own)));
        i
    }

    pub(in crate::causes) fn cgroup(file: &str, own: &[(&str, &str)]) -> Cgroup {
        Cgroup {
            path: "/sys/fs/cgroup/a".into(),
            file: file.into(),
            version: 2,
            own: files(own),
            parent: files(&[("cgroup.controllers", "cpuset cpu io memory pids"), ("cgroup.procs", "")]),
            ..Cgroup::default()
        }
    }

    pub(in crate::causes) fn files(of: &[(&str, &str)]) -> Files {
        of.iter().map(|(n, t)| ((*n).to_string(), (*t).to_string())).collect()
    }

    /// Changes the cgroup of an incident.
    pub(in crate::causes) fn with(mut i: Incident, change: impl Fn(&mut Cgroup)) -> Incident {
        for fact in &mut i.facts {
            if let Fact::Cgroup(cgroup) = fact {
                change(cgroup);
            }
        }
        i
    }

    #[test]
    fn a_write_is_known_by_its_file() {
        let i = wrote("cgroup.procs", "0", libc::EBUSY, &[("cgroup.procs", "")]);
        let case = Case { incident: &i, path: None };
        assert!(entering(&case, &[Errno::EBUSY]).is_some());
        assert!(write(&case, &[Errno::EINVAL]).is_none());
        let i = wrote("memory.max", "1", libc::EBUSY, &[]);
        assert!(entering(&Case { incident: &i, path: None }, &[Errno::EBUSY]).is_none());
    }
}
