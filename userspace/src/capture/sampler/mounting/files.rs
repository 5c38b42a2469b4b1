//! Numbers and switches behind refused file operations: quotas, RLIMIT_FSIZE, the sysctls on shared folders.

use super::super::file_system::open_flags;
use super::super::{Look, Sampled, caller};
use super::held::Held;
use crate::limits::Limit;
use crate::limits::{files::QUOTAS, rlimits::FSIZE};
use crate::model::{Errno, Fact, Failure, Place, PlaceKind, Reading, State, Taken};
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

/// `Q_GETQUOTA` of a type (linux/quota.h: QCMD).
const Q_GETQUOTA: u32 = 0x80_0007;

/// `FS_IOC_FSGETXATTR` (linux/fs.h), whose struct has the project id at byte 12.
const FS_IOC_FSGETXATTR: libc::c_ulong = 0x801c_581f;

/// Quotas are for those whose space is asked for; 4 KiB is what a block takes at least.
const BLOCK: u64 = 4096;

pub(super) fn look(held: &Held, look: &Look<'_>, failure: &Failure, places: &mut [Place], out: &mut Sampled) {
    match look.errno.0 {
        libc::EDQUOT | libc::ENOSPC => quotas(held, look, failure, places, out),
        libc::EFBIG => size(held, look, failure, out),
        libc::EXDEV => places.iter_mut().for_each(|p| p.project = project(held, p)),
        libc::EPERM if matches!(look.call, "mount_setattr" | "open_tree_attr") => {
            attributes(held, look, failure, out)
        }
        libc::EPERM | libc::EACCES => switches(held, look, failure, out),
        libc::EINVAL if matches!(look.call, "mount_setattr" | "open_tree_attr") => {
            attributes(held, look, failure, out)
        }
        _ => {}
    }
}

fn state(name: &str, value: String, source: String, after_ns: u64) -> Fact {
    Fact::State(State { name: name.into(), of: String::new(), value, source, after_ns })
}

fn switches(held: &Held, look: &Look<'_>, failure: &Failure, out: &mut Sampled) {
    let after = look.after(failure);
    for name in ["protected_hardlinks", "protected_symlinks", "protected_regular", "protected_fifos"] {
        let path = format!("/proc/sys/fs/{name}");
        if let Ok(value) = fs::read_to_string(look.root.join(&path)) {
            out.facts.push(state(&format!("fs.{name}"), value.trim().into(), path, after));
        }
    }
    if let Some(caps) = held.status.lines().find_map(|line| line.strip_prefix("CapEff:")) {
        out.facts.push(state("CapEff", caps.trim().into(), "/proc/PID/status".into(), after));
    }
}

/// The first word of `struct mount_attr` (mount_setattr(2)), read where the caller passed it.
fn attributes(held: &Held, look: &Look<'_>, failure: &Failure, out: &mut Sampled) {
    let Some(address) = failure.number_arg("attr").filter(|_| held.is_own()) else { return };
    if let Some(word) = caller::array(&held.proc, address).map(u64::from_ne_bytes) {
        let value = format!("{word:#x}");
        out.facts.push(state("mount_attr.attr_set", value, "/proc/PID/mem".into(), look.after(failure)));
    }
}

/// Where the write would have begun, or the size asked for, against the limit.
fn size(held: &Held, look: &Look<'_>, failure: &Failure, out: &mut Sampled) {
    let limits = fs::read_to_string(held.proc.join("limits")).ok().filter(|_| held.is_own());
    let ceiling = limits.and_then(|text| {
        let row = text.lines().find_map(|line| line.strip_prefix("Max file size"))?.to_string();
        match row.split_whitespace().next()? {
            "unlimited" => Some(u64::MAX),
            n => n.parse().ok(),
        }
    });
    let number = |name: &str| failure.number_arg(name);
    let usage = match look.call {
        "truncate" | "truncate64" | "ftruncate" | "ftruncate64" => {
            number("length").map(|n| n.saturating_sub(1))
        }
        "fallocate" => {
            number("offset").zip(number("size")).map(|(o, s)| o.saturating_add(s).saturating_sub(1))
        }
        "pwrite64" | "pwritev" | "pwritev2" => number("offset"),
        "copy_file_range" | "splice" if number("off_out").is_some_and(|at| at != 0) => {
            // A position that is passed by pointer.
            number("off_out").and_then(|at| caller::array(&held.proc, at)).map(u64::from_ne_bytes)
        }
        _ => ["fd", "out_fd", "fd_out"].iter().find_map(|n| number(n)).and_then(|fd| position(held, fd)),
    };
    out.readings.push(Reading {
        limit: FSIZE.id.into(),
        scope: format!("process {}", failure.task.pid),
        ceiling,
        usage,
        adds: Some(1),
        hits: None,
        unit: FSIZE.unit.into(),
        taken: Taken::After { ns: look.after(failure) },
        source: "/proc/PID/limits, /proc/PID/fdinfo".into(),
    });
}

/// Where the next write of a descriptor goes: its position, or the file's end with O_APPEND.
fn position(held: &Held, fd: u64) -> Option<u64> {
    let info = fs::read_to_string(held.proc.join(format!("fdinfo/{fd}"))).ok()?;
    if open_flags(&info)? & libc::O_APPEND != 0 {
        return fs::metadata(held.proc.join(format!("fd/{fd}"))).ok().map(|m| m.len());
    }
    info.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()
}

/// The object itself or the folder that would hold it, opened for reading: quotas are counted for its owner.
fn object(held: &Held, place: &Place) -> Option<File> {
    let path = match place.kind {
        PlaceKind::File | PlaceKind::Folder => place.path.clone(),
        PlaceKind::Absent => place
            .path
            .rsplit_once('/')
            .map_or(".".into(), |(dir, _)| if dir.is_empty() { "/".into() } else { dir.to_string() }),
        _ => return None,
    };
    let base: &OwnedFd = if path.starts_with('/') { held.root() } else { held.cwd()? };
    let full = format!("/proc/self/fd/{}/{}", base.as_raw_fd(), path.trim_start_matches('/'));
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC)
        .open(full)
        .ok()
}

fn project(held: &Held, place: &Place) -> Option<u32> {
    let file = object(held, place)?;
    let mut attributes = [0_u32; 7];
    // SAFETY: the descriptor is open, and the buffer has the 28 bytes of struct fsxattr.
    let rc = unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FSGETXATTR as _, attributes.as_mut_ptr()) };
    (rc == 0).then_some(attributes[3])
}

fn quotas(held: &Held, look: &Look<'_>, failure: &Failure, places: &mut [Place], out: &mut Sampled) {
    let new = ["newpath", "pathname", "path", "fd", "fd_out", "out_fd", "linkpath", "addr"];
    let Some(place) = places.iter_mut().rfind(|p| new.contains(&p.role.as_str())) else {
        return;
    };
    place.project = project(held, place);
    let Some(mount) = &place.mount else { return };
    let on =
        |names: &[&str]| mount.options.split(',').any(|o| names.contains(&o.split('=').next().unwrap_or(o)));
    // ext4 keeps the types of its quota feature out of the options, so that all are asked for.
    if look.errno == Errno::ENOSPC && !on(&["prjquota", "pquota", "prjjquota"]) {
        return;
    }
    let absent = place.kind == PlaceKind::Absent;
    let (uid, gid) = if absent { (failure.task.uid, u32::MAX) } else { (place.uid, place.gid) };
    let Ok(device) = CString::new(mount.source.clone()) else { return };
    for (kind, id) in [(0, Some(uid)), (1, Some(gid)), (2, place.project)] {
        let Some(id) = id.filter(|id| *id != u32::MAX) else { continue };
        let Some(quota) = get(&device, kind, id) else { continue };
        let spec = |limit: &Limit, usage: u64, hard: u64, soft: u64, due: u64, adds: u64| {
            let overdue = soft > 0 && usage > soft && due > 0 && due <= now();
            let ceiling = match (hard, overdue) {
                (_, true) => soft,
                (0, false) => u64::MAX,
                (hard, false) => hard,
            };
            Reading {
                limit: limit.id.into(),
                scope: format!("{} {id} on {}", ["user", "group", "project"][kind as usize], mount.source),
                ceiling: Some(ceiling),
                usage: Some(usage),
                adds: Some(adds),
                hits: None,
                unit: limit.unit.into(),
                taken: Taken::After { ns: look.after(failure) },
                source: "quotactl(2), Q_GETQUOTA".into(),
            }
        };
        let (blocks, inodes) = (QUOTAS[kind as usize * 2], QUOTAS[kind as usize * 2 + 1]);
        out.readings.push(spec(
            blocks,
            quota.dqb_curspace,
            quota.dqb_bhardlimit * 1024,
            quota.dqb_bsoftlimit * 1024,
            quota.dqb_btime,
            BLOCK,
        ));
        out.readings.push(spec(
            inodes,
            quota.dqb_curinodes,
            quota.dqb_ihardlimit,
            quota.dqb_isoftlimit,
            quota.dqb_itime,
            1,
        ));
    }
}

fn now() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

fn get(device: &CString, kind: u32, id: u32) -> Option<libc::dqblk> {
    // SAFETY: an all-zero dqblk is a valid value of a struct of integers.
    let mut quota: libc::dqblk = unsafe { std::mem::zeroed() };
    let command = (Q_GETQUOTA << 8 | kind) as i32;
    // SAFETY: the device's name is a terminated string, and the buffer outlives the call.
    let rc = unsafe { libc::quotactl(command, device.as_ptr(), id as i32, (&raw mut quota).cast()) };
    (rc == 0).then_some(quota)
}
