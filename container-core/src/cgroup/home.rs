//! Below which folder of a hierarchy the engine makes its groups, and how it gets out of its own group's way.
//!
//! Root on a machine takes the root of the hierarchy, as other engines do that have no systemd to ask. A part of the
//! tree may have been handed over instead: systemd marks the group of a unit with `Delegate=yes` by an extended attribute
//! (systemd's "Control Group APIs and Delegation", `user.delegate` since version 251, `trusted.delegate` before), and
//! whoever is not root can only use a group whose folder is his. What lies around that part is then left alone.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::{AccessFlags, access};

use super::hierarchy::{Controller, Hierarchies};
use super::{make_dir, write};
use crate::error::StepError;
use crate::isolate::c_path;
use crate::rootless;
use crate::steps::Step;

/// The group into which the engine moves itself where it is in the way: v2 lets a group have processes or hand
/// controllers down, not both (cgroups(7), "no internal processes").
const LEAF: &str = "diag-engine";

/// Where the calling process stands: proc_pid_cgroup(5), lines of `number:controllers:path`.
pub(super) struct Standing(String);

impl Standing {
    pub(super) fn read() -> Standing {
        Standing(fs::read_to_string("/proc/thread-self/cgroup").unwrap_or_default())
    }

    /// The caller's group in the hierarchy of a v1 controller, or in the v2 one.
    fn group(&self, controller: Option<Controller>) -> Option<&str> {
        self.0.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':');
            let (number, names, path) = (fields.next()?, fields.next()?, fields.next()?);
            let is_it = match controller {
                None => number == "0" && names.is_empty(),
                Some(controller) => names.split(',').any(|name| name == controller.name()),
            };
            is_it.then_some(path)
        })
    }

    /// The folder below which groups are made in the hierarchy mounted at `mount`; `None` where the caller may not make
    /// any.
    pub(super) fn home(&self, mount: &Path, controller: Option<Controller>) -> Option<PathBuf> {
        let own = self.group(controller).map(|path| within(mount, path));
        if let Some(own) = own.as_ref().filter(|own| *own != mount && is_delegated(own)) {
            return Some(own.clone());
        }
        let is_open = |path: &Path| access(path, AccessFlags::W_OK).is_ok();
        // The first user namespace's root is told by the kernel why it may not; others do without.
        if is_open(mount) || !rootless::in_user_namespace() {
            return Some(mount.to_owned());
        }
        own.filter(|own| is_open(own) && is_open(&own.join("cgroup.procs")))
    }
}

/// The folder of the group `path`. It is not there where only a part of the tree is mounted: then that part is all
/// there is. From the engine's own leaf one goes back up.
fn within(mount: &Path, path: &str) -> PathBuf {
    let own = mount.join(path.trim_start_matches('/'));
    match (own.file_name(), own.parent()) {
        _ if path.contains("/..") || !own.is_dir() => mount.to_owned(),
        (Some(name), Some(parent)) if name == LEAF => parent.to_owned(),
        _ => own,
    }
}

fn is_delegated(group: &Path) -> bool {
    let Ok(path) = c_path(group) else { return false };
    [c"user.delegate", c"trusted.delegate"].iter().any(|name| {
        let mut value = [0u8; 2];
        // SAFETY: both names are terminated, and the kernel writes at most the length given.
        let length =
            unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        length == 1 && value[0] == b'1'
    })
}

/// What the caller of a start in the background does beforehand: its supervisor cannot move it out of the way. Where this
/// fails, the supervisor finds it there and says so.
pub(crate) fn make_room() {
    if let Ok(hierarchies) = Hierarchies::find()
        && let Some(home) = hierarchies.unified()
    {
        let _ = step_aside(home);
    }
}

/// Move the calling process from the v2 group `home` into a leaf below it, where it stands in the way; who else does is
/// named. The root of the tree, alone without a type, has the right to processes.
pub(super) fn step_aside(home: &Path) -> Result<(), StepError> {
    let procs = home.join("cgroup.procs");
    let inside = || {
        let text = fs::read_to_string(&procs);
        text.map_err(|e| StepError::from_io(Step::EnableControllers, "openat", &procs, &e))
    };
    if !home.join("cgroup.type").exists() {
        return Ok(());
    }
    let own = std::process::id().to_string();
    if inside()?.lines().any(|pid| pid == own) {
        let leaf = home.join(LEAF);
        make_dir(&leaf)?;
        write(Step::EnableControllers, &leaf.join("cgroup.procs"), "0")?;
    }
    let others = inside()?;
    let pids: Vec<&str> = others.lines().take(5).collect();
    if pids.is_empty() {
        return Ok(());
    }
    Err(StepError {
        step: Step::EnableControllers,
        syscall: "write".to_owned(),
        object: format!(
            "{} (the group itself has processes, {}: a group can have processes or limit groups below it, not both; \
             move them to a group below it)",
            home.join("cgroup.subtree_control").display(),
            pids.join(" ")
        ),
        errno: Errno::EBUSY as i32,
        pid: std::process::id() as i32,
    })
}

/// The file of a bundle that says where its groups are, where that is not where everybody looks.
pub(crate) fn record(bundle: &Path, hierarchies: &Hierarchies) -> io::Result<()> {
    let file = bundle.join("cgroups");
    if hierarchies.is_usual() {
        return match fs::remove_file(&file) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        };
    }
    let mut lines = Vec::new();
    for (kind, path) in hierarchies.iter() {
        lines.extend_from_slice(kind.name().as_bytes());
        lines.push(b' ');
        lines.extend_from_slice(path.as_os_str().as_bytes());
        lines.push(b'\n');
    }
    fs::write(file, lines)
}

/// The hierarchies as [`record`] has written them down for a container, else as the caller finds them.
pub(crate) fn of_bundle(bundle: &Path) -> Result<Hierarchies, StepError> {
    match fs::read_to_string(bundle.join("cgroups")) {
        Ok(text) => Ok(Hierarchies::from_lines(&text)),
        Err(_) => Hierarchies::find(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn every_hierarchy_has_its_own_line() {
        let standing = Standing("4:memory:/a\n3:cpu,cpuacct:/b:c\n1:name=systemd:/s\n0::/u\n".into());
        assert_eq!(standing.group(None), Some("/u"));
        assert_eq!(standing.group(Some(Controller::Memory)), Some("/a"));
        assert_eq!(standing.group(Some(Controller::Cpu)), Some("/b:c"));
        assert_eq!(standing.group(Some(Controller::Pids)), None);
    }

    #[test]
    fn the_leaf_is_not_the_home_and_what_is_not_mounted_is_not_there() {
        let dir = Scratch::new("home");
        let mount = dir.path();
        fs::create_dir_all(mount.join("unit").join(LEAF)).unwrap();
        assert_eq!(within(mount, "/unit"), mount.join("unit"));
        assert_eq!(within(mount, "/unit/diag-engine"), mount.join("unit"));
        assert_eq!(within(mount, "/elsewhere"), mount);
        assert_eq!(within(mount, "/../unit"), mount);
        assert_eq!(within(mount, "/").components().count(), mount.components().count());
    }
}
