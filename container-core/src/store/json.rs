//! Files that are replaced whole: write beside, fsync(2), rename(2). A reader sees the old or the new text.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::Error;

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
    let written = write_beside(&beside, &text, durability).and_then(|()| fs::rename(&beside, path));
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
        fs::write(&path, "{").unwrap();
        assert!(matches!(read::<u32>(&path), Err(Error::Damaged { .. })));
    }
}
