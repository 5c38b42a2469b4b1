//! What the caller mounts into the container: folders of the host, memory, volumes of its own.
//!
//! All are attached after the pivot: whatever links an image puts in the way of a target then resolve inside the
//! container. The sources were opened before, as mount trees that are attached nowhere (open_tree(2)).

use std::ffi::{CStr, CString};
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat, openat2};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::sys::statvfs::fstatvfs;

use super::{Failure, c_path, refused};
use crate::error::StepError;
use crate::launch::unprepared;
use crate::spec::{Mount, MountSource};
use crate::steps::Step;
use crate::sys;

/// One prepared mount.
#[derive(Debug)]
pub(crate) struct Volume {
    content: Content,
    target: CString,
    /// The target's folders from the top, itself last: the whole path and the last name of each.
    parts: Vec<(CString, CString)>,
    read_only: bool,
}

#[derive(Debug)]
enum Content {
    Tree { tree: OwnedFd, is_folder: bool, remount: Option<MsFlags> },
    Tmpfs(CString),
}

/// Step "open mount source", in the order in which they are to be mounted: what lies deeper comes later.
/// `anonymous` are the folders of the anonymous volumes, in the order of the list.
pub(crate) fn prepare(mounts: &[Mount], anonymous: &[PathBuf]) -> Result<Vec<Volume>, StepError> {
    let mut own = anonymous.iter();
    let mut volumes = Vec::new();
    for mount in mounts {
        let content = match &mount.source {
            MountSource::Bind { source } => open_source(source, mount.read_only)?,
            MountSource::Tmpfs { options } => {
                Content::Tmpfs(super::c_string(tmpfs_options(options)).map_err(unprepared)?)
            }
            MountSource::Anonymous => {
                let missing = || StepError::here(Step::OpenMountSource, "open_tree", "", Errno::ENOENT);
                open_source(own.next().ok_or_else(missing)?, mount.read_only)?
            }
        };
        volumes.push(Volume {
            content,
            target: c_path(&mount.target).map_err(unprepared)?,
            parts: parts(&mount.target)?,
            read_only: mount.read_only,
        });
    }
    volumes.sort_by_key(|volume| volume.parts.len());
    Ok(volumes)
}

fn open_source(source: &Path, read_only: bool) -> Result<Content, StepError> {
    let failed = |syscall: &'static str| {
        move |errno| StepError::here(Step::OpenMountSource, syscall, source.display(), errno)
    };
    let path = c_path(source).map_err(unprepared)?;
    let tree = sys::open_tree_clone(&path).map_err(failed("open_tree"))?;
    let kind = fstat(&tree).map_err(failed("newfstatat"))?.st_mode & libc::S_IFMT;
    let mut remount = None;
    if read_only {
        match sys::make_tree_read_only(tree.as_fd()) {
            // Before kernel 5.12 it takes a remount, which sets all flags: those that are there must be named.
            Err(Errno::ENOSYS) => {
                let there = fstatvfs(&tree).map_err(failed("fstatfs"))?.flags().bits();
                remount = Some(MsFlags::from_bits_truncate(
                    there & (libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC),
                ));
            }
            done => done.map_err(failed("mount_setattr"))?,
        }
    }
    Ok(Content::Tree { tree, is_folder: kind == libc::S_IFDIR, remount })
}

/// docker's rule: what the kernel would allow is taken away unless it is asked for by name.
fn tmpfs_options(given: &str) -> String {
    // Flags of the mount, not options of the file system, are set by `attach_tmpfs`.
    let of_mount =
        |word: &&str| !["rw", "ro", "exec", "noexec", "suid", "nosuid", "dev", "nodev"].contains(word);
    given.split(',').filter(|word| !word.is_empty()).filter(of_mount).collect::<Vec<_>>().join(",")
}

/// `/a/b` as `a`, `a/b` with their last names.
fn parts(target: &Path) -> Result<Vec<(CString, CString)>, StepError> {
    let mut whole = PathBuf::new();
    let mut parts = Vec::new();
    for part in target.components() {
        if let Component::Normal(name) = part {
            whole.push(name);
            let pair = (c_path(&whole).map_err(unprepared)?, c_path(Path::new(name)).map_err(unprepared)?);
            parts.push(pair);
        }
    }
    Ok(parts)
}

/// Steps "mount volume" and "mount tmpfs volume", after the pivot.
pub(crate) fn attach(volumes: &[Volume]) -> Result<(), Failure<'_>> {
    if volumes.is_empty() {
        return Ok(());
    }
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = open(c"/", flags, Mode::empty()).map_err(refused(Step::MountVolume, "openat", c"/"))?;
    for volume in volumes {
        let target = volume.open_target(&root)?;
        match &volume.content {
            Content::Tree { tree, remount, .. } => volume.attach_tree(tree, *remount, target.as_fd())?,
            Content::Tmpfs(options) => volume.attach_tmpfs(options, target.as_fd())?,
        }
    }
    Ok(())
}

impl Volume {
    /// The target, inside the container whatever links are on the way; what is missing is made.
    fn open_target(&self, root: &OwnedFd) -> Result<OwnedFd, Failure<'_>> {
        let mut parent: Option<OwnedFd> = None;
        for (index, (path, name)) in self.parts.iter().enumerate() {
            let here = parent.as_ref().unwrap_or(root);
            let opened = match open_in(root, path) {
                Err(Errno::ENOENT) => {
                    self.make(here, name, index + 1 == self.parts.len())?;
                    open_in(root, path)
                }
                done => done,
            };
            parent = Some(opened.map_err(refused(Step::MountVolume, "openat2", &self.target))?);
        }
        parent.ok_or(Failure {
            step: Step::MountVolume,
            syscall: "openat2",
            errno: Errno::EINVAL,
            object: &self.target,
        })
    }

    /// A folder; an empty file when a file is to be mounted there.
    fn make(&self, parent: &OwnedFd, name: &CStr, is_last: bool) -> Result<(), Failure<'_>> {
        let is_file = matches!(self.content, Content::Tree { is_folder: false, .. });
        if is_last && is_file {
            let flags =
                OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            return openat(parent, name, flags, Mode::from_bits_truncate(0o644)).map(drop).map_err(refused(
                Step::MountVolume,
                "openat",
                &self.target,
            ));
        }
        mkdirat(parent, name, Mode::from_bits_truncate(0o755)).map_err(refused(
            Step::MountVolume,
            "mkdirat",
            &self.target,
        ))
    }

    fn attach_tree(
        &self,
        tree: &OwnedFd,
        remount: Option<MsFlags>,
        target: BorrowedFd<'_>,
    ) -> Result<(), Failure<'_>> {
        sys::move_mount(tree.as_fd(), target).map_err(refused(
            Step::MountVolume,
            "move_mount",
            &self.target,
        ))?;
        let mut buffer = [0; 32];
        let by_number = descriptor_path(tree.as_raw_fd(), &mut buffer);
        let flag = |flags| {
            mount(None::<&CStr>, by_number, None::<&CStr>, flags, None::<&CStr>).map_err(refused(
                Step::MountVolume,
                "mount",
                &self.target,
            ))
        };
        // A copy of a shared mount is shared with it: what is mounted below would show up on the host.
        flag(MsFlags::MS_REC | MsFlags::MS_PRIVATE)?;
        match remount {
            Some(flags) => flag(flags | MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY),
            None => Ok(()),
        }
    }

    fn attach_tmpfs(&self, options: &CStr, target: BorrowedFd<'_>) -> Result<(), Failure<'_>> {
        let mut buffer = [0; 32];
        let by_number = descriptor_path(target.as_raw_fd(), &mut buffer);
        let mut flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
        flags.set(MsFlags::MS_RDONLY, self.read_only);
        mount(Some(c"tmpfs"), by_number, Some(c"tmpfs"), flags, Some(options)).map_err(refused(
            Step::MountTmpfs,
            "mount",
            &self.target,
        ))
    }
}

/// No magic links: one in /proc could lead to a folder of the host that is still open here (CVE-2024-21626).
fn open_in(root: &OwnedFd, path: &CStr) -> Result<OwnedFd, Errno> {
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
    openat2(root, path, how)
}

/// `/proc/self/fd/N`, without allocating: mount(2) takes no descriptor.
fn descriptor_path(number: i32, buffer: &mut [u8; 32]) -> &CStr {
    // The buffer is full of zeroes, so what is written into it ends with one; eleven digits fit.
    let _ = write!(buffer.as_mut_slice(), "/proc/self/fd/{number}");
    CStr::from_bytes_until_nul(buffer).unwrap_or(c"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_have_paths() {
        assert_eq!(descriptor_path(7, &mut [0; 32]), c"/proc/self/fd/7");
        assert_eq!(descriptor_path(i32::MAX, &mut [0; 32]), c"/proc/self/fd/2147483647");
    }

    #[test]
    fn a_target_has_its_folders() {
        let parts = parts(Path::new("/a/b")).unwrap();
        assert_eq!(parts, [(c"a".into(), c"a".into()), (c"a/b".into(), c"b".into())]);
        assert_eq!(tmpfs_options("rw,size=1m,noexec,mode=1777"), "size=1m,mode=1777");
    }
}
