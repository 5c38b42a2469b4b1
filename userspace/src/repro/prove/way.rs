//! Ways out as findings tell them, read back and gone inside the sandbox: `sysctl -w`, `echo … >` a cgroup's file,
//! `prlimit`.

use anyhow::{Context, bail};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::ffi::CString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::{Path, PathBuf};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Way {
    Sysctl { name: String, value: String },
    Cgroup { file: PathBuf, value: String },
    Rlimit { name: String, resource: i32, to: u64 },
}

/// Which namespace a sysctl belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    User,
    Ipc,
    Net,
    Machine,
}

/// By the beginning of the name (the tables of kernel/ucount.c, ipc/ipc_sysctl.c, ipc/mq_sysctl.c and net/). Some of
/// `net.` are the machine's all the same; those are not there inside of another network namespace.
const SCOPES: &[(&str, Scope)] = &[
    ("user.", Scope::User),
    ("fs.mqueue.", Scope::Ipc),
    ("kernel.sem", Scope::Ipc),
    ("kernel.shm", Scope::Ipc),
    ("kernel.msg", Scope::Ipc),
    ("net.", Scope::Net),
];

/// include/uapi/asm-generic/resource.h, and the options of prlimit(1).
const RESOURCES: &[(&str, i32)] = &[
    ("fsize", 1),
    ("data", 2),
    ("stack", 3),
    ("core", 4),
    ("nproc", 6),
    ("nofile", 7),
    ("memlock", 8),
    ("as", 9),
    ("sigpending", 11),
    ("msgqueue", 12),
    ("nice", 13),
    ("rtprio", 14),
];

/// The folder of a cgroup that a fault has made.
const OWN_CGROUP: &str = "diag-repro-";
/// User namespaces in each other, at most (`create_user_ns()`, kernel/user_namespace.c).
const MOST_LEVELS: usize = 33;

/// What puts a change of the whole machine back.
pub(super) struct Undo {
    file: PathBuf,
    before: String,
}

impl Undo {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { file, before } = self;
        fs::write(&file, &before)
            .with_context(|| format!("cannot put {} back to {}", file.display(), before.trim()))
    }
}

impl Way {
    /// `None` for what people must do themselves.
    pub(super) fn of(command: &str) -> Option<Self> {
        if let Some(set) = command.strip_prefix("sysctl -w ") {
            let (name, value) = set.split_once('=')?;
            let value = value.trim_matches(['"', '\'']);
            return Some(Self::Sysctl { name: name.into(), value: value.into() });
        }
        if let Some(rest) = command.strip_prefix("echo ") {
            let (value, file) = rest.split_once(" > ")?;
            let own = file.split('/').any(|part| part.starts_with(OWN_CGROUP));
            return own.then(|| Self::Cgroup { file: file.into(), value: value.into() });
        }
        let (_, option) = command.strip_prefix("prlimit --pid ")?.split_once(" --")?;
        let (name, to) = option.split_once('=')?;
        let to = to.split(':').next_back()?;
        let to = if to == "unlimited" { libc::RLIM_INFINITY } else { to.parse().ok()? };
        let (_, resource) = RESOURCES.iter().find(|(known, _)| *known == name)?;
        Some(Self::Rlimit { name: format!("RLIMIT_{}", name.to_uppercase()), resource: *resource, to })
    }

    /// Goes it for the process `pid`; what was done in words, and how it is undone where it does not end with that
    /// process.
    pub(super) fn go(&self, pid: u32, machine: bool) -> anyhow::Result<(String, Option<Undo>)> {
        match self {
            Self::Rlimit { name, resource, to } => raise(pid, *resource, *to)
                .map(|from| (format!("{name} of process {pid} from {from} to {to}"), None))
                .with_context(|| format!("cannot raise {name} of process {pid} (of another user, or above the hard limit, it takes CAP_SYS_RESOURCE)")),
            Self::Cgroup { file, value } => {
                let before = fs::read_to_string(file).unwrap_or_default();
                fs::write(file, value)
                    .with_context(|| format!("cannot write {value} to {}", file.display()))?;
                Ok((format!("{} from {} to {value}", file.display(), before.trim()), None))
            }
            Self::Sysctl { name, value } => sysctl(pid, name, value, machine),
        }
    }
}

/// prlimit(2) of both values; what the soft one was.
fn raise(pid: u32, resource: i32, to: u64) -> io::Result<u64> {
    let new = libc::rlimit { rlim_cur: to, rlim_max: to };
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: two whole structures that live through the call.
    let done = unsafe { libc::prlimit(pid as i32, resource as _, &raw const new, &raw mut old) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(old.rlim_cur) }
}

fn sysctl(pid: u32, name: &str, value: &str, machine: bool) -> anyhow::Result<(String, Option<Undo>)> {
    let file = PathBuf::from(format!("/proc/sys/{}", name.replace('.', "/")));
    let scope = SCOPES.iter().find(|(start, _)| name.starts_with(start)).map_or(Scope::Machine, |s| s.1);
    let mine = match scope {
        Scope::User => "user",
        Scope::Ipc => "ipc",
        Scope::Net => "net",
        Scope::Machine => return of_machine(&file, name, value, machine),
    };
    if same(pid, mine)? {
        return of_machine(&file, name, value, machine);
    }
    let levels = levels(pid, scope)?;
    let text = CString::new(value).context("a value with a NUL")?;
    let path = CString::new(file.display().to_string()).context("a name with a NUL")?;
    let kinds: &[&str] = if scope == Scope::User { &[] } else { &[mine] };
    let others: Vec<OwnedFd> =
        kinds.iter().map(|kind| namespace(pid, kind)).collect::<anyhow::Result<_>>()?;
    for level in &levels {
        write_inside(level.as_ref(), &others, &path, &text)
            .with_context(|| format!("cannot write {value} to {} there", file.display()))?;
    }
    let there = if levels.len() > 1 {
        format!("in {} {mine} namespaces in each other", levels.len())
    } else {
        format!("in the {mine} namespace of process {pid}")
    };
    Ok((format!("{name} = {value} {there}"), None))
}

/// A change that everybody on the machine sees, for a moment.
fn of_machine(file: &Path, name: &str, value: &str, allowed: bool) -> anyhow::Result<(String, Option<Undo>)> {
    if !allowed {
        bail!(
            "{name} is the whole machine's, and nobody else shall see it change: --machine-wide raises it for the \
             moment of the proof, and puts it back"
        );
    }
    let before = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    fs::write(file, value).with_context(|| format!("cannot write {value} to {}", file.display()))?;
    let done = format!("{name} of the whole machine from {} to {value}, for this moment", before.trim());
    Ok((done, Some(Undo { file: file.into(), before })))
}

fn same(pid: u32, kind: &str) -> anyhow::Result<bool> {
    let link = |who: &str| {
        let path = format!("/proc/{who}/ns/{kind}");
        fs::read_link(&path).with_context(|| format!("cannot read {path}"))
    };
    Ok(link(&pid.to_string())? == link("self")?)
}

fn namespace(pid: u32, kind: &str) -> anyhow::Result<OwnedFd> {
    let path = format!("/proc/{pid}/ns/{kind}");
    Ok(File::open(&path).with_context(|| format!("cannot open {path}"))?.into())
}

/// The user namespaces to write from: for limits of namespaces every one from the process's up to, and without, our
/// own, for each of them may be the one that is full; else the process's own, and none where it is ours.
fn levels(pid: u32, scope: Scope) -> anyhow::Result<Vec<Option<OwnedFd>>> {
    /// `NS_GET_PARENT` (ioctl_ns(2)).
    const NS_GET_PARENT: libc::c_ulong = 0xb702;
    if same(pid, "user")? {
        return Ok(vec![None]);
    }
    let mut out = vec![Some(namespace(pid, "user")?)];
    while scope == Scope::User && out.len() < MOST_LEVELS {
        let Some(Some(last)) = out.last() else { break };
        // SAFETY: an ioctl without argument on an open namespace; a new descriptor is owned right away.
        let parent = unsafe {
            let fd = libc::ioctl(last.as_raw_fd(), NS_GET_PARENT);
            if fd < 0 {
                return Err(io::Error::last_os_error()).context("cannot find the user namespace above");
            }
            OwnedFd::from_raw_fd(fd)
        };
        use std::os::unix::fs::MetadataExt;
        let of = |fd: &OwnedFd| fs::metadata(format!("/proc/self/fd/{}", fd.as_raw_fd())).map(|m| m.ino());
        let own = fs::metadata("/proc/self/ns/user").map(|m| m.ino());
        if of(&parent).ok() == own.ok() {
            break;
        }
        out.push(Some(parent));
    }
    Ok(out)
}

/// Writes from inside namespaces, which only a process with one thread may enter: in a child that makes no call but
/// those that are safe there (signal-safety(7)).
fn write_inside(
    user: Option<&OwnedFd>,
    others: &[OwnedFd],
    path: &CString,
    text: &CString,
) -> anyhow::Result<()> {
    // The capabilities to enter the others come with the user namespace.
    let all: Vec<i32> = user.into_iter().chain(others).map(AsRawFd::as_raw_fd).collect();
    // SAFETY: the child uses memory that was prepared before the fork.
    match unsafe { fork() }.context("cannot start a process that enters")? {
        // SAFETY: async-signal-safe calls on descriptors and strings that outlive them.
        ForkResult::Child => unsafe {
            for fd in &all {
                if libc::setns(*fd, 0) != 0 {
                    libc::_exit(*libc::__errno_location());
                }
            }
            let fd = libc::open(path.as_ptr(), libc::O_WRONLY);
            if fd < 0 || libc::write(fd, text.as_ptr().cast(), text.as_bytes().len()) < 0 {
                libc::_exit(*libc::__errno_location());
            }
            libc::_exit(0)
        },
        ForkResult::Parent { child } => match waitpid(child, None).context("cannot wait for it")? {
            WaitStatus::Exited(_, 0) => Ok(()),
            WaitStatus::Exited(_, errno) => Err(io::Error::from_raw_os_error(errno).into()),
            other => bail!("the process that entered ended with {other:?}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_findings_tell_is_read_back() {
        let sysctl = |name: &str, value: &str| Some(Way::Sysctl { name: name.into(), value: value.into() });
        assert_eq!(Way::of("sysctl -w fs.mount-max=200000"), sysctl("fs.mount-max", "200000"));
        let range = "sysctl -w net.ipv4.ip_local_port_range=\"1024 65535\"";
        assert_eq!(Way::of(range), sysctl("net.ipv4.ip_local_port_range", "1024 65535"));
        let raised = |name: &str, resource, to| Some(Way::Rlimit { name: name.into(), resource, to });
        assert_eq!(Way::of("prlimit --pid <pid> --nofile=128:128"), raised("RLIMIT_NOFILE", 7, 128));
        let all = Way::of("prlimit --pid <pid> --memlock=unlimited:unlimited");
        assert_eq!(all, raised("RLIMIT_MEMLOCK", 8, libc::RLIM_INFINITY));
        for theirs in ["docker run --ulimit nofile=128 …", "prlimit --pid <pid> --nofile=many", "rm -rf /"]
        {
            assert_eq!(Way::of(theirs), None, "{theirs}");
        }
    }

    #[test]
    fn of_cgroups_only_what_a_fault_made_is_written_to() {
        let own = "echo 8 > /sys/fs/cgroup/diag-repro-7/inner/pids.max";
        assert!(matches!(Way::of(own), Some(Way::Cgroup { value, .. }) if value == "8"));
        assert_eq!(Way::of("echo 8 > /sys/fs/cgroup/system.slice/docker.service/pids.max"), None);
        assert_eq!(Way::of("echo 'fs.mount-max = 1' > /etc/sysctl.d/90-fs-mount-max.conf"), None);
    }

    #[test]
    fn the_machines_own_sysctls_are_left_alone_unless_it_is_said() {
        let refused = sysctl(std::process::id(), "kernel.msgmni", "1", false).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|text| text.contains("--machine-wide")));
        let refused = sysctl(std::process::id(), "fs.mount-max", "1", false).err().map(|e| e.to_string());
        assert!(refused.is_some_and(|text| text.contains("--machine-wide")));
    }
}
