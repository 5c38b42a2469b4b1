//! What the workload finds around it besides its image: mounts, devices, resource limits, kernel parameters.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::invalid;
use crate::error::Error;

/// Something mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where, absolute inside the container. Made if it is not there; links resolve inside the container.
    pub target: PathBuf,
    /// What.
    #[serde(flatten)]
    pub source: MountSource,
    /// Without write access.
    #[serde(default)]
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum MountSource {
    /// A file or folder of the host with all that is mounted below it, bind mount in mount(8).
    Bind {
        /// Absolute, on the host.
        source: PathBuf,
    },
    /// A file system in memory, tmpfs(5).
    Tmpfs {
        /// Its options, `size=64m,mode=1777`; empty for the kernel's defaults.
        options: String,
    },
    /// A folder that belongs to the container and is deleted with it. Starts with what the image has there.
    Anonymous,
}

/// A device node of the host, also in the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// The node on the host.
    pub host: PathBuf,
    /// Its path in the container, below /dev.
    pub inside: PathBuf,
    /// Letters of `rwm`: what the cgroup allows: read, write, mknod.
    pub access: String,
}

/// One resource limit, getrlimit(2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceLimit {
    /// In lower case, as in `ulimit -a` and docker: `nofile`, `core`.
    pub name: String,
    /// The limit in force; `None` is no limit.
    pub soft: Option<u64>,
    /// How far the workload may raise it; `None` is no limit.
    pub hard: Option<u64>,
}

const LIMIT_NAMES: [(&str, u32); 16] = [
    ("as", libc::RLIMIT_AS),
    ("core", libc::RLIMIT_CORE),
    ("cpu", libc::RLIMIT_CPU),
    ("data", libc::RLIMIT_DATA),
    ("fsize", libc::RLIMIT_FSIZE),
    ("locks", libc::RLIMIT_LOCKS),
    ("memlock", libc::RLIMIT_MEMLOCK),
    ("msgqueue", libc::RLIMIT_MSGQUEUE),
    ("nice", libc::RLIMIT_NICE),
    ("nofile", libc::RLIMIT_NOFILE),
    ("nproc", libc::RLIMIT_NPROC),
    ("rss", libc::RLIMIT_RSS),
    ("rtprio", libc::RLIMIT_RTPRIO),
    ("rttime", libc::RLIMIT_RTTIME),
    ("sigpending", libc::RLIMIT_SIGPENDING),
    ("stack", libc::RLIMIT_STACK),
];

impl ResourceLimit {
    /// The kernel's number for it.
    pub(crate) fn number(&self) -> Option<u32> {
        LIMIT_NAMES.iter().find(|(name, _)| *name == self.name).map(|(_, number)| *number)
    }

    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.number().is_none() {
            let names: Vec<&str> = LIMIT_NAMES.iter().map(|(name, _)| *name).collect();
            return invalid(format_args!(
                "{:?} is no resource limit; there are {}",
                self.name,
                names.join(", ")
            ));
        }
        match (self.soft, self.hard) {
            (None, Some(_)) => {}
            (Some(soft), Some(hard)) if soft > hard => {}
            _ => return Ok(()),
        }
        invalid(format_args!("the soft limit of {} is above its hard limit", self.name))
    }
}

/// A kernel parameter of a namespace that the container has for itself, sysctl(8).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sysctl {
    /// With dots: `net.ipv4.ip_forward`.
    pub name: String,
    /// What is written.
    pub value: String,
}

impl Sysctl {
    /// The file below /proc/sys. A dot in a device's name is written as a slash, sysctl(8).
    pub(crate) fn path(&self) -> String {
        let swap = |c| match c {
            '.' => '/',
            '/' => '.',
            other => other,
        };
        self.name.chars().map(swap).collect()
    }

    /// Only what belongs to one of the container's namespaces: anything else would change the host.
    pub(super) fn validate(&self, own_network: bool) -> Result<(), Error> {
        let of_ipc =
            ["kernel.msg", "kernel.shm", "fs.mqueue."].iter().any(|head| self.name.starts_with(head))
                || self.name == "kernel.sem";
        let of_network = self.name.starts_with("net.");
        if self.name.split(['.', '/']).any(|part| part.is_empty()) || self.value.contains(['\0', '\n']) {
            return invalid(format_args!("{}={:?} is no kernel parameter", self.name, self.value));
        }
        if of_network && !own_network {
            return invalid(format_args!("{} would change the host: the network is the host's", self.name));
        }
        if !(of_ipc || of_network || self.name == "kernel.domainname") {
            return invalid(format_args!(
                "{} is not separate for a container: it would change the host",
                self.name
            ));
        }
        Ok(())
    }
}

impl Mount {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let target = self.target.display();
        if !is_plain(&self.target) {
            return invalid(format_args!("the mount target {target} is not an absolute path without .."));
        }
        // Mounts there would cover what the engine itself has put in place.
        let first = self.target.components().nth(1).map(Component::as_os_str);
        if first.is_none() || first.is_some_and(|name| name == "proc") {
            return invalid(format_args!("nothing can be mounted on {target}"));
        }
        match &self.source {
            MountSource::Bind { source } if !source.is_absolute() => {
                invalid(format_args!("the mount source {} is not absolute", source.display()))
            }
            _ => Ok(()),
        }
    }
}

impl Device {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if !is_plain(&self.inside) || !self.inside.starts_with("/dev/") {
            return invalid(format_args!("the device {} does not lie below /dev", self.inside.display()));
        }
        if self.access.is_empty() || self.access.chars().any(|c| !"rwm".contains(c)) {
            return invalid(format_args!("the access {:?} is not made of r, w and m", self.access));
        }
        Ok(())
    }
}

/// Absolute, and what it looks like.
fn is_plain(path: &Path) -> bool {
    path.is_absolute() && path.components().all(|part| !matches!(part, Component::ParentDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_change_the_host_is_refused() {
        let sysctl = |name: &str| Sysctl { name: name.into(), value: "1".into() };
        for good in ["net.ipv4.ip_forward", "kernel.shmmax", "fs.mqueue.msg_max", "kernel.sem"] {
            sysctl(good).validate(true).unwrap();
        }
        for bad in ["kernel.pid_max", "fs.mount-max", "vm.swappiness", "net..x", "kernel.hostname", ""] {
            assert!(sysctl(bad).validate(true).is_err(), "{bad}");
        }
        assert!(sysctl("net.ipv4.ip_forward").validate(false).is_err());
        assert_eq!(sysctl("net.ipv4.conf.eth0/1.rp_filter").path(), "net/ipv4/conf/eth0.1/rp_filter");
    }

    #[test]
    fn limits_have_an_order() {
        let limit = |name: &str, soft, hard| ResourceLimit { name: name.into(), soft, hard };
        limit("nofile", Some(1), Some(2)).validate().unwrap();
        limit("core", None, None).validate().unwrap();
        for bad in
            [limit("nofile", Some(3), Some(2)), limit("files", None, None), limit("core", None, Some(1))]
        {
            assert!(bad.validate().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn targets_are_plain() {
        let mount =
            |target: &str| Mount { target: target.into(), source: MountSource::Anonymous, read_only: false };
        mount("/data").validate().unwrap();
        for bad in ["data", "/", "/a/../b", "/proc", "/proc/sys"] {
            assert!(mount(bad).validate().is_err(), "{bad}");
        }
    }
}
