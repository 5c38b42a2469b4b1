//! What the tracing tests need around them: a thread with mounts of its own, the lowered limit, and a
//! photograph of tracefs.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

pub(crate) fn monotonic_ns() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// The calling thread's number.
pub(crate) fn tid() -> u32 {
    nix::unistd::gettid().as_raw() as u32
}

/// Runs in a thread with its own mount namespace, below a tmpfs that goes with it.
pub(crate) struct Scene {
    dir: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap().keep() }
    }

    pub(crate) fn play<R: Send>(self, act: impl FnOnce(&Self) -> R + Send) -> R {
        let scene = &self;
        let result = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().name("scene-thread".into());
            let play = || {
                unshare(CloneFlags::CLONE_NEWNS).unwrap();
                let none = None::<&str>;
                mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
                mount(Some("scene"), &scene.dir, Some("tmpfs"), MsFlags::empty(), none).unwrap();
                for name in ["good", "other"] {
                    fs::create_dir(scene.dir.join(name)).unwrap();
                }
                act(scene)
            };
            thread.spawn_scoped(scope, play).unwrap().join()
        });
        fs::remove_dir(&self.dir).unwrap();
        result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    pub(crate) fn mount_tmpfs(&self, at: &str) -> io::Result<()> {
        let none = None::<&str>;
        Ok(mount(Some("test"), &self.dir.join(at), Some("tmpfs"), MsFlags::empty(), none)?)
    }

    pub(crate) fn mount_bind(&self, from: &str, at: &str) -> io::Result<()> {
        let (from, at, none) = (self.dir.join(from), self.dir.join(at), None::<&str>);
        Ok(mount(Some(&from), &at, none, MsFlags::MS_BIND, none)?)
    }

    /// As runc, crun and containerd do it today: fsopen, fsconfig, fsmount, move_mount.
    pub(crate) fn move_mount_tmpfs(&self, at: &str) -> io::Result<()> {
        const FSCONFIG_CMD_CREATE: usize = 6;
        const MOVE_MOUNT_F_EMPTY_PATH: usize = 4;
        let at = std::ffi::CString::new(self.dir.join(at).into_os_string().into_encoded_bytes())?;
        let here = libc::AT_FDCWD as usize;
        let context = own(call(libc::SYS_fsopen, [c"tmpfs".as_ptr() as usize, 0, 0, 0, 0])?);
        let fd = context.as_raw_fd() as usize;
        call(libc::SYS_fsconfig, [fd, FSCONFIG_CMD_CREATE, 0, 0, 0])?;
        let mount = own(call(libc::SYS_fsmount, [fd, 0, 0, 0, 0])?);
        let fd = mount.as_raw_fd() as usize;
        let (empty, at) = (c"".as_ptr() as usize, at.as_ptr() as usize);
        call(libc::SYS_move_mount, [fd, empty, here, at, MOVE_MOUNT_F_EMPTY_PATH]).map(drop)
    }
}

fn call(number: libc::c_long, args: [usize; 5]) -> io::Result<libc::c_long> {
    // SAFETY: the callers pass what the call's manual page asks for; the strings outlive the call.
    let result = unsafe { libc::syscall(number, args[0], args[1], args[2], args[3], args[4]) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn own(fd: libc::c_long) -> OwnedFd {
    // SAFETY: the kernel has just returned this descriptor to us.
    unsafe { OwnedFd::from_raw_fd(fd as i32) }
}

/// fs.mount-max lowered to what this thread's namespace holds; put back on drop.
pub(crate) struct MountMax(String);

const MOUNT_MAX: &str = "/proc/sys/fs/mount-max";

impl MountMax {
    pub(crate) fn exhausted() -> Self {
        let before = fs::read_to_string(MOUNT_MAX).unwrap();
        let mounts = fs::read_to_string("/proc/thread-self/mountinfo").unwrap().lines().count();
        // The namespace's root is counted by the kernel but shown only when something is mounted on it,
        // so one more or less: a limit too low refuses all the same.
        fs::write(MOUNT_MAX, mounts.to_string()).unwrap();
        Self(before)
    }
}

impl Drop for MountMax {
    fn drop(&mut self) {
        fs::write(MOUNT_MAX, &self.0).unwrap();
    }
}

/// The writable control files of the top instance with what they hold, and the instances.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Controls {
    files: BTreeMap<PathBuf, String>,
    instances: Vec<String>,
}

impl Controls {
    pub(crate) fn read() -> Self {
        let root = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"].map(Path::new);
        let root = root.into_iter().find(|root| root.join("trace").exists()).expect("tracefs is mounted");
        let mut files = BTreeMap::new();
        read_into(root, root, &mut files);
        let mut instances: Vec<_> = fs::read_dir(root.join("instances"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        instances.sort();
        Self { files, instances }
    }
}

fn read_into(root: &Path, dir: &Path, files: &mut BTreeMap<PathBuf, String>) {
    // `events` and `instances` are trees of others; `per_cpu` and the pipes are data, not control; the
    // printed form of a buffer size cannot be restored (DESIGN §4.2), `free_buffer` acts when read.
    const LEFT_OUT: [&str; 9] = [
        "events",
        "instances",
        "per_cpu",
        "trace_pipe",
        "buffer_size_kb",
        "buffer_total_size_kb",
        "free_buffer",
        "snapshot",
        "tracing_max_latency",
    ];
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let (path, kind) = (entry.path(), entry.metadata().unwrap());
        if LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            read_into(root, &path, files);
        } else if kind.permissions().mode() & 0o222 != 0 && kind.permissions().mode() & 0o444 != 0 {
            let text = fs::read(&path).map(|text| String::from_utf8_lossy(&text).into_owned());
            let name = path.strip_prefix(root).unwrap().to_owned();
            files.insert(name, text.unwrap_or_else(|error| error.to_string()));
        }
    }
}
