//! Reading a root file system from a folder of this machine.
//!
//! The layer's digest is over a canonical listing of everything that is copied (sorted paths, attributes,
//! contents), so the same folder imported twice is one layer.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::sys::stat::{major, minor};
use sha2::{Digest, Sha256};

use super::entry::{Entry, Kind, Xattrs};
use super::extract::Tree;
use super::layer::{Draft, NewLayer};
use crate::error::Error;
use crate::id::hex;

/// Fill `draft` from the folder at `path`.
pub(super) fn read(path: &Path, draft: Draft) -> Result<NewLayer, Error> {
    let refuse = |reason: String| Error::NotAnImage { path: path.to_owned(), reason };
    let top = fs::metadata(path).map_err(Error::store("read", path))?;
    let mut walk = Walk {
        source: path.to_owned(),
        device: top.dev(),
        tree: Tree::open(&draft.tree()).map_err(|e| refuse(e.to_string()))?,
        hash: Sha256::new(),
        seen: HashMap::new(),
    };
    walk.hash.update(b"container-core folder layer 1\n");
    walk.folder(Path::new(""), &top).map_err(refuse)?;
    if walk.tree.entries() == 1 {
        return Err(refuse("the folder is empty".to_owned()));
    }
    let digest = format!("sha256:{}", hex(&walk.hash.finalize()));
    let (entries, bytes) = walk.tree.finish().map_err(refuse)?;
    Ok(NewLayer { draft, digest, bytes, entries })
}

/// Copy a folder with all that is in it into `to`, which exists and is empty.
pub(super) fn copy(from: &Path, to: &Path) -> Result<(), String> {
    let top = fs::metadata(from).map_err(|e| e.to_string())?;
    let mut walk = Walk {
        source: from.to_owned(),
        device: top.dev(),
        tree: Tree::open(to).map_err(|e| e.to_string())?,
        hash: Sha256::new(),
        seen: HashMap::new(),
    };
    walk.folder(Path::new(""), &top)?;
    walk.tree.finish().map(drop)
}

struct Walk {
    source: PathBuf,
    device: u64,
    tree: Tree,
    hash: Sha256,
    /// Inode number of a file with several links -> the path it was copied to first.
    seen: HashMap<u64, PathBuf>,
}

impl Walk {
    /// A folder and, sorted by name, all that is in it. Recursion is as deep as the tree.
    fn folder(&mut self, path: &Path, metadata: &Metadata) -> Result<(), String> {
        self.add(path, metadata)?;
        let dir = self.source.join(path);
        let failed = |e: io::Error| format!("{}: {e}", dir.display());
        let entries = fs::read_dir(&dir).map_err(failed)?;
        let mut names =
            entries.map(|e| e.map(|e| e.file_name())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        names.sort();
        for name in names {
            let inner = path.join(&name);
            let found = self.source.join(&inner);
            let metadata = fs::symlink_metadata(&found).map_err(|e| format!("{}: {e}", found.display()))?;
            if metadata.dev() != self.device {
                return Err(format!("{} is on another file system: unmount it first", found.display()));
            }
            match metadata.is_dir() {
                true => self.folder(&inner, &metadata)?,
                false => self.add(&inner, &metadata)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, metadata: &Metadata) -> Result<(), String> {
        let found = self.source.join(path);
        let named = |reason: &dyn std::fmt::Display| format!("{}: {reason}", found.display());
        if metadata.nlink() > 1 && !metadata.is_dir() {
            if let Some(first) = self.seen.get(&metadata.ino()).cloned() {
                self.digest(path, metadata, b'h', first.as_os_str());
                let kind = Kind::Hardlink(first.as_os_str().as_bytes().to_vec());
                return self.tree.add(entry(path, metadata, kind, Vec::new())).map_err(|e| named(&e));
            }
            self.seen.insert(metadata.ino(), path.to_owned());
        }
        let xattrs = xattrs(&found).map_err(|e| named(&e))?;
        let file_type = metadata.file_type();
        let device = (major(metadata.rdev()), minor(metadata.rdev()));
        let numbers = format!("{}:{}", device.0, device.1);
        let added = if file_type.is_file() {
            return self.add_file(path, metadata, xattrs).map_err(|e| named(&e));
        } else if file_type.is_dir() {
            self.digest(path, metadata, b'd', OsStr::new(""));
            self.tree.add(entry(path, metadata, Kind::Directory, xattrs.clone()))
        } else if file_type.is_symlink() {
            let target = fs::read_link(&found).map_err(|e| named(&e))?;
            self.digest(path, metadata, b'l', target.as_os_str());
            let kind = Kind::Symlink(target.as_os_str().as_bytes().to_vec());
            self.tree.add(entry(path, metadata, kind, xattrs.clone()))
        } else if file_type.is_char_device() {
            self.digest(path, metadata, b'c', OsStr::new(&numbers));
            self.tree.add(entry(path, metadata, Kind::CharDevice(device.0, device.1), xattrs.clone()))
        } else if file_type.is_block_device() {
            self.digest(path, metadata, b'b', OsStr::new(&numbers));
            self.tree.add(entry(path, metadata, Kind::BlockDevice(device.0, device.1), xattrs.clone()))
        } else if file_type.is_fifo() {
            self.digest(path, metadata, b'p', OsStr::new(""));
            self.tree.add(entry(path, metadata, Kind::Fifo, xattrs.clone()))
        } else {
            Err("a socket cannot be part of an image".to_owned())
        };
        self.digest_xattrs(&xattrs);
        added.map_err(|e| named(&e))
    }

    fn add_file(&mut self, path: &Path, metadata: &Metadata, xattrs: Xattrs) -> Result<(), String> {
        self.digest(path, metadata, b'f', OsStr::new(&metadata.len().to_string()));
        self.digest_xattrs(&xattrs);
        // O_NONBLOCK: what was a file a moment ago may be a fifo now, and must not hold us up.
        let mut options = fs::OpenOptions::new();
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let file = options.open(self.source.join(path)).map_err(|e| e.to_string())?;
        let mut content = Hashed { file, hash: &mut self.hash };
        self.tree.add(entry(path, metadata, Kind::File(&mut content, metadata.len()), xattrs))
    }

    /// Everything an entry is, each text with its length before it so that no two listings look alike.
    fn digest(&mut self, path: &Path, metadata: &Metadata, kind: u8, detail: &OsStr) {
        self.hash.update([kind]);
        for text in [path.as_os_str(), detail] {
            self.hash.update((text.len() as u64).to_le_bytes());
            self.hash.update(text.as_bytes());
        }
        for number in [
            u64::from(metadata.mode()),
            u64::from(metadata.uid()),
            u64::from(metadata.gid()),
            metadata.mtime() as u64,
            metadata.mtime_nsec() as u64,
        ] {
            self.hash.update(number.to_le_bytes());
        }
    }

    fn digest_xattrs(&mut self, xattrs: &[(Vec<u8>, Vec<u8>)]) {
        for (key, value) in xattrs {
            for text in [key, value] {
                self.hash.update((text.len() as u64).to_le_bytes());
                self.hash.update(text);
            }
        }
    }
}

fn entry<'a>(path: &Path, metadata: &Metadata, kind: Kind<'a>, xattrs: Xattrs) -> Entry<'a> {
    Entry {
        path: path.as_os_str().as_bytes().to_vec(),
        kind,
        mode: metadata.mode(),
        uid: metadata.uid(),
        gid: metadata.gid(),
        mtime: (metadata.mtime(), metadata.mtime_nsec()),
        xattrs,
        layer: false,
    }
}

/// A file's content, hashed on its way.
struct Hashed<'a> {
    file: File,
    hash: &'a mut Sha256,
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// llistxattr(2) and lgetxattr(2), sorted. Labels of the host's security module stay behind, they are the
/// host's; so does overlayfs' own bookkeeping.
fn xattrs(path: &Path) -> io::Result<Xattrs> {
    let c_path = std::ffi::CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: both calls get a null-terminated path and a buffer with its length; a null one asks for the size.
    let names = read_sized(|buffer, len| unsafe { libc::llistxattr(c_path.as_ptr(), buffer.cast(), len) })?;
    let mut found = Vec::new();
    for name in names.split(|b| *b == 0).filter(|name| !name.is_empty()) {
        if name.starts_with(b"security.selinux") || name.starts_with(b"trusted.overlay.") {
            continue;
        }
        let c_name = std::ffi::CString::new(name)?;
        let read = |buffer: *mut u8, len| {
            // SAFETY: as above.
            unsafe { libc::lgetxattr(c_path.as_ptr(), c_name.as_ptr(), buffer.cast(), len) }
        };
        found.push((name.to_vec(), read_sized(read)?));
    }
    found.sort();
    Ok(found)
}

/// Call once for the size and once for the content. A file system without attributes has none.
fn read_sized(call: impl Fn(*mut u8, usize) -> isize) -> io::Result<Vec<u8>> {
    let failed = || match io::Error::last_os_error() {
        e if e.raw_os_error() == Some(libc::ENOTSUP) => Ok(Vec::new()),
        e => Err(e),
    };
    let Ok(size) = usize::try_from(call(std::ptr::null_mut(), 0)) else { return failed() };
    let mut buffer = vec![0; size];
    match usize::try_from(call(buffer.as_mut_ptr(), size)) {
        Ok(read) => {
            buffer.truncate(read);
            Ok(buffer)
        }
        Err(_) => failed(),
    }
}
