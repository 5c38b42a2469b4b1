//! Objects that the kernel protects by their owner: links and files of others in shared folders, sources of hard
//! links (fs/namei.c `may_follow_link()`, `may_create_in_sticky()`, `may_linkat()`).

use super::{Look, Sampled};
use crate::model::{Errno, Fact, Failure, State};
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Component, Path, PathBuf};

const STICKY: u32 = 0o1000;
const ALL_WRITE: u32 = 0o002;
const GROUP_WRITE: u32 = 0o020;
const SET_ID: u32 = 0o6000;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    let after = look.after(failure);
    // The user as the kernel has it for files; the numbers are those of the first user namespace.
    let probed = failure.readings.iter().find(|r| r.limit == "fsuid").and_then(|r| r.usage);
    let user = probed.map_or(failure.task.uid, |uid| uid as u32);
    let mut add = |name: &str, of: &str, value: &str| {
        out.facts.push(Fact::State(State {
            name: name.into(),
            of: of.into(),
            value: value.into(),
            source: "lstat".into(),
            after_ns: after,
        }));
    };
    if look.errno == Errno::EPERM && ["link", "linkat"].contains(&look.call) {
        let Some((path, _)) = failure.text_arg("oldpath").and_then(|path| look.view.path(path)) else {
            return;
        };
        if let Ok(meta) = fs::symlink_metadata(&path) {
            add("link source", failure.text_arg("oldpath").unwrap_or_default(), source(&meta, user));
        }
        return;
    }
    if look.errno != Errno::EACCES {
        return;
    }
    let Some(name) = failure.text_arg("pathname").map(str::to_owned) else { return };
    let Some((path, base)) = look.view.path(&name) else { return };
    if let Some(link) = foreign_link(&base, &path, user) {
        add("sticky link", &shown(&base, &link), "symlink");
    } else if let Some(kind) = foreign_file(&path, user) {
        add("sticky file", &name, kind);
    }
}

fn shown(base: &Path, path: &Path) -> String {
    path.strip_prefix(base).map_or_else(|_| path.display().to_string(), |rel| format!("…/{}", rel.display()))
}

/// `safe_hardlink_source()`: a regular file without set-user-ID, which the caller may read and write.
fn source(meta: &Metadata, user: u32) -> &'static str {
    if meta.uid() == user {
        return "own";
    }
    let mode = meta.permissions().mode();
    let open = mode & 0o006 == 0o006;
    // Groups of the task are not known here, so what the group may do counts as allowed.
    let by_group = mode & 0o060 == 0o060;
    if !meta.is_file() || mode & SET_ID != 0 || !(open || by_group) { "protected" } else { "open" }
}

/// The first symbolic link on the way that is not followed.
fn foreign_link(base: &Path, path: &Path, user: u32) -> Option<PathBuf> {
    let rest = path.strip_prefix(base).ok()?;
    let mut at = base.to_path_buf();
    for part in rest.components() {
        let folder = fs::metadata(&at).ok()?;
        if !matches!(part, Component::Normal(_)) {
            return None;
        }
        at.push(part);
        let meta = fs::symlink_metadata(&at).ok()?;
        if !meta.is_symlink() {
            continue;
        }
        let shared = folder.mode() & (STICKY | ALL_WRITE) == STICKY | ALL_WRITE;
        if shared && meta.uid() != user && meta.uid() != folder.uid() {
            return Some(at);
        }
    }
    None
}

/// A file or fifo of somebody else in a sticky folder; whether it was opened with O_CREAT the cause asks.
fn foreign_file(path: &Path, user: u32) -> Option<&'static str> {
    let (meta, folder) = (fs::symlink_metadata(path).ok()?, fs::metadata(path.parent()?).ok()?);
    let shared = folder.mode() & STICKY != 0 && folder.mode() & (ALL_WRITE | GROUP_WRITE) != 0;
    if !shared || meta.uid() == user || meta.uid() == folder.uid() {
        return None;
    }
    match meta.file_type() {
        kind if kind.is_fifo() => Some("fifo"),
        kind if kind.is_file() => Some("regular"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn only_a_link_in_a_folder_that_all_may_write_is_protected() {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path();
        let own = fs::metadata(base).unwrap().uid();
        symlink("f", base.join("s")).unwrap();
        fs::write(base.join("f"), "").unwrap();
        fs::set_permissions(base, fs::Permissions::from_mode(0o1777)).unwrap();
        // Ours in our folder: followed by everybody.
        assert_eq!(foreign_link(base, &base.join("s"), own + 1), None);
        assert_eq!(foreign_file(&base.join("f"), own + 1), None);
    }

    #[test]
    fn a_source_that_one_may_not_write_is_protected() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("f");
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let meta = fs::metadata(&file).unwrap();
        assert_eq!(source(&meta, meta.uid() + 1), "protected");
        assert_eq!(source(&meta, meta.uid()), "own");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(source(&fs::metadata(&file).unwrap(), meta.uid() + 1), "open");
    }
}
