//! Handles on what the failing task sees, opened at once and good after its end.

use super::super::{Look, View, mounts::unescape};
use crate::model::{Failure, PlaceMount};
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use std::cell::OnceCell;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The task's root, working folder, mount table and mount namespace.
pub(super) struct Held {
    root: OwnedFd,
    cwd: Option<OwnedFd>,
    /// `/proc/PID`, while it lasts.
    pub(super) proc: PathBuf,
    /// Text of `status`, read at once.
    pub(super) status: String,
    table: OnceCell<Vec<Row>>,
    mountinfo: File,
    /// A mount namespace falls apart with its last user.
    _ns: Option<File>,
    own: bool,
}

/// One line of mountinfo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) root: String,
    pub(super) mount: PlaceMount,
}

impl Held {
    pub(super) fn of(look: &Look<'_>, failure: &Failure) -> Option<Self> {
        let views = View::all_of(look.root, failure);
        views.into_iter().find_map(|view| Self::open(look, view.pid?, failure))
    }

    fn open(look: &Look<'_>, pid: u32, failure: &Failure) -> Option<Self> {
        let proc = look.root.join(format!("proc/{pid}"));
        let folder = |name: &str| {
            open(&proc.join(name), OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).ok()
        };
        let own = pid == failure.task.tid || pid == failure.task.pid;
        Some(Self {
            root: folder("root")?,
            cwd: folder("cwd").filter(|_| own),
            mountinfo: File::open(proc.join("mountinfo")).ok()?,
            _ns: File::open(proc.join("ns/mnt")).ok(),
            status: if own {
                fs::read_to_string(proc.join("status")).unwrap_or_default()
            } else {
                String::new()
            },
            table: OnceCell::new(),
            own,
            proc,
        })
    }

    /// Whether it is the failing task itself, not a relative that shares its mounts.
    pub(super) fn is_own(&self) -> bool {
        self.own
    }

    /// A path that leads to its root, whether it still lives or not.
    pub(super) fn root(&self) -> &OwnedFd {
        &self.root
    }

    pub(super) fn cwd(&self) -> Option<&OwnedFd> {
        self.cwd.as_ref()
    }

    pub(super) fn descriptor(&self, fd: i32) -> Option<OwnedFd> {
        let link = self.own.then(|| self.proc.join(format!("fd/{fd}")))?;
        open(&link, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty()).ok()
    }

    /// The mount table, read once. A huge one is worth its while: this was a failed mount.
    pub(super) fn table(&self) -> &[Row] {
        self.table.get_or_init(|| {
            let mut text = String::new();
            let _ = (&self.mountinfo).read_to_string(&mut text);
            text.lines().filter_map(parse).collect()
        })
    }

    /// The row of an open file's mount.
    pub(super) fn row_of(&self, fd: &OwnedFd) -> Option<&Row> {
        let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).ok()?;
        let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:"))?.trim();
        self.table().iter().find(|row| row.id == id)
    }

    /// The mount of a path by its words: the longest mount point that begins it, the last of equals.
    pub(super) fn row_by_name(&self, path: &str) -> Option<&Row> {
        let begins = |point: &str| {
            point == "/" || path.strip_prefix(point).is_some_and(|r| r.is_empty() || r.starts_with('/'))
        };
        self.table().iter().filter(|row| begins(&row.mount.point)).max_by_key(|row| row.mount.point.len())
    }

    /// A path in the task's words, made absolute as far as its working folder can be named.
    pub(super) fn absolute(&self, path: &str) -> Option<String> {
        if path.starts_with('/') {
            return Some(path.to_string());
        }
        let cwd = fs::read_link(format!("/proc/self/fd/{}", self.cwd.as_ref()?.as_raw_fd())).ok()?;
        Some(normal(&cwd.join(path)))
    }
}

/// Without `.` and `..`, by words alone.
fn normal(path: &Path) -> String {
    let mut parts: Vec<String> = Vec::new();
    for part in path.to_string_lossy().split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name.to_string()),
        }
    }
    format!("/{}", parts.join("/"))
}

pub(super) fn parse(line: &str) -> Option<Row> {
    let (left, right) = line.split_once(" - ")?;
    let left: Vec<&str> = left.split(' ').collect();
    let mut right = right.split(' ');
    let propagation: Vec<&str> = left.get(6..).unwrap_or_default().to_vec();
    Some(Row {
        id: (*left.first()?).to_string(),
        parent: (*left.get(1)?).to_string(),
        root: unescape(left.get(3)?),
        mount: PlaceMount {
            point: unescape(left.get(4)?),
            flags: (*left.get(5)?).to_string(),
            propagation: propagation.join(","),
            parent_propagation: None,
            device: (*left.get(2)?).to_string(),
            fstype: right.next()?.to_string(),
            source: unescape(right.next()?),
            options: unescape(right.next().unwrap_or_default()),
            below: Vec::new(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_propagation_and_flags() {
        let row =
            parse("40 22 8:1 /a /b\\040c ro,nosuid shared:3 master:1 - ext4 /dev/sda1 rw,prjquota").unwrap();
        assert_eq!((row.id.as_str(), row.parent.as_str(), row.root.as_str()), ("40", "22", "/a"));
        assert_eq!((row.mount.point.as_str(), row.mount.propagation.as_str()), ("/b c", "shared:3,master:1"));
        assert_eq!((row.mount.flags.as_str(), row.mount.options.as_str()), ("ro,nosuid", "rw,prjquota"));
        assert_eq!(parse("1 2 0:1 / / rw - rootfs rootfs rw").unwrap().mount.propagation, "");
    }

    #[test]
    fn words_are_made_absolute() {
        assert_eq!(normal(Path::new("/t/a/../b/./c")), "/t/b/c");
        assert_eq!(normal(Path::new("/..")), "/");
    }
}
