//! The engines, the limits, and how each engine is made to meet each.

use super::scene::Scene;
use crate::demo::guard::Guard;
use anyhow::{Context, Result};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// GNU tail's name in the containers, where tail is busybox'.
pub(super) const FOLLOWER: &str = "/bin/gnu-tail";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Engine {
    Docker,
    PodmanRunc,
    PodmanCrun,
    Ctr,
    Runc,
    Crun,
    Bwrap,
    Unshare,
    Diag,
}

pub(super) const ENGINES: &[Engine] = &[
    Engine::Docker,
    Engine::PodmanRunc,
    Engine::PodmanCrun,
    Engine::Ctr,
    Engine::Runc,
    Engine::Crun,
    Engine::Bwrap,
    Engine::Unshare,
    Engine::Diag,
];

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::PodmanRunc => "podman+runc",
            Self::PodmanCrun => "podman+crun",
            Self::Ctr => "ctr",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Bwrap => "bwrap",
            Self::Unshare => "unshare",
            Self::Diag => "diag run",
        }
    }

    /// The programs it consists of.
    pub(super) fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &["dockerd", "docker", "containerd", "runc"],
            Self::PodmanRunc => &["podman", "conmon", "runc"],
            Self::PodmanCrun => &["podman", "conmon", "crun"],
            Self::Ctr => &["containerd", "ctr", "runc"],
            Self::Runc => &["runc"],
            Self::Crun => &["crun"],
            Self::Bwrap => &["bwrap"],
            Self::Unshare => &["unshare"],
            Self::Diag => &[],
        }
    }

    /// bubblewrap and unshare make containers without a name.
    pub(super) fn has_names(self) -> bool {
        !matches!(self, Self::Bwrap | Self::Unshare)
    }
}

pub(super) struct Limit {
    pub(super) name: &'static str,
    /// Causes that are right.
    pub(super) causes: &'static [&'static str],
    kind: Kind,
}

impl Limit {
    /// Engines refuse by themselves what the machine does not have.
    pub(super) fn is_compared_by_engines(&self) -> bool {
        matches!(self.kind, Kind::Processors)
    }

    /// Runtimes give a cgroup without processors those of its parent before they use it.
    pub(super) fn is_filled_by_engines(&self) -> bool {
        matches!(self.kind, Kind::NoProcessors)
    }
}

enum Kind {
    /// fs.mount-max at so many above what this mount namespace holds.
    Mounts(u64),
    Sysctl(&'static str, &'static str),
    /// In a user namespace of its own, where its root may lower it.
    Namespaces(&'static str),
    Pids,
    Descriptors,
    Processors,
    Memory,
    /// A sysctl that an application meets, not the engine: GNU tail follows a file.
    Following(&'static str),
    /// A v1 cgroup without a processor, in which the engine is told to make the container's own.
    NoProcessors,
}

const fn limit(name: &'static str, causes: &'static [&'static str], kind: Kind) -> Limit {
    Limit { name, causes, kind }
}

const NAMESPACES: &[&str] = &["max-namespaces"];

pub(super) const LIMITS: &[Limit] = &[
    limit("fs.mount-max, now+1", &["mount-max"], Kind::Mounts(1)),
    limit("fs.mount-max, now+3", &["mount-max"], Kind::Mounts(3)),
    limit("fs.mount-max, now+5", &["mount-max"], Kind::Mounts(5)),
    limit("fs.mount-max, now+8", &["mount-max"], Kind::Mounts(8)),
    limit("user.max_mnt_namespaces", NAMESPACES, Kind::Namespaces("mnt")),
    limit("user.max_pid_namespaces", NAMESPACES, Kind::Namespaces("pid")),
    limit("user.max_uts_namespaces", NAMESPACES, Kind::Namespaces("uts")),
    limit("user.max_ipc_namespaces", NAMESPACES, Kind::Namespaces("ipc")),
    limit("user.max_net_namespaces", NAMESPACES, Kind::Namespaces("net")),
    limit(
        "kernel.keys.root_maxkeys",
        &["keys-quota"],
        Kind::Sysctl("/proc/sys/kernel/keys/root_maxkeys", "1"),
    ),
    limit("pids.max", &["pids-max"], Kind::Pids),
    // Both say that CAP_SYS_RESOURCE is what is missing.
    limit("RLIMIT_NOFILE above the hard limit", &["rlimit-raise", "missing-capability"], Kind::Descriptors),
    limit("absent processors", &["cpuset-rules", "cgroup-value"], Kind::Processors),
    limit("empty cpuset", &["cpuset-empty"], Kind::NoProcessors),
    limit("memory.max", &["memory-max"], Kind::Memory),
    limit(
        "fs.inotify.max_user_instances",
        &["inotify-max-user-instances"],
        Kind::Following("/proc/sys/fs/inotify/max_user_instances"),
    ),
    limit(
        "fs.inotify.max_user_watches",
        &["inotify-max-user-watches"],
        Kind::Following("/proc/sys/fs/inotify/max_user_watches"),
    ),
];

/// What was made worse; dropping it makes it good.
#[expect(dead_code, reason = "held, not read")]
pub(super) enum Lowered {
    Nothing,
    Sysctl(Guard),
    Cpuset(EmptyCpuset),
}

/// The v1 hierarchy of processors, and the cgroup in it that has none.
const CPUSETS: &str = "/sys/fs/cgroup/cpuset";
const CLEANING: Duration = Duration::from_secs(10);
const EMPTY: &str = "/diag-engines-empty";

pub(super) struct EmptyCpuset;

impl EmptyCpuset {
    fn make() -> Result<Self> {
        let place = format!("{CPUSETS}{EMPTY}");
        let made = fs::create_dir(&place).with_context(|| format!("cannot make {place}"));
        made.map(|()| Self)
    }
}

impl Drop for EmptyCpuset {
    fn drop(&mut self) {
        let deadline = Instant::now() + CLEANING;
        // Engines make one of that name in every hierarchy, and their monitors end a moment later.
        for hierarchy in fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten() {
            let place = hierarchy.path().join(EMPTY.trim_start_matches('/'));
            while !remove_cgroups(&place) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Whether the cgroup and what is below it are gone.
fn remove_cgroups(place: &Path) -> bool {
    for entry in fs::read_dir(place).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroups(&entry.path());
        }
    }
    fs::remove_dir(place).is_ok() || !place.exists()
}

/// Lowers what is the machine's.
pub(super) fn lower(limit: &Limit) -> Result<Lowered> {
    let (file, value) = match limit.kind {
        Kind::Mounts(more) => {
            let mounts = fs::read_to_string("/proc/self/mountinfo")?.lines().count() as u64;
            ("/proc/sys/fs/mount-max", (mounts + more).to_string())
        }
        Kind::Sysctl(file, value) => (file, value.to_owned()),
        Kind::Following(file) => (file, "0".to_owned()),
        Kind::NoProcessors => return Ok(Lowered::Cpuset(EmptyCpuset::make()?)),
        _ => return Ok(Lowered::Nothing),
    };
    let guard = Guard::over(Path::new(file))?;
    fs::write(file, value).with_context(|| format!("cannot write {file}"))?;
    Ok(Lowered::Sysctl(guard))
}

/// The command line of a cell, or why there is none.
pub(super) fn words(
    scene: &Scene,
    engine: Engine,
    limit: &Limit,
    name: &str,
) -> Result<Result<Vec<String>, &'static str>> {
    let inside = match limit.kind {
        // With their folder: ctr gives a container from a folder no PATH.
        Kind::Pids => ["/bin/sh", "-c", "sleep 0 & wait"].as_slice(),
        Kind::Memory => &["/bin/busybox", "tail", "/dev/zero"],
        // In /dev, a tmpfs: GNU tail takes an overlay for a remote file system, on which it does not ask for inotify.
        Kind::Following(_) => {
            &["/bin/sh", "-c", ": > /dev/followed; sleep 1 & gnu-tail -f --pid=$! /dev/followed; exit 1"]
        }
        _ => &["/bin/true"],
    };
    let options = match options(engine, &limit.kind) {
        Ok(options) => options,
        Err(why) => return Ok(Err(why)),
    };
    let mut words = match engine {
        Engine::Runc | Engine::Crun => {
            let bundle = bundle(scene, &limit.kind, inside, name)?;
            let runtime = if engine == Engine::Runc { "runc" } else { "crun" };
            let root = scene.at(runtime);
            vec![
                runtime.to_owned(),
                "--root".into(),
                root,
                "run".into(),
                "--bundle".into(),
                bundle,
                name.into(),
            ]
        }
        _ => scene.command(engine, name, &options, inside),
    };
    if let Kind::Namespaces(kind) = limit.kind {
        let lower = format!("echo 0 > /proc/sys/user/max_{kind}_namespaces; exec \"$@\"");
        let around = ["unshare", "-Urm", "sh", "-c", &lower, "sh"].map(str::to_owned);
        words.splice(0..0, around);
    }
    if matches!(engine, Engine::Crun | Engine::PodmanCrun) {
        // "cgroups in hybrid mode not supported": a v2 hierarchy with controllers beside v1.
        let hide = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"";
        words.splice(0..0, ["unshare", "-m", "sh", "-c", hide, "sh"].map(str::to_owned));
    }
    Ok(Ok(words))
}

/// What an engine calls the limit, if it has it.
fn options(engine: Engine, kind: &Kind) -> Result<Vec<String>, &'static str> {
    let option = |text: &str| Ok(text.split(' ').map(str::to_owned).collect());
    match (kind, engine) {
        (Kind::Namespaces(_), Engine::Docker | Engine::Ctr) => {
            Err("its daemon is not in the user namespace in which root may lower this limit")
        }
        (Kind::Namespaces(_), Engine::PodmanRunc | Engine::PodmanCrun | Engine::Diag) => {
            Err("it does not start as root of a child user namespace")
        }
        (Kind::Mounts(_) | Kind::Sysctl(..) | Kind::Namespaces(_) | Kind::Following(_), _) => Ok(vec![]),
        (Kind::NoProcessors, _) if !Path::new(CPUSETS).is_dir() => Err("no v1 hierarchy of processors here"),
        (_, Engine::Bwrap | Engine::Unshare) => Err("it has no such option"),
        (_, Engine::Runc | Engine::Crun) => Ok(vec![]),
        (Kind::NoProcessors, Engine::Ctr) => Ok(vec!["--cgroup".into(), format!("{EMPTY}/ctr")]),
        (Kind::NoProcessors, Engine::Docker | Engine::PodmanRunc | Engine::PodmanCrun) => {
            Ok(vec!["--cgroup-parent".into(), EMPTY.into()])
        }
        (Kind::NoProcessors, Engine::Diag) => Err("it has no such option"),
        (Kind::Memory, Engine::Ctr) => option("--memory-limit 16777216"),
        (_, Engine::Ctr) => Err("it has no such option"),
        (Kind::Pids, _) => option("--pids-limit=1"),
        (Kind::Descriptors, Engine::Diag) => option("--ulimit nofile=1073741000:1073741000"),
        (Kind::Descriptors, _) => option("--ulimit nofile=1073741000:1073741000"),
        (Kind::Processors, Engine::Diag) => option("--cpuset-cpus=1000"),
        (Kind::Processors, _) => option("--cpuset-cpus=4000"),
        (Kind::Memory, Engine::Diag) => option("--memory 16m"),
        (Kind::Memory, _) => option("--memory=16m"),
    }
}

/// A bundle with the limit in its configuration.
fn bundle(scene: &Scene, kind: &Kind, inside: &[&str], name: &str) -> Result<String> {
    let folder = scene.at(&format!("bundle-{name}"));
    fs::create_dir_all(&folder)?;
    let mut config = scene.spec()?;
    config["process"]["terminal"] = json!(false);
    config["process"]["args"] = json!(inside);
    config["root"]["path"] = json!(scene.at("rootfs"));
    config["process"]["rlimits"] = json!([]);
    match kind {
        Kind::Descriptors => {
            config["process"]["rlimits"] =
                json!([{ "type": "RLIMIT_NOFILE", "hard": 1_073_741_000, "soft": 1_073_741_000 }]);
        }
        Kind::Pids => config["linux"]["resources"]["pids"] = json!({ "limit": 1 }),
        Kind::Processors => config["linux"]["resources"]["cpu"] = json!({ "cpus": "4000" }),
        Kind::NoProcessors => config["linux"]["cgroupsPath"] = json!(format!("{EMPTY}/{name}")),
        Kind::Memory => config["linux"]["resources"]["memory"] = json!({ "limit": 16 << 20 }),
        _ => {}
    }
    fs::write(Path::new(&folder).join("config.json"), serde_json::to_vec_pretty(&config)?)?;
    Ok(folder)
}
