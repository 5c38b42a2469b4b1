//! A container's cgroup: one folder `diag/<id>` in each hierarchy that matters, cgroups(7), below the root of the
//! hierarchy or below the part of it that was handed to the engine ([`home`]).
//!
//! On a v2 machine that is one folder; on v1 one each for pids, memory and cpu; on a hybrid machine those and
//! one in the v2 tree, where no controller may be left but where `cgroup.kill` is and whose id BPF programs see.

mod devices;
mod end;
mod hierarchy;
pub(crate) mod home;
mod limits;
mod usage;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use hierarchy::Controller;
pub(crate) use hierarchy::{Hierarchies, Kind};
pub use usage::Usage;

use crate::container::CgroupRef;
use crate::error::StepError;
use crate::spec::Limits;
use crate::steps::Step;

/// The folder that holds all containers' groups.
const PARENT: &str = "diag";

/// The groups of one container.
#[derive(Debug)]
pub(crate) struct Cgroup {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    kind: Kind,
    path: PathBuf,
}

/// What a new process needs to enter the groups.
#[derive(Debug)]
pub(crate) struct Entrance {
    /// The v2 group's folder, for CLONE_INTO_CGROUP, if a process may be born there.
    pub(crate) unified: Option<OwnedFd>,
    /// The file to write into, open, for every group that a process cannot be born in; with its path.
    /// The v2 group's is first, if there is one.
    pub(crate) doors: Vec<(OwnedFd, PathBuf)>,
}

impl Group {
    /// Whether the group has a set of CPUs. Who enters takes it on, who is born inside only since Linux 6.4 and the stable
    /// kernels that followed (kernel/cgroup/cpuset.c, `cpuset_can_fork` and `cpuset_fork`).
    fn restricts_cpus(&self) -> bool {
        fs::read_to_string(self.path.join("cpuset.cpus")).is_ok_and(|cpus| !cpus.trim().is_empty())
    }
}

impl Cgroup {
    /// The groups a container with this id has, whether they exist or not.
    pub(crate) fn of(hierarchies: &Hierarchies, id: &str) -> Cgroup {
        let group = |(kind, home): (Kind, &PathBuf)| Group { kind, path: home.join(PARENT).join(id) };
        Cgroup { groups: hierarchies.iter().map(group).collect() }
    }

    /// The folders of those that exist.
    pub(crate) fn existing(&self) -> Vec<PathBuf> {
        self.groups.iter().filter(|group| group.path.exists()).map(|group| group.path.clone()).collect()
    }

    /// Only those that a container with these limits is put into. On v1 the cpuset hierarchy is entered only when CPUs
    /// are asked for: it takes memory nodes too, and every hierarchy costs time at a start.
    pub(crate) fn entered_with(mut self, limits: &Limits) -> Cgroup {
        self.groups.retain(|group| group.kind != Kind::V1(Controller::Cpuset) || limits.cpus.is_some());
        self
    }

    /// Step "enable cgroup controllers": v2 hands a controller down one level at a time, through
    /// `cgroup.subtree_control` of each ancestor. Only the root of the tree can do that while it has processes: others
    /// are refused with EBUSY, or, for controllers that know threads (pids, cpu), silently become threaded domains, below
    /// which no container can be (Documentation/admin-guide/cgroup-v2.rst, "Threads"). So the engine moves out of the way
    /// first. A controller that cannot be handed down is an error only when a limit needs it.
    pub(crate) fn enable_controllers(hierarchies: &Hierarchies, limits: &Limits) -> Result<(), StepError> {
        let Some(home) = hierarchies.unified() else { return Ok(()) };
        let needed: Vec<Controller> =
            limits::settings(limits).iter().map(|setting| setting.controller).collect();
        let parent = home.join(PARENT);
        make_dir(&parent)?;
        for dir in [home, parent.as_path()] {
            let failed = |e: &io::Error| StepError::from_io(Step::EnableControllers, "openat", dir, e);
            let available = fs::read_to_string(dir.join("cgroup.controllers")).map_err(|e| failed(&e))?;
            let enabled = fs::read_to_string(dir.join("cgroup.subtree_control")).map_err(|e| failed(&e))?;
            let has = |list: &str, controller: Controller| {
                list.split_ascii_whitespace().any(|word| word == controller.name())
            };
            let missing =
                |controller: &Controller| has(&available, *controller) && !has(&enabled, *controller);
            let missing: Vec<Controller> = Controller::ALL.into_iter().filter(missing).collect();
            if missing.is_empty() {
                continue;
            }
            let aside = home::step_aside(dir);
            let control = dir.join("cgroup.subtree_control");
            for controller in missing {
                let word = format!("+{}", controller.name());
                let handed = aside.clone().and_then(|()| write(Step::EnableControllers, &control, &word));
                if needed.contains(&controller) {
                    handed?;
                }
            }
        }
        Ok(())
    }

    /// Step "create cgroup", in every hierarchy.
    pub(crate) fn create(&self) -> Result<(), StepError> {
        for group in &self.groups {
            if let Some(parent) = group.path.parent() {
                make_dir(parent)?;
            }
            make_dir(&group.path)?;
            if group.kind == Kind::V1(Controller::Cpuset) {
                inherit_cpuset(&group.path)?;
            }
        }
        Ok(())
    }

    /// Step "set cgroup limit", once per limit.
    pub(crate) fn set_limits(&self, limits: &Limits) -> Result<(), StepError> {
        for setting in limits::settings(limits) {
            let v1 = self.groups.iter().find(|group| group.kind == Kind::V1(setting.controller));
            let unified = self.groups.iter().find(|group| group.kind == Kind::V2);
            // Where a v1 hierarchy has the controller, the v2 group lacks it: a controller is in one place.
            let (group, values) = match (v1, unified) {
                (Some(group), _) => (group, &setting.v1),
                (None, Some(group)) => (group, &setting.v2),
                (None, None) => {
                    let missing = format!(
                        "{} controller (no cgroup hierarchy that has it is mounted, or none of its groups was handed to the \
                         engine: systemd does that with Delegate=yes)",
                        setting.controller.name()
                    );
                    return Err(StepError::here(Step::SetLimit, "openat", missing, Errno::ENOENT));
                }
            };
            for (file, value) in values {
                write(Step::SetLimit, &group.path.join(file), value)?;
            }
        }
        Ok(())
    }

    /// Step "open cgroup": what the child needs to enter, opened before it is born.
    pub(crate) fn open(&self) -> Result<Entrance, StepError> {
        let mut entrance = Entrance { unified: None, doors: Vec::new() };
        for group in &self.groups {
            let open = |path: &Path, write: bool| {
                let mut options = OpenOptions::new();
                match write {
                    true => options.write(true),
                    false => options.read(true).custom_flags(libc::O_DIRECTORY),
                };
                let opened = options.open(path).map(OwnedFd::from);
                opened.map_err(|e| StepError::from_io(Step::OpenCgroup, "openat", path, &e))
            };
            if group.kind == Kind::V2 && !group.restricts_cpus() {
                entrance.unified = Some(open(&group.path, false)?);
            }
            let door = group.path.join(group.kind.door());
            entrance.doors.push((open(&door, true)?, door));
        }
        Ok(entrance)
    }

    /// Names and ids of the groups. A cgroup's id is the inode number of its folder (kernfs, 64 bit).
    pub(crate) fn describe(&self) -> Result<Vec<CgroupRef>, StepError> {
        let describe = |group: &Group| {
            let metadata = fs::metadata(&group.path)
                .map_err(|e| StepError::from_io(Step::OpenCgroup, "newfstatat", &group.path, &e))?;
            Ok(CgroupRef {
                hierarchy: group.kind.name().to_owned(),
                path: group.path.clone(),
                id: metadata.ino(),
            })
        };
        self.groups.iter().map(describe).collect()
    }

    /// Whether the kernel killed a process of the container for its memory limit: `oom_kill` of
    /// `memory.events` (v2) or `memory.oom_control` (v1, kernel ≥ 4.13).
    pub(crate) fn oom_killed(&self) -> bool {
        self.groups.iter().any(|group| {
            let file = match group.kind {
                Kind::V2 => "memory.events",
                Kind::V1(Controller::Memory) => "memory.oom_control",
                Kind::V1(_) => return false,
            };
            let text = fs::read_to_string(group.path.join(file)).unwrap_or_default();
            text.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
        })
    }
}

/// mkdir(2) of a group; one that is there already is the same group.
fn make_dir(path: &Path) -> Result<(), StepError> {
    match fs::create_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            Err(StepError::from_io(Step::CreateCgroup, "mkdir", path, &e))
        }
        _ => Ok(()),
    }
}

/// A new v1 cpuset group is empty, and nobody can enter it before it has CPUs and memory nodes of its parent's (kernel:
/// cpuset_can_attach, ENOSPC). The parent is ours, and new too the first time.
fn inherit_cpuset(group: &Path) -> Result<(), StepError> {
    let Some(parent) = group.parent() else { return Ok(()) };
    let Some(root) = parent.parent() else { return Ok(()) };
    for (from, to) in [(root, parent), (parent, group)] {
        for file in ["cpuset.cpus", "cpuset.mems"] {
            let read = |path: &Path| {
                let text = fs::read_to_string(path);
                text.map_err(|e| StepError::from_io(Step::CreateCgroup, "openat", path, &e))
            };
            if read(&to.join(file))?.trim().is_empty() {
                write(Step::CreateCgroup, &to.join(file), read(&from.join(file))?.trim())?;
            }
        }
    }
    Ok(())
}

/// Write a value into a cgroup file, in one write(2) as the kernel wants it.
fn write(step: Step, file: &Path, value: &str) -> Result<(), StepError> {
    use std::io::Write;
    let mut open: File = OpenOptions::new()
        .write(true)
        .open(file)
        .map_err(|e| StepError::from_io(step, "openat", file, &e))?;
    open.write_all(value.as_bytes()).map_err(|e| {
        let errno = Errno::from_raw(e.raw_os_error().unwrap_or(libc::EIO));
        StepError::here(step, "write", format_args!("{value} to {}", file.display()), errno)
    })
}
