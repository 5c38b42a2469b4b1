//! Makes a cpuset without processors and tries to enter it; or enters one that has some and empties it.

use super::Provoked;
use super::hierarchy::{self, Hierarchy};
use anyhow::{Context, bail};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Folders of the fault, innermost first, and the way back.
#[derive(Default)]
struct Place {
    folders: Vec<PathBuf>,
    /// The cgroup.procs of where this process came from, once it has left.
    before: Option<PathBuf>,
    /// Switched on by the fault: a cgroup.subtree_control.
    switched: Option<PathBuf>,
}

impl Place {
    fn make(&mut self, folder: PathBuf) -> anyhow::Result<PathBuf> {
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        self.folders.insert(0, folder.clone());
        Ok(folder)
    }

    fn delegate(&mut self, folder: &Path, ours: bool) -> anyhow::Result<()> {
        let control = folder.join("cgroup.subtree_control");
        let now = fs::read_to_string(&control).unwrap_or_default();
        if now.split_whitespace().any(|c| c == "cpuset") {
            return Ok(());
        }
        put(&control, "+cpuset")?;
        if !ours {
            self.switched = Some(control);
        }
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Nothing is left to do about a failure: the folders then stay, empty.
        if let Some(before) = &self.before {
            let _ = fs::write(before, "0");
        }
        for folder in &self.folders {
            let _ = fs::remove_dir(folder);
        }
        if let Some(control) = &self.switched {
            let _ = fs::write(control, "-cpuset");
        }
    }
}

pub(super) fn provoke(variant: &str) -> anyhow::Result<Provoked> {
    let mut place = Place::default();
    let name = format!("diag-repro-{}", std::process::id());
    let Hierarchy { top, own, v1 } = hierarchy::of("cpuset")?;
    if !v1 {
        place.delegate(&top, false)?;
    }
    let outer = place.make(top.join(name))?;
    let (file, text) = match (variant, v1) {
        ("in-use", _) => {
            for (file, from) in [("cpuset.mems", "mems"), ("cpuset.cpus", "cpus")] {
                put(&outer.join(file), &first(&top, from)?)?;
            }
            place.before = Some(own.join("cgroup.procs"));
            put(&outer.join("cgroup.procs"), "0")?;
            (outer.join("cpuset.cpus"), "\n")
        }
        (_, true) => (outer.join("cgroup.procs"), "0"),
        (_, false) => (partition(&mut place, &top, &outer)?.join("cgroup.procs"), "0"),
    };
    // Opened and closed as programs do it: the descriptor is gone when anybody looks.
    let mut open = fs::OpenOptions::new()
        .write(true)
        .open(&file)
        .with_context(|| format!("cannot open {}", file.display()))?;
    match open.write_all(text.as_bytes()) {
        Err(error) => {
            drop(open);
            // Cgroups mostly outlive a refusal, and only there can be seen what they lack.
            std::thread::sleep(super::LINGER);
            Ok(Provoked::new("write", error))
        }
        Ok(()) => bail!("{} was not refused", file.display()),
    }
}

/// A partition that has handed its only CPU to one below, and another folder in it, which then has none.
fn partition(place: &mut Place, top: &Path, outer: &Path) -> anyhow::Result<PathBuf> {
    let cpus = fs::read_to_string(top.join("cpuset.cpus.effective")).context("cannot read the CPUs")?;
    let last = cpus.trim().rsplit([',', '-']).next().unwrap_or_default().to_owned();
    for folder in [outer.to_owned(), outer.join("all")] {
        if folder != outer {
            place.delegate(outer, true)?;
            place.make(folder.clone())?;
        }
        put(&folder.join("cpuset.cpus"), &last)?;
        let file = folder.join("cpuset.cpus.partition");
        put(&file, "root")?;
        let state = fs::read_to_string(&file).unwrap_or_default();
        if state.trim() != "root" {
            bail!("CPU {last} cannot be made a partition here: {}", state.trim());
        }
    }
    place.make(outer.join("none"))
}

/// The first number of what the top has.
fn first(top: &Path, kind: &str) -> anyhow::Result<String> {
    let names = [format!("cpuset.{kind}.effective"), format!("cpuset.{kind}")];
    let text = names.iter().find_map(|name| fs::read_to_string(top.join(name)).ok());
    let text = text.with_context(|| format!("cannot read the {kind} of {}", top.display()))?;
    Ok(text.trim().split(['-', ',']).next().unwrap_or("0").to_owned())
}

fn put(file: &Path, text: &str) -> anyhow::Result<()> {
    let written: io::Result<()> = fs::write(file, text);
    written.with_context(|| format!("cannot write {text} to {}", file.display()))
}
