//! What cgroupfs refuses by rule, in a cgroup of one's own that goes afterwards.

use super::{LINGER, Provoked, hierarchy};
use anyhow::{Context, bail};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    let place = Place::make()?;
    let at = |rel: &str| place.0.join(rel);
    match variant {
        "enter" => {
            fs::write(at("cgroup.subtree_control"), "+memory").context("cannot hand memory down")?;
            refused("write", fs::write(at("cgroup.procs"), "0"))
        }
        "unknown" => refused("write", fs::write(at("cgroup.subtree_control"), "+nosuch")),
        "in-use" => {
            let child = place.child("a")?;
            fs::write(at("cgroup.subtree_control"), "+memory").context("cannot hand memory down")?;
            fs::write(child.join("cgroup.subtree_control"), "+memory").context("cannot hand memory down")?;
            refused("write", fs::write(at("cgroup.subtree_control"), "-memory"))
        }
        "invalid-domain" => {
            let threaded = place.child("a")?;
            let plain = place.child("b")?;
            fs::write(threaded.join("cgroup.type"), "threaded").context("cannot make a cgroup threaded")?;
            refused("write", fs::write(plain.join("cgroup.procs"), "0"))
        }
        "descendants" => {
            fs::write(at("cgroup.max.descendants"), "0").context("cannot limit the cgroups")?;
            refused("mkdir", fs::create_dir(at("a")))
        }
        "depth" => {
            fs::write(at("cgroup.max.depth"), "0").context("cannot limit the depth")?;
            refused("mkdir", fs::create_dir(at("a")))
        }
        "kernel-thread" => refused("write", fs::write(at("cgroup.procs"), "2")),
        "no-such-pid" => refused("write", fs::write(at("cgroup.procs"), "4194303")),
        "removed" => {
            let child = place.child("a")?;
            let mut file =
                File::options().write(true).open(child.join("cgroup.procs")).context("cannot open")?;
            fs::remove_dir(&child).context("cannot remove the cgroup")?;
            refused("write", file.write_all(b"0"))
        }
        "has-child" => {
            place.child("a")?;
            refused("rmdir", fs::remove_dir(&place.0))
        }
        "words" => refused("write", fs::write(at("cgroup.max.depth"), "deep")),
        other => bail!("no such variant: {other}"),
    }
}

/// What must fail came to; the cgroup stays for a while, because it is what is looked at.
fn refused<T>(syscall: &'static str, outcome: io::Result<T>) -> anyhow::Result<Provoked> {
    let Err(error) = outcome else { bail!("{syscall} was not refused") };
    std::thread::sleep(LINGER);
    Ok(Provoked::new(syscall, error))
}

/// A cgroup of version 2, removed with all below it.
struct Place(PathBuf);

impl Place {
    fn make() -> anyhow::Result<Self> {
        let top = hierarchy::of("memory").context("the memory controller is not on cgroup v2")?;
        if top.v1 {
            bail!("the memory controller is on cgroup v1, which has other rules");
        }
        let folder = top.top.join(format!("diag-repro-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn child(&self, name: &str) -> anyhow::Result<PathBuf> {
        let folder = self.0.join(name);
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(folder)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

/// From the bottom up; what is left when that fails is empty.
fn remove(folder: &Path) {
    let below = fs::read_dir(folder).into_iter().flatten().flatten().filter(|e| e.path().is_dir());
    below.for_each(|e| remove(&e.path()));
    let _ = fs::remove_dir(folder);
}
