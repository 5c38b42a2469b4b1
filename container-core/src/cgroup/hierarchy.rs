//! Where the cgroup hierarchies are mounted, and which of them a container needs: then, where in them the engine makes
//! its groups.

use std::fs;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, FsType, statfs};

use super::home::Standing;
use crate::error::StepError;
use crate::steps::Step;

/// A controller that limits containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Controller {
    Pids,
    Memory,
    Cpu,
    Cpuset,
    /// Exists on v1 only, and is needed only where there is no v2: see `devices`.
    Devices,
}

impl Controller {
    pub(crate) const ALL: [Controller; 5] =
        [Controller::Pids, Controller::Memory, Controller::Cpu, Controller::Cpuset, Controller::Devices];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Controller::Pids => "pids",
            Controller::Memory => "memory",
            Controller::Cpu => "cpu",
            Controller::Cpuset => "cpuset",
            Controller::Devices => "devices",
        }
    }
}

/// Which hierarchy a group lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    V2,
    V1(Controller),
}

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::V2 => "v2",
            Kind::V1(controller) => controller.name(),
        }
    }
}

impl Kind {
    /// The file into which a process writes `0` to enter. Moving a whole process (`cgroup.procs`) makes the kernel
    /// wait for an RCU grace period, 10 ms and more on a busy machine; a single thread that moves itself (v1
    /// `tasks`) is spared that (kernel: cgroup_procs_write_start), and the child has one thread only.
    pub(crate) fn door(self) -> &'static str {
        match self {
            Kind::V2 => "cgroup.procs",
            Kind::V1(_) => "tasks",
        }
    }
}

/// The folders of the hierarchies below which the engine makes its groups: mostly the mount points. v1 controllers may
/// share one (`cpu,cpuacct`), never with each other's name missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hierarchies {
    unified: Option<PathBuf>,
    v1: Vec<(Controller, PathBuf)>,
    /// Whether another process would find them somewhere else.
    moved: bool,
}

impl Hierarchies {
    /// Step "find cgroup hierarchies": the usual places first, for reading all of mountinfo takes long on a
    /// machine with a hundred thousand mounts; then mountinfo.
    pub(crate) fn find() -> Result<Hierarchies, StepError> {
        let usual = Hierarchies::in_usual_places(Path::new("/sys/fs/cgroup"));
        if !usual.is_empty() {
            return Ok(usual.needed().at_home(&Standing::read()));
        }
        let mountinfo = Path::new("/proc/self/mountinfo");
        let text = fs::read_to_string(mountinfo)
            .map_err(|e| StepError::from_io(Step::FindCgroups, "openat", mountinfo, &e))?;
        let found = Hierarchies::in_mountinfo(&text);
        if found.is_empty() {
            let place = "/sys/fs/cgroup (no cgroup file system is mounted)";
            return Err(StepError::here(Step::FindCgroups, "statfs", place, Errno::ENOENT));
        }
        Ok(found.needed().at_home(&Standing::read()))
    }

    /// From the mount points to the folders that the caller may use.
    fn at_home(self, standing: &Standing) -> Hierarchies {
        let mut homes = Hierarchies::default();
        let mut take = |mount: &Path, controller: Option<Controller>| {
            let home = standing.home(mount, controller);
            homes.moved |= home.as_deref() != Some(mount);
            home
        };
        homes.unified = self.unified.and_then(|mount| take(&mount, None));
        let v1 = self.v1.into_iter();
        homes.v1 = v1
            .filter_map(|(controller, mount)| Some((controller, take(&mount, Some(controller))?)))
            .collect();
        homes
    }

    /// Whether everybody finds the same.
    pub(super) fn is_usual(&self) -> bool {
        !self.moved
    }

    /// `v2 FOLDER`, `memory FOLDER` … a line.
    pub(super) fn from_lines(text: &str) -> Hierarchies {
        let mut found = Hierarchies { moved: true, ..Hierarchies::default() };
        for (name, path) in text.lines().filter_map(|line| line.split_once(' ')) {
            let controller = Controller::ALL.into_iter().find(|controller| controller.name() == name);
            match controller {
                Some(controller) => found.v1.push((controller, PathBuf::from(path))),
                None if name == Kind::V2.name() => found.unified = Some(PathBuf::from(path)),
                None => {}
            }
        }
        found
    }

    /// Where v2 is mounted a program decides about devices, and the v1 controller need not be entered.
    fn needed(mut self) -> Hierarchies {
        let unified = self.unified.is_some();
        self.v1.retain(|(controller, _)| !(unified && *controller == Controller::Devices));
        self
    }

    fn in_usual_places(base: &Path) -> Hierarchies {
        if has_type(base, CGROUP2_SUPER_MAGIC) {
            return Hierarchies { unified: Some(base.to_owned()), ..Hierarchies::default() };
        }
        let place = |names: &[&str], magic| {
            names.iter().map(|name| base.join(name)).find(|path| has_type(path, magic))
        };
        let v1 = Controller::ALL
            .into_iter()
            .filter_map(|controller| {
                let joint: &[&str] = match controller {
                    Controller::Cpu => &["cpu", "cpu,cpuacct"],
                    other => &[other.name()],
                };
                place(joint, CGROUP_SUPER_MAGIC).map(|path| (controller, path))
            })
            .collect();
        Hierarchies { unified: place(&["unified"], CGROUP2_SUPER_MAGIC), v1, moved: false }
    }

    /// proc_pid_mountinfo(5): the mount point is field 5; behind ` - ` come type, source, super options.
    fn in_mountinfo(text: &str) -> Hierarchies {
        let mut found = Hierarchies::default();
        for line in text.lines() {
            let Some((mount, fs)) = line.split_once(" - ") else { continue };
            let Some(point) = mount.split(' ').nth(4).map(|path| PathBuf::from(unescape(path))) else {
                continue;
            };
            let mut fields = fs.split(' ');
            let (fs_type, options) = (fields.next(), fields.nth(1).unwrap_or_default());
            match fs_type {
                Some("cgroup2") if found.unified.is_none() => found.unified = Some(point),
                Some("cgroup") => {
                    for controller in Controller::ALL {
                        let known = found.v1.iter().any(|(other, _)| *other == controller);
                        if !known && options.split(',').any(|option| option == controller.name()) {
                            found.v1.push((controller, point.clone()));
                        }
                    }
                }
                _ => {}
            }
        }
        found
    }

    fn is_empty(&self) -> bool {
        self.unified.is_none() && self.v1.is_empty()
    }

    /// The v2 folder, if any.
    pub(crate) fn unified(&self) -> Option<&Path> {
        self.unified.as_deref()
    }

    /// Whether v2 is the only hierarchy.
    pub(crate) fn is_unified_only(&self) -> bool {
        self.unified.is_some() && self.v1.is_empty()
    }

    /// All of them, v2 first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Kind, &PathBuf)> {
        let v1 = self.v1.iter().map(|(controller, path)| (Kind::V1(*controller), path));
        self.unified.iter().map(|path| (Kind::V2, path)).chain(v1)
    }
}

fn has_type(path: &Path, magic: FsType) -> bool {
    statfs(path).is_ok_and(|fs| fs.filesystem_type() == magic)
}

/// mountinfo writes blanks and backslashes as three octal digits: `\040`.
fn unescape(field: &str) -> String {
    let mut parts = field.split('\\');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, part.get(3..)) {
            (Some(code), Some(rest)) => {
                text.push(char::from(code));
                text.push_str(rest);
            }
            _ => {
                text.push('\\');
                text.push_str(part);
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hybrid_machine_is_understood() {
        let text = "\
25 23 0:21 / /cg\\040root/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
26 23 0:22 / /cg/memory rw - cgroup cgroup rw,memory
27 23 0:23 / /cg/unified rw - cgroup2 cgroup2 rw
28 23 0:24 / /cg/systemd rw - cgroup cgroup rw,xattr,name=systemd
29 23 0:25 / /again rw - cgroup2 none rw
";
        let found = Hierarchies::in_mountinfo(text);
        assert_eq!(found.unified(), Some(Path::new("/cg/unified")));
        assert_eq!(
            found.v1,
            [
                (Controller::Cpu, PathBuf::from("/cg root/cpu,cpuacct")),
                (Controller::Memory, PathBuf::from("/cg/memory"))
            ]
        );
        assert!(!found.is_unified_only());
        assert!(Hierarchies::in_mountinfo("garbage\n").is_empty());
    }
}
