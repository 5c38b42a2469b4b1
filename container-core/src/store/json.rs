//! Files that are replaced whole: write beside, fsync(2), rename(2). A reader sees the old or the new text.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;
use crate::process::ProcessId;

/// What a power cut may take back. A killed process takes back neither.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Durability {
    /// Flushed to the disk before the rename, and the rename itself too.
    Flushed,
    /// Only replaced at once. For states that mean nothing after a reboot: running, starting.
    Replaced,
}

/// Replace `path` by `value` as JSON.
pub(crate) fn write<T: Serialize>(path: &Path, value: &T, durability: Durability) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    let beside = beside(path);
    let written =
        write_beside(&beside, &text, durability).and_then(|()| put_in_place(&beside, path, durability));
    if written.is_err() {
        // Nothing refers to it, and the first error is the one to report.
        let _ = fs::remove_file(&beside);
        return written;
    }
    match (durability, path.parent()) {
        (Durability::Flushed, Some(dir)) => File::open(dir)?.sync_all(),
        _ => Ok(()),
    }
}

/// The new file under the old one's name. Ext4 takes a rename over another file for a wish to have the data on the disk
/// (mount option auto_da_alloc, ext4(5)) and starts writing at once; where that is not wished for, the two change
/// names, renameat2(2), and the old one goes.
fn put_in_place(beside: &Path, path: &Path, durability: Durability) -> io::Result<()> {
    if durability == Durability::Replaced
        && path.exists()
        && renameat2(AT_FDCWD, beside, AT_FDCWD, path, RenameFlags::RENAME_EXCHANGE).is_ok()
    {
        return fs::remove_file(beside);
    }
    // Where there was none, and on file systems that cannot exchange.
    fs::rename(beside, path)
}

/// Files beside others in `dir` whose writer was killed before they had their place.
pub(crate) fn half_written(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(dir).map_err(Error::store("read", dir))?.flatten();
    let is_left = |entry: &fs::DirEntry| {
        let name = entry.file_name();
        let writer = name.to_str().and_then(|name| name.split_once(".json."));
        let pid = writer.and_then(|(_, writer)| writer.split_once('-')).map(|(pid, _)| pid.parse::<i32>());
        matches!(pid, Some(Ok(pid)) if ProcessId::of(pid).is_none())
    };
    Ok(entries.filter(is_left).map(|entry| entry.path()).collect())
}

fn write_beside(beside: &Path, text: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(beside)?;
    file.write_all(text)?;
    if durability == Durability::Flushed {
        file.sync_all()?;
    }
    Ok(())
}

/// A name that no other writer of this machine uses at the same time.
fn beside(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}-{number}", std::process::id()));
    PathBuf::from(name)
}

/// Read `path`; `None` when it does not exist.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(text) => match serde_json::from_slice(&text) {
            Ok(value) => Ok(Some(value)),
            Err(e) => Err(Error::Damaged { path: path.to_owned(), reason: e.to_string() }),
        },
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::store("read", path)(e)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn written_is_read_and_nothing_lies_beside() {
        let dir = Scratch::new("json");
        let path = dir.path().join("a.json");
        assert_eq!(read::<u32>(&path).unwrap(), None);
        write(&path, &7u32, Durability::Flushed).unwrap();
        write(&path, &8u32, Durability::Replaced).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(8));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        write(&path, &9u32, Durability::Replaced).unwrap();
        assert_eq!(read::<u32>(&path).unwrap(), Some(9));
        assert_eq!(half_written(dir.path()).unwrap(), Vec::<PathBuf>::new());
        // No process has a pid so large (kernel: PID_MAX_LIMIT).
        let left = dir.path().join("a.json.4194305-0");
        fs::write(&left, "7").unwrap();
        fs::write(dir.path().join(format!("a.json.{}-0", std::process::id())), "7").unwrap();
        assert_eq!(half_written(dir.path()).unwrap(), [left]);
        fs::write(&path, "{").unwrap();
        assert!(matches!(read::<u32>(&path), Err(Error::Damaged { .. })));
    }
}
