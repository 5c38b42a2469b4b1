//! The cgroup a failed call was about, read with its neighbours: what its rules (Documentation/admin-guide/
//! cgroup-v2.rst) look at when they say no.

mod values;

use super::cpuset::{V1, V2, folder};
use super::{Look, Sampled};
use crate::model::{Cgroup, Errno, Fact, Failure, FileKind, Files, Neighbour, State};
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// More children than these tell nothing new.
const MOST_CHILDREN: usize = 64;
/// Levels above that are looked at.
const LEVELS: usize = 32;
/// Bytes of a file that are kept.
const MOST_BYTES: u64 = 1024;
/// Files of one folder that are read.
const MOST_FILES: usize = 48;

/// Read of each cgroup of version 2, whatever the call was about.
const CORE: &[&str] = &[
    "cgroup.type",
    "cgroup.controllers",
    "cgroup.subtree_control",
    "cgroup.events",
    "cgroup.procs",
    "cgroup.threads",
    "cgroup.max.depth",
    "cgroup.max.descendants",
    "cgroup.stat",
];

/// The same for version 1.
const CORE_V1: &[&str] = &["tasks", "cgroup.procs", "freezer.state", "freezer.parent_freezing"];

/// Calls that name a cgroup by path, the argument, and its folder's descriptor.
const BY_PATH: &[(&[&str], &str, Option<&str>)] = &[
    (&["mkdir", "rmdir", "open", "creat", "unlink"], "pathname", None),
    (&["mkdirat", "openat", "openat2", "unlinkat"], "pathname", Some("dirfd")),
];

/// Files that move a task.
const ATTACH: &[&str] = &["cgroup.procs", "cgroup.threads", "tasks"];

/// `PF_KTHREAD`, `PF_NO_SETAFFINITY` (include/linux/sched.h).
const KTHREAD: u64 = 0x0020_0000;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.call == "mount" && failure.text_arg("fstype") == Some("cgroup") {
        machine(look, look.after(failure), out);
        out.facts.extend(handed_on(look, look.after(failure)).map(Fact::State));
        return;
    }
    if let Some(file) = failure.file().filter(|file| is_cgroupfs(file.magic) && file.kind != FileKind::Folder)
    {
        out.facts.extend(values::known(look, failure, &file.name).into_iter().map(Fact::State));
    }
    let Some((place, file)) = target(look, failure) else { return };
    let after_ns = look.after(failure);
    out.readings.extend(values::memory_ids(look));
    if let Some(cgroup) = read(&place, &file, after_ns) {
        if ATTACH.contains(&cgroup.file.as_str()) {
            out.facts.extend(moved(look, failure, after_ns).map(Fact::State));
        }
        out.facts.push(Fact::Cgroup(cgroup));
    }
    machine(look, after_ns, out);
}

fn machine(look: &Look<'_>, after_ns: u64, out: &mut Sampled) {
    if let Some(known) = controllers(look) {
        out.facts.push(Fact::State(State {
            name: "controllers".into(),
            of: "the machine".into(),
            value: known,
            source: "/proc/cgroups".into(),
            after_ns,
        }));
    }
}

/// Controllers that the unified hierarchy hands on below its root.
fn handed_on(look: &Look<'_>, after_ns: u64) -> Option<State> {
    let places = ["sys/fs/cgroup", "sys/fs/cgroup/unified"];
    let file =
        places.iter().map(|p| look.root.join(p).join("cgroup.subtree_control")).find(|f| f.exists())?;
    Some(State {
        name: "controllers handed on".into(),
        of: "the root".into(),
        value: fs::read_to_string(&file).ok()?.trim().into(),
        source: file.display().to_string(),
        after_ns,
    })
}

/// The cgroup's folder, and the file in it.
fn target(look: &Look<'_>, failure: &Failure) -> Option<(PathBuf, String)> {
    if let Some(file) = failure.file() {
        if !is_cgroupfs(file.magic) {
            return None;
        }
        if file.kind == FileKind::Folder {
            let mut itself = file.clone();
            itself.folder = file.inode;
            return Some((folder(&look.view, &itself)?, String::new()));
        }
        let place = folder(&look.view, file)?;
        let name = if file.name.ends_with('…') { by_inode(&place, file.inode)? } else { file.name.clone() };
        return Some((place, name));
    }
    // Looking for what may not be there is what everybody does with other files.
    let (_, argument, dirfd) = BY_PATH.iter().find(|row| row.0.contains(&look.call))?;
    let path = failure.text_arg(argument).filter(|path| !path.is_empty() && !path.ends_with('…'))?;
    let whole = match dirfd.and_then(|name| failure.number_arg(name)).map(|raw| raw as u32 as i32) {
        Some(fd) if fd >= 0 && !path.starts_with('/') => {
            look.root.join(format!("proc/{}/fd/{fd}", look.view.pid?)).join(path)
        }
        _ => look.view.path(path)?.0,
    };
    let removes = matches!(look.call, "rmdir") || look.call == "unlinkat";
    let (at, name) = match removes {
        true => (whole.clone(), String::new()),
        false => (whole.parent()?.to_path_buf(), whole.file_name()?.to_string_lossy().into_owned()),
    };
    let magic = nix::sys::statfs::statfs(&at).ok()?.filesystem_type().0 as u64;
    if !is_cgroupfs(magic) {
        return None;
    }
    Some((fs::canonicalize(&at).unwrap_or(at), name))
}

fn is_cgroupfs(magic: u64) -> bool {
    [V1, V2].contains(&magic)
}

fn by_inode(place: &Path, inode: u64) -> Option<String> {
    let entries = fs::read_dir(place).ok()?.flatten();
    entries.into_iter().find_map(|e| {
        (e.metadata().ok()?.ino() == inode).then(|| e.file_name().to_string_lossy().into_owned())
    })
}

/// The cgroup and its neighbours; `None` when it is gone.
fn read(place: &Path, file: &str, after_ns: u64) -> Option<Cgroup> {
    let version = if place.join("cgroup.controllers").exists() { 2 } else { 1 };
    let own = files(place, file, version);
    if own.is_empty() {
        return None;
    }
    let is_cgroup = |at: &Path| at.join("cgroup.procs").exists();
    let parent = place.parent().filter(|at| is_cgroup(at));
    let mut children = Vec::new();
    let mut names: Vec<PathBuf> = fs::read_dir(place).ok()?.flatten().map(|e| e.path()).collect();
    names.sort();
    for child in names.into_iter().filter(|at| at.is_dir()).take(MOST_CHILDREN) {
        let name = child.file_name().unwrap_or_default().to_string_lossy().into_owned();
        children.push(Neighbour { name, files: files(&child, file, version) });
    }
    let above = place
        .ancestors()
        .skip(1)
        .take_while(|at| is_cgroup(at) && at.parent().is_some_and(is_cgroup))
        .take(LEVELS)
        .map(|at| Neighbour { name: at.display().to_string(), files: files(at, "", version) })
        .collect();
    Some(Cgroup {
        path: place.display().to_string(),
        file: file.to_string(),
        version,
        own,
        parent: parent.map(|at| files(at, file, version)).unwrap_or_default(),
        children,
        above,
        after_ns,
    })
}

/// The core files, and those of the controller that the call's file belongs to.
fn files(at: &Path, file: &str, version: u8) -> Files {
    let mut found = Files::new();
    let core = if version == 2 { CORE } else { CORE_V1 };
    for name in core.iter().copied().chain([file]).filter(|name| !name.is_empty()) {
        if let Some(text) = short(&at.join(name)) {
            found.insert(name.to_string(), text);
        }
    }
    let Some((controller, _)) = file.split_once('.').filter(|(c, _)| *c != "cgroup") else { return found };
    let prefix = format!("{controller}.");
    for entry in fs::read_dir(at).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Asking for the pressure or the statistics costs a walk over all below.
        let costly = name.contains("stat") || name.contains("pressure") || name.ends_with("reclaim");
        let wanted = name.starts_with(&prefix) && !costly && found.len() < MOST_FILES;
        if wanted
            && !found.contains_key(&name)
            && let Some(text) = short(&entry.path())
        {
            found.insert(name, text);
        }
    }
    found
}

/// The beginning of a file; `None` when it is not there or does not allow it.
fn short(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::metadata(path).ok().filter(|m| m.is_file() && m.mode() & 0o444 != 0)?;
    fs::File::open(path).ok()?.take(MOST_BYTES).read_to_string(&mut text).ok()?;
    Some(text.trim().to_string())
}

/// What is known of the task that was to be moved.
fn moved(look: &Look<'_>, failure: &Failure, after_ns: u64) -> Option<State> {
    let pid: u32 = failure.text_arg("written")?.trim().parse().ok().filter(|pid| *pid != 0)?;
    // A number means a process of the writer's pid namespace, which the proc it sees may or may not show.
    let own = fs::read_link("/proc/self/ns/pid").ok()?.to_string_lossy().into_owned();
    let theirs = failure.task.pid_ns.map(|inode| format!("pid:[{inode}]"));
    if theirs.is_some_and(|theirs| theirs != own) {
        return None;
    }
    let stat = fs::read_to_string(look.root.join(format!("proc/{pid}/stat")));
    let value = match stat {
        Ok(text) if flags(&text)? & KTHREAD != 0 => "kernel thread",
        Ok(text) if text.contains(") Z ") || text.contains(") X ") => "ended, waits for its parent",
        Ok(_) => "lives",
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "not there",
        Err(_) => return None,
    };
    Some(State {
        name: "task to move".into(),
        of: pid.to_string(),
        value: value.into(),
        source: format!("/proc/{pid}/stat"),
        after_ns,
    })
}

/// The task's flags, the seventh field behind the name (proc_pid_stat(5)).
fn flags(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(6)?.parse().ok()
}

/// Every controller this kernel has and whether it is bound to version 1: `memory:0 cpuset:3`.
fn controllers(look: &Look<'_>) -> Option<String> {
    let refused = [Errno::EINVAL, Errno::ENOENT, Errno::EBUSY];
    if !refused.contains(&look.errno) {
        return None;
    }
    let text = fs::read_to_string(look.root.join("proc/cgroups")).ok()?;
    let rows = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
        let mut fields = line.split_whitespace();
        Some(format!("{}:{}", fields.next()?, fields.next()?))
    });
    // Since 6.15 that file has only those with a version 1.
    let unified = fs::read_to_string(look.root.join("sys/fs/cgroup/cgroup.controllers")).unwrap_or_default();
    let mut all: Vec<String> = rows.collect();
    let others =
        unified.split_whitespace().filter(|c| !text.lines().any(|l| l.split_whitespace().next() == Some(*c)));
    let others: Vec<String> = others.map(|c| format!("{c}:0")).collect();
    all.extend(others);
    Some(all.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(at: &Path, files: &[(&str, &str)]) {
        fs::create_dir_all(at).unwrap();
        for (name, text) in files {
            fs::write(at.join(name), text).unwrap();
        }
    }

    #[test]
    fn a_cgroup_is_read_with_its_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let core = [("cgroup.controllers", "memory pids\n"), ("cgroup.procs", ""), ("memory.max", "max\n")];
        write(dir.path(), &core);
        write(&dir.path().join("a"), &core);
        write(&dir.path().join("a/b"), &core);
        write(&dir.path().join("a/b/c"), &[("cgroup.procs", "7\n"), ("memory.max", "4096\n")]);
        let cgroup = read(&dir.path().join("a/b"), "memory.max", 5).unwrap();
        assert_eq!(cgroup.own("memory.max"), Some("max"));
        assert_eq!(cgroup.parent("cgroup.controllers"), Some("memory pids"));
        assert_eq!(cgroup.children.len(), 1);
        assert_eq!(cgroup.children[0].files["memory.max"], "4096");
        assert_eq!(cgroup.above.len(), 1, "the root has no limits");
        assert!(read(&dir.path().join("gone"), "memory.max", 5).is_none());
    }

    #[test]
    fn flags_stand_behind_a_name_with_brackets() {
        assert_eq!(flags("2 (a) b) S 0 0 0 0 -1 2129984 0 0").map(|f| f & KTHREAD), Some(KTHREAD));
    }
}
