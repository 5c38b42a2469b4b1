//! What `run` and `create` take to describe a container.

use std::net::IpAddr;

use container_core::{
    CpuSet, Device, IdMap, Limits, Mount, Names, Network, Port, ResourceLimit, RestartPolicy, Security, Spec,
    Sysctl, User, UserNamespace,
};

use super::{resources, signal, size};

#[derive(Debug, clap::Args)]
pub(super) struct Description {
    /// A unique name; two words are picked when none is given.
    #[arg(long)]
    name: Option<String>,
    /// Set an environment variable; without =VALUE take it from here. Can be repeated.
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Working directory inside the container.
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group to run as, by number or as the container's /etc/passwd names them.
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Host name inside the container; the short id by default.
    #[arg(long)]
    hostname: Option<String>,
    /// Most processes and threads at a time.
    #[arg(long, value_name = "N")]
    pids_limit: Option<u64>,
    /// Most memory: bytes, or with k, m, g.
    #[arg(short, long, value_name = "SIZE", value_parser = size::bytes)]
    memory: Option<u64>,
    /// Most CPU time per wall time: 1.5 is one and a half CPUs.
    #[arg(long, value_name = "N", value_parser = size::cpu_millis)]
    cpus: Option<u32>,
    /// The CPUs it may run on.
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<CpuSet>,
    /// The network it sees; none, or bridge when a port is published.
    #[arg(long, value_enum)]
    network: Option<Net>,
    /// Let a port of this machine lead to one of its ports, or a range to a range. Can be repeated.
    #[arg(short, long, value_name = "[[ADDRESS:]HOST:]PORT[/udp]", value_parser = published)]
    publish: Vec<Published>,
    /// A name server, in place of this machine's. Can be repeated.
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
    /// A line for its /etc/hosts. Can be repeated.
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = resources::host)]
    add_host: Vec<(String, IpAddr)>,
    /// Give it users of its own: the ranges of ids that /etc/subuid and /etc/subgid have for USER, or host for none.
    #[arg(long, value_name = "USER", conflicts_with_all = ["uidmap", "gidmap"])]
    userns: Option<String>,
    /// Give it users of its own: ids from INSIDE on are those of this machine from OUTSIDE on. Can be repeated.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT")]
    uidmap: Vec<IdMap>,
    /// The same for groups; as the users by default. Can be repeated.
    #[arg(long, value_name = "INSIDE:OUTSIDE:COUNT", requires = "uidmap")]
    gidmap: Vec<IdMap>,
    /// Remove the container when it ends.
    #[arg(long)]
    rm: bool,
    /// Start it again after its end: no, on-failure[:N], always or unless-stopped.
    #[arg(long, value_name = "POLICY", default_value = "no")]
    restart: RestartPolicy,
    /// Give it a terminal.
    #[arg(short, long)]
    tty: bool,
    /// Keep its standard input open.
    #[arg(short, long)]
    interactive: bool,
    /// The signal that `diag stop` sends first; the image's by default, else TERM.
    #[arg(long, value_name = "SIGNAL", value_parser = signal::number)]
    stop_signal: Option<i32>,
    /// The program to run, in place of the image's; the command becomes its arguments.
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Mount a file or folder of this machine, or, with TARGET alone, an own volume. Can be repeated.
    #[arg(short, long, value_name = "[SOURCE:]TARGET[:ro]", value_parser = resources::volume)]
    volume: Vec<Mount>,
    /// The same with words: type=bind|tmpfs|volume,source=…,target=…,readonly. Can be repeated.
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = resources::mount)]
    mount: Vec<Mount>,
    /// Mount a file system in memory. Can be repeated.
    #[arg(long, value_name = "TARGET[:OPTIONS]", value_parser = resources::tmpfs)]
    tmpfs: Vec<Mount>,
    /// Mount the root file system without write access.
    #[arg(long)]
    read_only: bool,
    /// Give it a capability, or ALL. Can be repeated.
    #[arg(long, value_name = "NAME")]
    cap_add: Vec<String>,
    /// Take a capability of the default set, or ALL. Can be repeated.
    #[arg(long, value_name = "NAME")]
    cap_drop: Vec<String>,
    /// no-new-privileges, seccomp=unconfined or systempaths=unconfined. Can be repeated.
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// Set a resource limit, getrlimit(2). Can be repeated.
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = resources::ulimit)]
    ulimit: Vec<ResourceLimit>,
    /// Set a kernel parameter of its own namespaces. Can be repeated.
    #[arg(long, value_name = "NAME=VALUE", value_parser = resources::sysctl)]
    sysctl: Vec<Sysctl>,
    /// Let it use a device of this machine. Can be repeated.
    #[arg(long, value_name = "HOST[:INSIDE][:rwm]", value_parser = resources::device)]
    device: Vec<Device>,
    /// Run the command below a small init that reaps orphans and passes signals on.
    #[arg(long)]
    init: bool,
    /// The image.
    image: String,
    /// The command and its arguments; the image's by default.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Net {
    /// A loopback device of its own.
    None,
    /// The host's.
    Host,
    /// An address on a bridge of this machine, and the way out through it.
    Bridge,
}

impl Description {
    pub(super) fn into_spec(self) -> anyhow::Result<Spec> {
        let mut security = Security {
            capabilities: resources::capabilities(&self.cap_add, &self.cap_drop)
                .map_err(anyhow::Error::msg)?,
            ..Security::default()
        };
        for option in &self.security_opt {
            resources::security(option, &mut security).map_err(anyhow::Error::msg)?;
        }
        Ok(Spec {
            name: self.name,
            env: environment(self.env),
            working_dir: self.workdir,
            user_name: self.user,
            hostname: self.hostname,
            limits: Limits {
                pids: self.pids_limit,
                memory_bytes: self.memory,
                cpu_millis: self.cpus,
                cpus: self.cpuset_cpus,
            },
            network: match self.network {
                None if !self.publish.is_empty() => Network::Bridge,
                None | Some(Net::None) => Network::None,
                Some(Net::Host) => Network::Host,
                Some(Net::Bridge) => Network::Bridge,
            },
            ports: self.publish.into_iter().flat_map(|Published(ports)| ports).collect(),
            names: Names { servers: self.dns, hosts: self.add_host },
            user_namespace: user_namespace(self.userns, self.uidmap, self.gidmap)?,
            auto_remove: self.rm,
            restart: self.restart,
            tty: self.tty,
            open_stdin: self.interactive,
            stop_signal: self.stop_signal,
            entrypoint: self
                .entrypoint
                .map(|program| vec![program].into_iter().filter(|p| !p.is_empty()).collect()),
            security,
            read_only: self.read_only,
            init: self.init,
            mounts: [self.volume, self.mount, self.tmpfs].concat(),
            devices: self.device,
            resource_limits: self.ulimit,
            sysctls: self.sysctl,
            ..Spec::new(self.image, self.command)
        })
    }
}

/// What one `-p` means.
#[derive(Debug, Clone)]
struct Published(Vec<Port>);

fn published(text: &str) -> Result<Published, String> {
    Port::several(text).map(Published)
}

fn user_namespace(
    user: Option<String>,
    users: Vec<IdMap>,
    groups: Vec<IdMap>,
) -> anyhow::Result<Option<UserNamespace>> {
    match user.as_deref() {
        Some("host") => Ok(None),
        Some(user) => UserNamespace::of_user(user).map(Some).map_err(anyhow::Error::msg),
        None if users.is_empty() => Ok(None),
        None => {
            let groups = if groups.is_empty() { users.clone() } else { groups };
            Ok(Some(UserNamespace { users, groups }))
        }
    }
}

/// `KEY` alone takes the value from our own environment, and is left out when it is not set here.
pub(super) fn environment(given: Vec<String>) -> Vec<String> {
    let inherited = |key: String| std::env::var(&key).ok().map(|value| format!("{key}={value}"));
    given
        .into_iter()
        .filter_map(|pair| if pair.contains('=') { Some(pair) } else { inherited(pair) })
        .collect()
}

/// `1000` or `1000:100`; the group is 0 when it is not given, as docker has it.
pub(super) fn user(text: &str) -> Result<User, String> {
    let (uid, gid) = text.split_once(':').unwrap_or((text, "0"));
    match (uid.parse(), gid.parse()) {
        (Ok(uid), Ok(gid)) => Ok(User { uid, gid }),
        _ => Err("user and group are given as numbers".to_owned()),
    }
}
