//! What to run: a plain description, validated once before anything is made.

use std::fmt;

use serde::{Deserialize, Serialize};

mod cpus;
mod network;
mod resources;
mod restart;
mod security;
mod users;

pub use cpus::CpuSet;
pub use network::{Names, Network, Port, Protocol};
pub use resources::{Device, Mount, MountSource, ResourceLimit, Sysctl};
pub(crate) use restart::BackOff;
pub use restart::RestartPolicy;
pub(crate) use security::CapabilitySet;
pub use security::{Capabilities, Capability, Seccomp, Security};
pub use users::{IdMap, UserNamespace};
pub(crate) use users::{lines, outside};

use crate::error::Error;

/// The description of a container. Build it with [`Spec::new`] and set the public fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spec {
    /// Name of an imported image, `name` or `name:tag`.
    pub image: String,
    /// A unique name; `None` picks one.
    pub name: Option<String>,
    /// Command and arguments; empty for the image's. A command without `/` is looked up in the PATH of `env`,
    /// inside the container.
    pub args: Vec<String>,
    /// Put before `args`, in place of the image's entrypoint. An empty one takes that away.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// Environment, `KEY=value` each. PATH and HOME are added when missing.
    pub env: Vec<String>,
    /// Working directory inside the container; the image's by default, else `/`.
    pub working_dir: Option<String>,
    /// Host name; the first twelve digits of the id by default. At most 64 bytes, sethostname(2).
    pub hostname: Option<String>,
    /// Numeric user and group; the image's by default, else root.
    pub user: Option<User>,
    /// The same as text, `name`, `uid`, `name:group`, looked up in the container's /etc/passwd and /etc/group.
    /// `user` wins over it.
    #[serde(default)]
    pub user_name: Option<String>,
    /// What the kernel may not let it exceed.
    pub limits: Limits,
    /// What it sees of the network.
    pub network: Network,
    /// Ports of the machine that lead into it, on a bridge network.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// How it finds names.
    #[serde(default)]
    pub names: Names,
    /// Remove the container when its workload ends.
    pub auto_remove: bool,
    /// Signal that `stop` sends first, signal(7); the image's by default, else SIGTERM.
    #[serde(default)]
    pub stop_signal: Option<i32>,
    /// A user namespace of its own: its root is nobody on the machine.
    #[serde(default)]
    pub user_namespace: Option<UserNamespace>,
    /// What it may ask of the kernel.
    #[serde(default)]
    pub security: Security,
    /// Give it a terminal, pty(7): standard input, output and error are one. `TERM=xterm` is added where missing.
    #[serde(default)]
    pub tty: bool,
    /// Keep its standard input open for those who attach.
    #[serde(default)]
    pub open_stdin: bool,
    /// When to start it again after its end.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Mount the root file system without write access.
    #[serde(default)]
    pub read_only: bool,
    /// Run the workload below a small first process that reaps orphans and passes signals on.
    #[serde(default)]
    pub init: bool,
    /// What is mounted into it.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Device nodes of the host.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Resource limits; the engine's own where not given.
    #[serde(default)]
    pub resource_limits: Vec<ResourceLimit>,
    /// Kernel parameters of its namespaces.
    #[serde(default)]
    pub sysctls: Vec<Sysctl>,
}

/// Numeric credentials of the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id; also the only supplementary group.
    pub gid: u32,
}

/// Limits of the container's cgroup; `None` leaves the kernel's default, which is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Most tasks (processes and threads) at a time: `pids.max`.
    pub pids: Option<u64>,
    /// Most memory in bytes: `memory.max`, on v1 `memory.limit_in_bytes`.
    pub memory_bytes: Option<u64>,
    /// CPU time per wall time in thousandths of one CPU: `cpu.max`, on v1 `cpu.cfs_quota_us`. At least 10.
    pub cpu_millis: Option<u32>,
    /// The CPUs it may run on: `cpuset.cpus`, cpuset(7).
    #[serde(default)]
    pub cpus: Option<CpuSet>,
}

impl Spec {
    /// A container of `image` that runs `args`, with every default.
    pub fn new<A: Into<String>>(image: impl Into<String>, args: impl IntoIterator<Item = A>) -> Spec {
        Spec {
            image: image.into(),
            name: None,
            args: args.into_iter().map(Into::into).collect(),
            entrypoint: None,
            env: Vec::new(),
            working_dir: None,
            hostname: None,
            user: None,
            user_name: None,
            limits: Limits::default(),
            network: Network::None,
            ports: Vec::new(),
            names: Names::default(),
            auto_remove: false,
            stop_signal: None,
            user_namespace: None,
            security: Security::default(),
            tty: false,
            open_stdin: false,
            restart: RestartPolicy::No,
            read_only: false,
            init: false,
            mounts: Vec::new(),
            devices: Vec::new(),
            resource_limits: Vec::new(),
            sysctls: Vec::new(),
        }
    }

    /// Refuse what could only fail later, with a sentence instead of an errno.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        validate_command(&self.args, &self.env, self.working_dir.as_deref())?;
        if let Some(name) = &self.name
            && !is_container_name(name)
        {
            return invalid(format_args!(
                "the name {name:?} is not made of letters, digits, _ . - (at most 128, the first a letter or digit)"
            ));
        }
        if let Some(hostname) = &self.hostname
            && (hostname.is_empty() || hostname.len() > 64 || hostname.contains('\0'))
        {
            return invalid(format_args!("the host name {hostname:?} is not 1 to 64 bytes long"));
        }
        if let Some(signal) = self.stop_signal.filter(|signal| !(1..=64).contains(signal)) {
            return invalid(format_args!("there is no signal {signal}"));
        }
        if self.auto_remove && self.restart != RestartPolicy::No {
            return invalid("a container that removes itself cannot be restarted");
        }
        self.user_namespace.iter().try_for_each(UserNamespace::validate)?;
        self.mounts.iter().try_for_each(Mount::validate)?;
        self.devices.iter().try_for_each(Device::validate)?;
        self.resource_limits.iter().try_for_each(ResourceLimit::validate)?;
        self.sysctls.iter().try_for_each(|sysctl| sysctl.validate(self.network != Network::Host))?;
        network::validate(self.network, &self.ports, &self.names)?;
        self.limits.validate()
    }
}

impl Limits {
    fn validate(&self) -> Result<(), Error> {
        if self.pids == Some(0) {
            return invalid("a pids limit of 0 leaves no room for the workload itself");
        }
        if self.memory_bytes.is_some_and(|bytes| bytes < 512 * 1024) {
            return invalid("a memory limit under 512 KiB cannot hold the workload itself");
        }
        if self.cpu_millis.is_some_and(|millis| millis < 10) {
            return invalid("a cpu limit under 0.01 is below the kernel's smallest quota of 1 ms per 100 ms");
        }
        Ok(())
    }
}

/// What `run` and `exec` have in common.
pub(crate) fn validate_command(args: &[String], env: &[String], cwd: Option<&str>) -> Result<(), Error> {
    match args.first() {
        None => return invalid("no command is given"),
        Some(command) if command.is_empty() => return invalid("the command is empty"),
        Some(_) => {}
    }
    if let Some(text) = args.iter().chain(env).map(String::as_str).chain(cwd).find(|text| text.contains('\0'))
    {
        return invalid(format_args!("{text:?} contains a NUL byte"));
    }
    if let Some(bad) = env.iter().find(|pair| !pair.contains('=')) {
        return invalid(format_args!("the environment entry {bad:?} is not KEY=value"));
    }
    match cwd {
        Some(dir) if !dir.starts_with('/') => {
            invalid(format_args!("the working directory {dir:?} is not absolute"))
        }
        _ => Ok(()),
    }
}

/// The environment as the workload gets it: PATH, HOME and, at a terminal, TERM added where missing, as other engines do.
pub(crate) fn complete_env(env: &[String], home: Option<&str>, terminal: bool) -> Vec<String> {
    let mut all = env.to_vec();
    for (key, default) in [
        ("PATH=", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME=", home.unwrap_or("/root")),
        ("TERM=", if terminal { "xterm" } else { "" }),
    ] {
        if !default.is_empty() && !all.iter().any(|pair| pair.starts_with(key)) {
            all.push(format!("{key}{default}"));
        }
    }
    all
}

fn is_container_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn invalid<T>(why: impl fmt::Display) -> Result<T, Error> {
    Err(Error::InvalidSpec(why.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_nonsense_is_not() {
        let good = Spec::new("busybox", ["true"]);
        good.validate().unwrap();
        let bad = [
            Spec::new("busybox", [""; 0]),
            Spec::new("busybox", ["a\0b"]),
            Spec { env: vec!["NOVALUE".into()], ..good.clone() },
            Spec { name: Some("-x".into()), ..good.clone() },
            Spec { name: Some("a/b".into()), ..good.clone() },
            Spec { hostname: Some("h".repeat(65)), ..good.clone() },
            Spec { working_dir: Some("tmp".into()), ..good.clone() },
            Spec { stop_signal: Some(0), ..good.clone() },
            Spec { limits: Limits { cpu_millis: Some(1), ..Limits::default() }, ..good.clone() },
        ];
        for spec in bad {
            assert!(matches!(spec.validate(), Err(Error::InvalidSpec(_))), "{spec:?}");
        }
    }

    #[test]
    fn a_given_path_is_kept() {
        let env = complete_env(&["PATH=/x".into()], None, false);
        assert_eq!(env, ["PATH=/x", "HOME=/root"]);
    }
}
