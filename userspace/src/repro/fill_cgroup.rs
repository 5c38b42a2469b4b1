//! Fills a cgroup of its own up to pids.max, then asks for one more process.

use super::{Provoked, children::Children, hierarchy};
use anyhow::{Context, bail};
use std::{
    fs,
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
    let mut children = Children::default();
    let mut refused = None;
    for _ in 0..ROOM + TRIES {
        if let Err(error) = children.fork() {
            refused = Some(error);
            std::thread::sleep(PAUSE);
        }
    }
    let Some(error) = refused else { bail!("pids.max = {ROOM} did not refuse process {}", ROOM + 1) };
    // In this order: a cgroup with processes in it cannot be removed. Both stay as long as the call can be repeated.
    let mut all = (children, place);
    let again = move || {
        let (children, _place) = &mut all;
        children.fork()
    };
    Ok(Provoked { again: Some(Box::new(again)), ..Provoked::new("clone", error) })
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
