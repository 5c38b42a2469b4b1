//! Root for a normal user: a user namespace in which he is root, user_namespaces(7), and a mount namespace in it.
//!
//! A program calls [`enter`] before it opens an engine, and from then on everything is as for root, where the kernel
//! lets it: namespaces, overlayfs (kernel ≥ 5.11), the container's own /proc, /sys and /dev. What a normal user still
//! cannot have is said by the step that wants it: limits without a cgroup that was handed to him (`Delegate=yes`), a
//! bridge network, device nodes (those of the machine are bound instead).
//!
//! Every program enters a user namespace of its own. The files of the store mean the same in each, for the maps are the
//! same. A running container is in that of its supervisor; `exec`, `kill`, `stop` and all that only looks work without
//! entering any, because the kernel gives whoever made a user namespace all rights in it.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid, pipe2, read, write};

use crate::error::StepError;
use crate::spec::{IdMap, UserNamespace, lines};
use crate::steps::Step;
use crate::sys;

/// Who may be in the containers of a normal user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entered {
    /// He himself as root, and the ranges that subuid(5) and subgid(5) give him.
    WithRanges,
    /// He himself as root and nobody else: images with files of other users cannot be unpacked.
    Alone,
}

/// Whether the calling program needs [`enter`].
#[must_use]
pub fn is_normal_user() -> bool {
    !geteuid().is_root()
}

/// Where a normal user's store lies: `$XDG_DATA_HOME/diag/engine`, else `~/.local/share/diag/engine`. Nothing of it has to
/// vanish at a reboot, so nothing lies in `$XDG_RUNTIME_DIR`: states carry the boot that they belong to.
#[must_use]
pub fn default_store() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("diag/engine"))
}

/// Step "become root of a user namespace". The calling program must have one thread. It is somebody else afterwards:
/// geteuid(2) is 0, and its mounts are seen by nobody but its children.
///
/// # Errors
/// The kernel, or newuidmap(1), refuses; the sentence says what closes user namespaces to normal users.
pub fn enter() -> Result<Entered, StepError> {
    let (uid, gid) = (geteuid().as_raw(), getegid().as_raw());
    let ranges = user_name(uid).and_then(|name| UserNamespace::of_user(&name).ok());
    let programs = program("newuidmap").zip(program("newgidmap"));
    match ranges.zip(programs) {
        Some((ranges, programs)) => {
            let helper = Helper::fork(uid, gid, &ranges, &programs)?;
            become_somebody()?;
            helper.map()?;
            Ok(Entered::WithRanges)
        }
        None => {
            become_somebody()?;
            map_alone(uid, gid)?;
            Ok(Entered::Alone)
        }
    }
}

fn become_somebody() -> Result<(), StepError> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS).map_err(|errno| {
        let hint = match errno {
            Errno::EPERM => {
                " (user namespaces are closed to normal users here: see the sysctls kernel.unprivileged_userns_clone and \
                 kernel.apparmor_restrict_unprivileged_userns)"
            }
            Errno::ENOSPC => " (there may be no more of them: sysctl user.max_user_namespaces)",
            Errno::EINVAL => " (the program has several threads, or the kernel no user namespaces)",
            _ => "",
        };
        StepError::here(Step::BecomeUserRoot, "unshare", format_args!("user mnt{hint}"), errno)
    })
}

/// The user alone, whom everybody may map to himself; for that the way to more groups has to be closed first.
fn map_alone(uid: u32, gid: u32) -> Result<(), StepError> {
    let one = |outside| lines(&[IdMap { inside: 0, outside, count: 1 }]);
    for (file, text) in [("setgroups", "deny".to_owned()), ("uid_map", one(uid)), ("gid_map", one(gid))] {
        let path = Path::new("/proc/self").join(file);
        fs::write(&path, text).map_err(|e| StepError::from_io(Step::BecomeUserRoot, "write", &path, &e))?;
    }
    Ok(())
}

/// A process that stays outside and has newuidmap(1) and newgidmap(1), which may, write the maps.
struct Helper {
    pid: Pid,
    gate: OwnedFd,
}

impl Helper {
    fn fork(
        uid: u32,
        gid: u32,
        ranges: &UserNamespace,
        programs: &(PathBuf, PathBuf),
    ) -> Result<Helper, StepError> {
        let failed = |syscall| move |errno| StepError::here(Step::BecomeUserRoot, syscall, "", errno);
        let target = std::process::id();
        let (theirs, gate) = pipe2(OFlag::O_CLOEXEC).map_err(failed("pipe2"))?;
        // SAFETY: the caller has one thread, or unshare(2) is about to refuse him.
        match unsafe { fork() }.map_err(failed("clone"))? {
            ForkResult::Parent { child } => Ok(Helper { pid: child, gate }),
            ForkResult::Child => {
                drop(gate);
                let done = matches!(read(&theirs, &mut [0]), Ok(1))
                    && run(&programs.0, target, uid, &ranges.users)
                    && run(&programs.1, target, gid, &ranges.groups);
                sys::exit_now(if done { 0 } else { 1 })
            }
        }
    }

    fn map(self) -> Result<(), StepError> {
        let failed = |syscall| move |errno| StepError::here(Step::BecomeUserRoot, syscall, "", errno);
        write(&self.gate, &[1]).map_err(failed("write"))?;
        loop {
            match waitpid(self.pid, None) {
                Err(Errno::EINTR) => {}
                Ok(WaitStatus::Exited(_, 0)) => return Ok(()),
                Ok(_) => {
                    let object = "newuidmap or newgidmap (they said why; the ranges are those of /etc/subuid and /etc/subgid)";
                    return Err(StepError::here(Step::BecomeUserRoot, "execve", object, Errno::EPERM));
                }
                Err(errno) => return Err(failed("wait4")(errno)),
            }
        }
    }
}

/// `newuidmap PID 0 OWN 1 1 FIRST COUNT …`
fn run(program: &Path, target: u32, own: u32, ranges: &[IdMap]) -> bool {
    let mut command = Command::new(program);
    command.arg(target.to_string()).args(["0", &own.to_string(), "1"]);
    for range in ranges {
        command.args([range.inside.saturating_add(1), range.outside, range.count].map(|n| n.to_string()));
    }
    command.status().is_ok_and(|status| status.success())
}

/// By /etc/passwd: a static program has no other user databases.
fn user_name(uid: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").ok()?;
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        (fields.get(2)?.parse() == Ok(uid)).then(|| fields[0].to_owned())
    })
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file())
}

/// Whether the caller is in a user namespace below the first one, whose map covers all ids there are.
pub(crate) fn in_user_namespace() -> bool {
    let text = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !text.is_empty() && !text.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

/// Whether that process is in another user namespace than the caller.
pub(crate) fn is_elsewhere(pid: i32) -> bool {
    let namespace = |process: &str| fs::read_link(format!("/proc/{process}/ns/user")).ok();
    let theirs = namespace(&pid.to_string());
    theirs.is_some() && theirs != namespace("self")
}
