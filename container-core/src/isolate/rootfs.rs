//! The root file system: from the engine's overlay mount to `/` of a new mount namespace, pivot_root(2).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{chdir, pivot_root};

use super::{Failure, c_path, refused};
use crate::error::Error;
use crate::steps::Step;

/// The prepared paths of the root file system.
#[derive(Debug)]
pub(crate) struct Rootfs {
    path: CString,
}

impl Rootfs {
    pub(crate) fn new(path: &Path) -> Result<Rootfs, Error> {
        Ok(Rootfs { path: c_path(path)? })
    }

    /// Step "make mounts private": MS_REC | MS_PRIVATE from the root, so that nothing mounted here shows up on
    /// the host, and nothing the host mounts later shows up here.
    pub(crate) fn make_mounts_private(&self) -> Result<(), Failure<'_>> {
        let flags = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(None::<&CStr>, c"/", None::<&CStr>, flags, None::<&CStr>).map_err(refused(
            Step::MakePrivate,
            "mount",
            c"/",
        ))
    }

    /// Step "bind rootfs": pivot_root(2) wants a mount point, and flags set on this one (read-only, nosuid)
    /// will not touch the engine's overlay mount.
    pub(crate) fn bind(&self) -> Result<(), Failure<'_>> {
        let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
        mount(Some(self.path.as_c_str()), self.path.as_c_str(), None::<&CStr>, flags, None::<&CStr>)
            .map_err(refused(Step::BindRootfs, "mount", &self.path))
    }

    /// The top folder of the bound root, to check mount points from.
    pub(crate) fn open_top(&self) -> Result<OwnedFd, Failure<'_>> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        open(self.path.as_c_str(), flags, Mode::empty()).map_err(refused(
            Step::OpenMountPoint,
            "openat",
            &self.path,
        ))
    }

    /// Steps "enter rootfs", "pivot_root" and "detach old root". With `.` for both, the old root is stacked on
    /// the new one and no folder is needed to put it (pivot_root(2), "pivot_root(".", ".")").
    pub(crate) fn pivot(&self) -> Result<(), Failure<'_>> {
        chdir(self.path.as_c_str()).map_err(refused(Step::EnterRootfs, "chdir", &self.path))?;
        pivot_root(c".", c".").map_err(refused(Step::PivotRoot, "pivot_root", &self.path))?;
        umount2(c".", MntFlags::MNT_DETACH).map_err(refused(Step::DetachOldRoot, "umount2", c"."))?;
        chdir(c"/").map_err(refused(Step::DetachOldRoot, "chdir", c"/"))
    }
}

/// Step "make rootfs read-only": the bind mount that became the root, and nothing that is mounted on it.
pub(crate) fn make_read_only() -> Result<(), Failure<'static>> {
    let flags = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mount(None::<&CStr>, c"/", None::<&CStr>, flags, None::<&CStr>).map_err(refused(
        Step::ReadOnlyRootfs,
        "mount",
        c"/",
    ))
}

/// Step "open mount point": the folder `name` right below `top`, made if missing. An image can put a symbolic
/// link there; mounting through it could hide a folder of the host until the pivot, so it is refused (ELOOP).
pub(crate) fn ensure_mount_point(top: &OwnedFd, name: &'static CStr) -> Result<(), Failure<'static>> {
    match mkdirat(top.as_fd(), name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(refused(Step::OpenMountPoint, "mkdirat", name)(errno)),
    }
    let how = OpenHow::new()
        .flags(OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(top.as_fd(), name, how).map(drop).map_err(refused(Step::OpenMountPoint, "openat2", name))
}
