//! Blobs on their way into the store: `<root>/downloads/blobs/sha256/<hex>`, as in an OCI layout, and `<hex>.part` for
//! what has not arrived in full.
//!
//! Any number of pulls share the folder. Each holds `downloads/lock` shared while it works, and only who gets it
//! exclusively deletes; a partial blob is locked by the one that fetches it.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use super::refusal::Refusal;
use crate::error::Error;
use crate::id::hex;
use crate::image::load::manifest::{Blob, Found};
use crate::image::load::source::Source;
use crate::store::{Store, make_private_dir};

/// What a broken pull left is kept so long for the next.
const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The folder, in use.
pub(super) struct Downloads {
    dir: PathBuf,
    lock: File,
}

impl Downloads {
    pub(super) fn open(store: &Store) -> Result<Downloads, Error> {
        let dir = store.downloads();
        make_private_dir(&dir.join("blobs/sha256"))?;
        let path = dir.join("lock");
        let lock = File::options().append(true).create(true).mode(0o600).open(&path);
        let lock = lock.map_err(Error::store("open", &path))?;
        lock.lock_shared().map_err(Error::store("lock", &path))?;
        Ok(Downloads { dir, lock })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The folder as a source of images.
    pub(super) fn source(&self) -> Result<Source, Error> {
        Source::folder(&self.dir)
    }

    /// All of a config.
    pub(super) fn small(&self, blob: &Blob) -> Result<Vec<u8>, String> {
        fs::read(self.dir.join(&blob.file)).map_err(|e| format!("{}: {e}", blob.file))
    }

    /// The blob's partial file; `None` when it is there in full, or somebody else is fetching it.
    pub(super) fn part(&self, blob: &Blob) -> Result<Standing, Refusal> {
        let whole = self.dir.join(&blob.file);
        if whole.exists() {
            return Ok(Standing::Whole);
        }
        let mut path = whole.clone().into_os_string();
        path.push(".part");
        let path = PathBuf::from(path);
        let failed = |source| Refusal::Disk { path: path.clone(), source };
        let mut options = File::options();
        let file = options.read(true).append(true).create(true).mode(0o600).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Standing::Elsewhere),
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        if whole.exists() {
            // It was renamed between our look and our lock, and what we have opened may be new and empty.
            let _ = fs::remove_file(&path);
            return Ok(Standing::Whole);
        }
        let mut part = Part { file, path: path.clone(), whole, hash: Sha256::new(), size: 0 };
        part.read_again().map_err(failed)?;
        Ok(Standing::Partial(part))
    }

    /// Delete the image's blobs, for they have been unpacked or cannot be, and what others left long ago; unless
    /// another pull is at work, which may be about to use them. Then they stay for a while.
    pub(super) fn discard(&self, found: &Found) {
        // flock(2): turning one's own shared lock into an exclusive one is allowed.
        if self.lock.try_lock().is_err() {
            return;
        }
        for blob in found.layers.iter().chain([&found.config]) {
            let _ = fs::remove_file(self.dir.join(&blob.file));
        }
        let long_ago = SystemTime::now() - KEPT;
        for entry in fs::read_dir(self.dir.join("blobs/sha256")).into_iter().flatten().flatten() {
            let touched = entry.metadata().and_then(|metadata| metadata.modified());
            if touched.is_ok_and(|touched| touched < long_ago) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// How far a blob is.
pub(super) enum Standing {
    Whole,
    /// Another process is fetching it.
    Elsewhere,
    Partial(Part),
}

/// A blob that is arriving.
pub(super) struct Part {
    file: File,
    path: PathBuf,
    whole: PathBuf,
    hash: Sha256,
    size: u64,
}

impl Part {
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What is there counts as read.
    fn read_again(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match self.file.read(&mut buffer)? {
                0 => return Ok(()),
                count => {
                    self.hash.update(&buffer[..count]);
                    self.size += count as u64;
                }
            }
        }
    }

    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        self.file.write_all(bytes).map_err(|source| self.disk(source))?;
        self.hash.update(bytes);
        self.size += bytes.len() as u64;
        Ok(())
    }

    /// Throw away what is there.
    pub(super) fn restart(&mut self) -> Result<(), Refusal> {
        self.file.set_len(0).map_err(|source| self.disk(source))?;
        self.hash = Sha256::new();
        self.size = 0;
        Ok(())
    }

    /// The digest of what is there, `sha256:<hex>`.
    pub(super) fn digest(&self) -> String {
        format!("sha256:{}", hex(&self.hash.clone().finalize()))
    }

    /// It is whole: give it its name. Nothing is flushed, for what is loaded from it is verified again.
    pub(super) fn finish(self) -> Result<(), Refusal> {
        fs::rename(&self.path, &self.whole).map_err(|source| self.disk(source))
    }

    fn disk(&self, source: io::Error) -> Refusal {
        Refusal::Disk { path: self.path.clone(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn blob(text: &[u8]) -> Blob {
        let sha256 = hex(&Sha256::digest(text));
        Blob { file: format!("blobs/sha256/{sha256}"), sha256: Some(sha256), size: Some(text.len() as u64) }
    }

    fn partial(downloads: &Downloads, blob: &Blob) -> Part {
        match downloads.part(blob).unwrap() {
            Standing::Partial(part) => part,
            Standing::Whole | Standing::Elsewhere => panic!("not partial"),
        }
    }

    #[test]
    fn what_arrived_is_found_again_and_counts() {
        let dir = Scratch::new("downloads");
        let store = Store::open(dir.path()).unwrap();
        let blob = blob(b"one two");
        let downloads = Downloads::open(&store).unwrap();
        partial(&downloads, &blob).append(b"one ").unwrap();
        let mut part = partial(&downloads, &blob);
        assert_eq!(part.size(), 4);
        assert!(matches!(downloads.part(&blob).unwrap(), Standing::Elsewhere));
        part.append(b"two").unwrap();
        assert_eq!(part.digest(), blob.digest());
        part.finish().unwrap();
        assert!(matches!(downloads.part(&blob).unwrap(), Standing::Whole));
        assert_eq!(downloads.small(&blob).unwrap(), b"one two");
    }

    #[test]
    fn nothing_is_deleted_under_another_pull() {
        let dir = Scratch::new("downloads-shared");
        let store = Store::open(dir.path()).unwrap();
        let config = blob(b"config");
        let found =
            Found { names: vec![], tag: None, manifest: None, config: config.clone(), layers: vec![] };
        let (one, other) = (Downloads::open(&store).unwrap(), Downloads::open(&store).unwrap());
        let mut part = partial(&one, &config);
        part.append(b"config").unwrap();
        part.finish().unwrap();
        one.discard(&found);
        assert!(matches!(other.part(&config).unwrap(), Standing::Whole));
        drop(one);
        other.discard(&found);
        assert!(matches!(other.part(&config).unwrap(), Standing::Partial(_)));
    }
}
