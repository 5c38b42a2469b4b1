//! Writing a root file system into a folder that its entries cannot leave.
//!
//! Every entry's parent folder is opened by openat2(2) with RESOLVE_IN_ROOT and RESOLVE_NO_MAGICLINKS: an
//! absolute path, `..` or a symbolic link of an earlier entry resolves inside the folder, as it would in a
//! container. The last part of a path is then created by name in that parent and never followed.

mod whiteout;

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmodat, makedev, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, fchownat, linkat, symlinkat, unlinkat};

use super::entry::{Entry, Kind, Xattrs, parts};
use crate::rootless;

/// What an image may at most hold; more is a bomb or a mistake.
pub(super) const MAX_ENTRIES: u64 = 2_000_000;
/// Bytes of regular files, holes included.
pub(super) const MAX_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Zeroes of this size and alignment become a hole: a file that is nothing else costs no disk.
const HOLE: usize = 4096;

/// How much an image may hold.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    entries: u64,
    bytes: u64,
}

/// The folder being filled.
pub(super) struct Tree {
    top: OwnedFd,
    entries: u64,
    bytes: u64,
    bounds: Bounds,
    /// Folders get their times last, for every entry made in one changes them.
    folder_times: Vec<(Vec<u8>, (i64, i64))>,
    /// The parent of the entry before, which is mostly the parent of the next one too.
    last_parent: Option<(Vec<u8>, OwnedFd)>,
}

impl Tree {
    pub(super) fn open(dir: &Path) -> io::Result<Tree> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let top = open(dir, flags, Mode::empty())?;
        let bounds = Bounds { entries: MAX_ENTRIES, bytes: MAX_BYTES };
        Ok(Tree { top, entries: 0, bytes: 0, bounds, folder_times: Vec::new(), last_parent: None })
    }

    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Create one entry. An error's text is the reason; the caller names the entry.
    pub(super) fn add(&mut self, mut entry: Entry<'_>) -> Result<(), String> {
        self.entries += 1;
        if self.entries > self.bounds.entries {
            return Err(format!("it has more than {} entries", self.bounds.entries));
        }
        let path = std::mem::take(&mut entry.path);
        let parts = parts(&path).ok_or("its path contains \"..\"")?;
        let Some((name, parents)) = parts.split_last() else {
            return self.attributes_of_top(&entry);
        };
        let parent_path = parents.join(&b'/');
        let parent = match self.last_parent.take() {
            Some((path, fd)) if path == parent_path => fd,
            _ => self.open_parent(parents).map_err(|e| format!("its folder cannot be opened: {e}"))?,
        };
        if entry.layer && whiteout::is_whiteout(name) {
            return self.whiteout(&parent, name);
        }
        let folder_time = matches!(entry.kind, Kind::Directory).then(|| (parts.join(&b'/'), entry.mtime));
        let is_folder = folder_time.is_some();
        self.create(&parent, name, entry)?;
        self.folder_times.extend(folder_time);
        // A folder that replaced a link may be what a cached path went through.
        self.last_parent = (!is_folder).then_some((parent_path, parent));
        Ok(())
    }

    /// Last step: the times of folders, deepest first because setting one reads through its parents only.
    pub(super) fn finish(mut self) -> Result<(u64, u64), String> {
        self.last_parent = None;
        for (path, mtime) in std::mem::take(&mut self.folder_times).into_iter().rev() {
            let how = in_root(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
            // One that a later entry replaced has no time to set.
            if let Ok(dir) = openat2(&self.top, path.as_slice(), how) {
                set_times(&dir, b".", mtime).map_err(|e| e.to_string())?;
            }
        }
        Ok((self.entries, self.bytes))
    }

    /// The folder an entry goes into; folders that no entry announced are made with mode 0755.
    fn open_parent(&self, parents: &[&[u8]]) -> Result<OwnedFd, Errno> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = if parents.is_empty() { b".".to_vec() } else { parents.join(&b'/') };
        match openat2(&self.top, path.as_slice(), in_root(flags)) {
            Err(Errno::ENOENT) => {}
            done => return done,
        }
        let (last, above) = parents.split_last().ok_or(Errno::ENOENT)?;
        let grandparent = self.open_parent(above)?;
        mkdirat(&grandparent, *last, Mode::from_bits_truncate(0o755))?;
        openat2(&self.top, path.as_slice(), in_root(flags))
    }

    fn create(&mut self, parent: &OwnedFd, name: &[u8], entry: Entry<'_>) -> Result<(), String> {
        let attributes = Attributes::of(&entry);
        match entry.kind {
            Kind::Directory => {
                let hides = entry.layer && whiteout::is_made(parent, name);
                make_folder(parent, name).map_err(|e| e.to_string())?;
                if hides {
                    whiteout::set_opaque(parent, name).map_err(|e| e.to_string())?;
                }
            }
            Kind::File(content, length) => {
                return self.write_file(parent, name, content, length, &attributes);
            }
            Kind::Symlink(target) => {
                replace(parent, name, || symlinkat(target.as_slice(), parent, name))
                    .map_err(|e| e.to_string())?;
            }
            // A link shares its target's attributes: nothing to set.
            Kind::Hardlink(target) => return self.link(parent, name, &target),
            // Nobody could use it: other engines leave it out too.
            Kind::CharDevice(..) | Kind::BlockDevice(..) if rootless::in_user_namespace() => return Ok(()),
            Kind::CharDevice(major, minor) => make_node(parent, name, SFlag::S_IFCHR, makedev(major, minor))?,
            Kind::BlockDevice(major, minor) => {
                make_node(parent, name, SFlag::S_IFBLK, makedev(major, minor))?
            }
            Kind::Fifo => make_node(parent, name, SFlag::S_IFIFO, 0)?,
        }
        attributes.apply(parent, name)
    }

    fn write_file(
        &mut self,
        parent: &OwnedFd,
        name: &[u8],
        content: &mut dyn Read,
        length: u64,
        attributes: &Attributes,
    ) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(length);
        if self.bytes > self.bounds.bytes {
            return Err(format!("its files hold more than {} bytes", self.bounds.bytes));
        }
        let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mut made = None;
        replace(parent, name, || {
            made = Some(openat(parent, name, flags, Mode::from_bits_truncate(0o600))?);
            Ok(())
        })
        .map_err(|e| e.to_string())?;
        let mut file = File::from(made.ok_or("it was not created")?);
        let copied = copy_with_holes(&mut content.take(length), &mut file).map_err(|e| e.to_string())?;
        if copied != length {
            return Err(format!("it ends after {copied} of {length} bytes"));
        }
        drop(file);
        attributes.apply(parent, name)
    }

    fn link(&self, parent: &OwnedFd, name: &[u8], target: &[u8]) -> Result<(), String> {
        let parts = parts(target).ok_or("its target contains \"..\"")?;
        let (target_name, above) = parts.split_last().ok_or("it links to the root")?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let path = if above.is_empty() { b".".to_vec() } else { above.join(&b'/') };
        let from = openat2(&self.top, path.as_slice(), in_root(flags));
        let from = from.map_err(|e| format!("the folder of its target cannot be opened: {e}"))?;
        let linked = replace(parent, name, || linkat(&from, *target_name, parent, name, AtFlags::empty()));
        linked.map_err(|e| format!("linking to {:?}: {e}", String::from_utf8_lossy(target)))
    }

    fn attributes_of_top(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        if !matches!(entry.kind, Kind::Directory) {
            return Err("the root of an image must be a folder".to_owned());
        }
        let attributes = Attributes::of(entry);
        let how = in_root(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC);
        let top = openat2(&self.top, b".".as_slice(), how).map_err(|e| e.to_string())?;
        self.folder_times.push((b".".to_vec(), entry.mtime));
        attributes.apply(&top, b".")
    }
}

/// Copy all of `from`, leaving out blocks of zeroes; returns the length.
fn copy_with_holes(from: &mut dyn Read, to: &mut File) -> io::Result<u64> {
    let mut buffer = vec![0; 16 * HOLE];
    let (mut length, mut ends_in_hole) = (0, false);
    loop {
        let mut filled = 0;
        // Filled whole, so that blocks lie where the file system's blocks are.
        while filled < buffer.len() {
            match from.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if filled == 0 {
            break;
        }
        length += filled as u64;
        for block in buffer[..filled].chunks(HOLE) {
            ends_in_hole = block.len() == HOLE && block.iter().all(|byte| *byte == 0);
            match ends_in_hole {
                true => to.seek(SeekFrom::Current(HOLE as i64)).map(drop)?,
                false => to.write_all(block)?,
            }
        }
    }
    if ends_in_hole {
        to.set_len(length)?;
    }
    Ok(length)
}

/// Everything but the name and the content.
struct Attributes {
    is_symlink: bool,
    mode: u32,
    uid: u32,
    gid: u32,
    mtime: (i64, i64),
    xattrs: Xattrs,
}

impl Attributes {
    fn of(entry: &Entry<'_>) -> Attributes {
        Attributes {
            is_symlink: matches!(entry.kind, Kind::Symlink(_)),
            mode: entry.mode & 0o7777,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        }
    }

    /// Owner first, for chown(2) clears set-user-id and file capabilities; then mode, then extended attributes
    /// (capabilities are one), the time last. `name` was created by us and is not followed.
    fn apply(&self, parent: &OwnedFd, name: &[u8]) -> Result<(), String> {
        let owner = (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)));
        fchownat(parent, name, owner.0, owner.1, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(|errno| {
            // EINVAL: an owner who is nobody in the caller's user namespace.
            let hint = match errno {
                Errno::EINVAL => {
                    "; a normal user needs ranges of ids in /etc/subuid and /etc/subgid, and newuidmap"
                }
                _ => "",
            };
            format!("giving it to {}:{}: {errno}{hint}", self.uid, self.gid)
        })?;
        if !self.is_symlink {
            // Follows links, but there is none: we have just created this name as something else.
            fchmodat(parent, name, Mode::from_bits_truncate(self.mode), FchmodatFlags::FollowSymlink)
                .map_err(|e| e.to_string())?;
        }
        for (key, value) in self.xattrs.iter().filter(|(key, _)| belongs_to_image(key)) {
            set_xattr(parent, name, key, value).map_err(|e| e.to_string())?;
        }
        set_times(parent, name, self.mtime).map_err(|e| e.to_string())
    }
}

/// Overlayfs' own bookkeeping would let a layer point into others; labels of a security module are the host's.
fn belongs_to_image(key: &[u8]) -> bool {
    const FOREIGN: [&[u8]; 3] = [b"trusted.overlay.", b"user.overlay.", b"security.selinux"];
    !FOREIGN.iter().any(|start| key.starts_with(start))
}

fn in_root(flags: OFlag) -> OpenHow {
    OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS)
}

/// Create `name`, in place of what an earlier entry made there. A folder is only replaced when empty.
fn replace(parent: &OwnedFd, name: &[u8], mut make: impl FnMut() -> Result<(), Errno>) -> Result<(), Errno> {
    match make() {
        Err(Errno::EEXIST) => {}
        done => return done,
    }
    match unlinkat(parent, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::EISDIR) => unlinkat(parent, name, UnlinkatFlags::RemoveDir)?,
        removed => removed?,
    }
    make()
}

/// A folder that is there keeps its content; anything else by that name, also a link to a folder, is replaced.
fn make_folder(parent: &OwnedFd, name: &[u8]) -> Result<(), Errno> {
    let mode = Mode::from_bits_truncate(0o700);
    match mkdirat(parent, name, mode) {
        Err(Errno::EEXIST) => {}
        done => return done,
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    match openat(parent, name, flags, Mode::empty()) {
        Ok(_) => Ok(()),
        Err(_) => replace(parent, name, || mkdirat(parent, name, mode)),
    }
}

fn make_node(parent: &OwnedFd, name: &[u8], kind: SFlag, device: u64) -> Result<(), String> {
    replace(parent, name, || mknodat(parent, name, kind, Mode::from_bits_truncate(0o600), device))
        .map_err(|e| format!("mknod: {e}"))
}

fn set_times(parent: &OwnedFd, name: &[u8], mtime: (i64, i64)) -> Result<(), Errno> {
    let time = TimeSpec::new(mtime.0, mtime.1);
    utimensat(parent.as_fd(), name, &time, &time, UtimensatFlags::NoFollowSymlink)
}

/// setxattr(2) through the parent's descriptor: there is no setxattrat before kernel 6.13, so by way of
/// `/proc/self/fd/N/name`, whose last part is not followed.
fn set_xattr(parent: &OwnedFd, name: &[u8], key: &[u8], value: &[u8]) -> Result<(), Errno> {
    let mut path = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    let path = std::ffi::CString::new(path).map_err(|_| Errno::EINVAL)?;
    let key = std::ffi::CString::new(key).map_err(|_| Errno::EINVAL)?;
    // SAFETY: both strings are null-terminated, and pointer and length describe `value`.
    let ret = unsafe { libc::lsetxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(ret).map(drop)
}

#[cfg(test)]
#[path = "extract_tests.rs"]
mod tests;
