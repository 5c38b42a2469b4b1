//! Files of /proc and /sys that belong to the whole machine: hidden, or shown without write access.
//!
//! Neither file system is namespaced as a whole. What is listed tells of other containers and of the host (masked), or
//! changes the host when root writes to it (read-only). The lists have docker's effect.

use std::ffi::{CStr, CString};
use std::path::Path;

use nix::errno::Errno;
use nix::mount::{MsFlags, mount};

use super::{Failure, c_path, refused};
use crate::error::Error;
use crate::steps::Step;

/// Hidden, each for what it would tell or allow.
const MASKED: [&str; 13] = [
    // Firmware tables of the machine, and sleep states.
    "/proc/acpi",
    "/proc/asound",
    // The machine's memory as a core file.
    "/proc/kcore",
    // Keys of every user whose ids the container's users share.
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/scsi",
    // Names and pids of all tasks.
    "/proc/sched_debug",
    "/proc/timer_list",
    "/proc/timer_stats",
    // Timing of other tenants' input and network.
    "/proc/interrupts",
    "/sys/devices/virtual/powercap",
    "/sys/devices/system/cpu/cpu0/thermal_throttle",
    "/sys/firmware",
];

/// Visible, but not to be written.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The prepared paths below the rootfs, only those that this kernel has.
#[derive(Debug)]
pub(crate) struct SystemPaths {
    /// The container's own /dev/null, which covers files.
    null: CString,
    masked: Vec<(CString, bool)>,
    read_only: Vec<CString>,
}

impl SystemPaths {
    /// With `show_all` nothing is hidden.
    pub(crate) fn prepare(rootfs: &Path, show_all: bool) -> Result<SystemPaths, Error> {
        let inside = |path: &str| c_path(&rootfs.join(path.trim_start_matches('/')));
        let mut paths = SystemPaths { null: inside("/dev/null")?, masked: Vec::new(), read_only: Vec::new() };
        if show_all {
            return Ok(paths);
        }
        for path in MASKED {
            // The host's /proc is of the same kernel as the container's, so what is missing here is there too.
            if let Ok(metadata) = std::fs::metadata(path) {
                paths.masked.push((inside(path)?, metadata.is_dir()));
            }
        }
        for path in READ_ONLY.iter().filter(|path| Path::new(path).exists()) {
            paths.read_only.push(inside(path)?);
        }
        Ok(paths)
    }

    /// Step "mask path": /dev/null over a file, an empty read-only tmpfs over a folder.
    pub(crate) fn mask(&self) -> Result<(), Failure<'_>> {
        for (path, is_folder) in &self.masked {
            let covered = match is_folder {
                true => {
                    let options = Some(c"size=0k,nr_inodes=2");
                    mount(Some(c"tmpfs"), path.as_c_str(), Some(c"tmpfs"), MsFlags::MS_RDONLY, options)
                }
                false => bind(&self.null, path),
            };
            match covered {
                // Gone since it was looked for: nothing to hide.
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(refused(Step::MaskPath, "mount", path)(errno)),
            }
        }
        Ok(())
    }

    /// Step "make path read-only": a bind mount of the path on itself, then its flags.
    pub(crate) fn protect(&self) -> Result<(), Failure<'_>> {
        let flags = MsFlags::MS_BIND
            | MsFlags::MS_REMOUNT
            | MsFlags::MS_RDONLY
            | MsFlags::MS_NOSUID
            | MsFlags::MS_NODEV
            | MsFlags::MS_NOEXEC;
        for path in &self.read_only {
            bind(path, path).map_err(refused(Step::ProtectPath, "mount", path))?;
            mount(None::<&CStr>, path.as_c_str(), None::<&CStr>, flags, None::<&CStr>).map_err(refused(
                Step::ProtectPath,
                "mount",
                path,
            ))?;
        }
        Ok(())
    }
}

fn bind(source: &CStr, target: &CStr) -> Result<(), Errno> {
    mount(Some(source), target, None::<&CStr>, MsFlags::MS_BIND, None::<&CStr>)
}
