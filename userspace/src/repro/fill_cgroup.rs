//! Fills a cgroup of its own up to pids.max, then asks for one more process.

use super::{Provoked, hierarchy};
use anyhow::{Context, bail};
use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Room in the cgroup: this process and a few children.
const ROOM: usize = 4;

/// Shells try again, too; and so there is a while in which the full cgroup can be looked at.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    let place = Place::make(variant == "ancestor")?;
    let mut children = Vec::new();
    let mut refused = None;
    let mut tries = 0;
    while children.len() <= ROOM {
        // SAFETY: the child makes no call but pause and _exit.
        match unsafe { libc::fork() } {
            0 => loop {
                // SAFETY: waits for a signal; the first one ends this process.
                unsafe { libc::pause() };
            },
            -1 => {
                refused = Some(io::Error::last_os_error());
                tries += 1;
                if tries == TRIES {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
            pid => children.push(pid),
        }
    }
    for pid in children {
        // SAFETY: a child of ours that nobody has waited for, so the number is still its.
        unsafe {
            libc::kill(pid, libc::SIGKILL);
            libc::waitpid(pid, std::ptr::null_mut(), 0);
        }
    }
    drop(place);
    match refused {
        Some(error) => Ok(Provoked { error, syscall: "clone" }),
        None => bail!("pids.max = {ROOM} did not refuse process {}", ROOM + 1),
    }
}

/// The cgroup and the way back.
struct Place {
    outer: PathBuf,
    inner: PathBuf,
    before: PathBuf,
}

impl Place {
    /// `outer/inner`, this process in `inner`, the limit on one of them.
    fn make(ancestor: bool) -> anyhow::Result<Self> {
        let hierarchy::Hierarchy { top, own: before, .. } = hierarchy::of("pids")?;
        let outer = top.join(format!("diag-repro-{}", std::process::id()));
        let inner = outer.join("inner");
        fs::create_dir(&outer).with_context(|| format!("cannot make {}", outer.display()))?;
        let place = Self { outer, inner, before };
        // On v2 a controller must be handed down; v1 has no such file.
        let control = place.outer.join("cgroup.subtree_control");
        if control.exists() {
            fs::write(&control, "+pids").with_context(|| format!("cannot write {}", control.display()))?;
        }
        fs::create_dir(&place.inner).with_context(|| format!("cannot make {}", place.inner.display()))?;
        let limited = if ancestor { &place.outer } else { &place.inner };
        let file = limited.join("pids.max");
        fs::write(&file, ROOM.to_string()).with_context(|| format!("cannot write {}", file.display()))?;
        enter(&place.inner)?;
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nothing is left to do about a failure: the folders then stay, empty.
        let _ = enter(&self.before);
        let _ = fs::remove_dir(&self.inner);
        let _ = fs::remove_dir(&self.outer);
    }
}

fn enter(folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("cgroup.procs");
    fs::write(&file, "0").with_context(|| format!("cannot enter {}", folder.display()))
}
