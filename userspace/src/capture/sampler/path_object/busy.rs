//! Who keeps a program busy: those that run it, and those that have it open for writing (ETXTBSY).

use super::super::file_system::is_for_writing;
use super::reach::Reach;
use crate::limits::read::Root;
use nix::sys::stat::{fstat, stat};
use std::fs;
use std::path::Path;

/// Holders named.
const MOST: usize = 4;

/// (those that run it, those that write to it), by number and name, the failing process left out of the first.
pub(super) fn holders(root: &Root, reach: &Reach, failing: u32) -> (Vec<String>, Vec<String>) {
    let (mut running, mut writing) = (Vec::new(), Vec::new());
    let Ok(own) = fstat(&reach.fd) else { return (running, writing) };
    let file = (own.st_dev, own.st_ino);
    let same = |path: &Path| stat(path).is_ok_and(|s| (s.st_dev, s.st_ino) == file);
    for entry in fs::read_dir(root.join("proc")).into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let (dir, name) = (entry.path(), || {
            let comm = fs::read_to_string(entry.path().join("comm")).unwrap_or_default();
            format!("{} ({pid})", comm.trim())
        });
        if running.len() < MOST && pid != failing && same(&dir.join("exe")) {
            running.push(name());
        }
        if writing.len() < MOST && pid != std::process::id() && has_open(&dir, &same) {
            writing.push(name());
        }
    }
    (running, writing)
}

fn has_open(process: &Path, same: &impl Fn(&Path) -> bool) -> bool {
    let all = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    let info = |fd: &fs::DirEntry| fs::read_to_string(process.join("fdinfo").join(fd.file_name()));
    all.filter(|fd| same(&fd.path())).any(|fd| is_for_writing(&info(&fd).unwrap_or_default()))
}
