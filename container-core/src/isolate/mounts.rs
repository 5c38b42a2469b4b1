//! The kernel's file systems inside the new root: /proc, /sys, /dev and what belongs below them.
//!
//! All are mounted before the pivot, by their paths under the rootfs, as other engines do: a refused mount(2)
//! then names the container it was for in its own arguments.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::stat::Mode;
use nix::unistd::mkdir;

use super::rootfs::ensure_mount_point;
use super::{Failure, c_path, refused};
use crate::error::Error;
use crate::steps::Step;

/// The prepared mount points.
#[derive(Debug)]
pub(crate) struct Mounts {
    proc: CString,
    sys: CString,
    /// Only where v2 is the only hierarchy: there the container sees its own group.
    cgroup2: Option<CString>,
    dev: CString,
    pts: CString,
    shm: CString,
    /// Only where the kernel has POSIX message queues.
    mqueue: Option<CString>,
}

impl Mounts {
    pub(crate) fn prepare(rootfs: &Path, cgroup2: bool) -> Result<Mounts, Error> {
        let inside = |path: &str| c_path(&rootfs.join(path));
        // This folder of sysctls exists with CONFIG_POSIX_MQUEUE only.
        let mqueue = Path::new("/proc/sys/fs/mqueue").exists();
        Ok(Mounts {
            proc: inside("proc")?,
            sys: inside("sys")?,
            cgroup2: cgroup2.then(|| inside("sys/fs/cgroup")).transpose()?,
            dev: inside("dev")?,
            pts: inside("dev/pts")?,
            shm: inside("dev/shm")?,
            mqueue: mqueue.then(|| inside("dev/mqueue")).transpose()?,
        })
    }

    /// /proc of the container's own pid namespace: the calling process is its pid 1.
    pub(crate) fn mount_proc(&self, top: &OwnedFd) -> Result<(), Failure<'_>> {
        ensure_mount_point(top, c"proc")?;
        attach(Step::MountProc, c"proc", &self.proc, c"proc", KERNEL_FS, None)
    }

    /// /sys, read-only: its files change the host.
    pub(crate) fn mount_sysfs(&self, top: &OwnedFd) -> Result<(), Failure<'_>> {
        ensure_mount_point(top, c"sys")?;
        let flags = KERNEL_FS | MsFlags::MS_RDONLY;
        match mount(Some(c"sysfs"), self.sys.as_c_str(), Some(c"sysfs"), flags, None::<&CStr>) {
            // It shows a network namespace, and wants to be mounted by its owner. A normal user who shares the machine's is
            // not, and gets the machine's own, of which nothing is his to write.
            Err(Errno::EPERM) => {
                let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
                mount(Some(c"/sys"), self.sys.as_c_str(), None::<&CStr>, flags, None::<&CStr>)
            }
            done => done,
        }
        .map_err(refused(Step::MountSysfs, "mount", &self.sys))
    }

    /// /sys/fs/cgroup, read-only, rooted at the container's group by the cgroup namespace.
    pub(crate) fn mount_cgroup2(&self) -> Result<(), Failure<'_>> {
        let Some(target) = &self.cgroup2 else { return Ok(()) };
        attach(Step::MountCgroup2, c"cgroup", target, c"cgroup2", KERNEL_FS | MsFlags::MS_RDONLY, None)
    }

    /// An empty /dev. Not nodev: that is where device nodes live.
    pub(crate) fn mount_dev(&self, top: &OwnedFd) -> Result<(), Failure<'_>> {
        ensure_mount_point(top, c"dev")?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_STRICTATIME;
        attach(Step::MountDev, c"tmpfs", &self.dev, c"tmpfs", flags, Some(c"mode=755,size=65536k"))
    }

    /// Pseudo terminals of the container's own; gid 5 is `tty` on every distribution.
    pub(crate) fn mount_devpts(&self) -> Result<(), Failure<'_>> {
        make_dir(Step::MountDevpts, &self.pts)?;
        let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
        let with_group = c"newinstance,ptmxmode=0666,mode=0620,gid=5";
        match attach(Step::MountDevpts, c"devpts", &self.pts, c"devpts", flags, Some(with_group)) {
            // A normal user who is alone in his user namespace has no such group.
            Err(failure) if failure.errno == Errno::EINVAL => {
                let options = c"newinstance,ptmxmode=0666,mode=0620";
                attach(Step::MountDevpts, c"devpts", &self.pts, c"devpts", flags, Some(options))
            }
            done => done,
        }
    }

    /// shm_open(3).
    pub(crate) fn mount_shm(&self) -> Result<(), Failure<'_>> {
        make_dir(Step::MountShm, &self.shm)?;
        attach(Step::MountShm, c"shm", &self.shm, c"tmpfs", KERNEL_FS, Some(c"mode=1777,size=65536k"))
    }

    /// mq_overview(7).
    pub(crate) fn mount_mqueue(&self) -> Result<(), Failure<'_>> {
        let Some(target) = &self.mqueue else { return Ok(()) };
        make_dir(Step::MountMqueue, target)?;
        attach(Step::MountMqueue, c"mqueue", target, c"mqueue", KERNEL_FS, None)
    }
}

const KERNEL_FS: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

fn attach<'a>(
    step: Step,
    source: &CStr,
    target: &'a CStr,
    fs_type: &CStr,
    flags: MsFlags,
    options: Option<&CStr>,
) -> Result<(), Failure<'a>> {
    mount(Some(source), target, Some(fs_type), flags, options).map_err(refused(step, "mount", target))
}

fn make_dir(step: Step, path: &CStr) -> Result<(), Failure<'_>> {
    match mkdir(path, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => Ok(()),
        Err(errno) => Err(refused(step, "mkdir", path)(errno)),
    }
}
