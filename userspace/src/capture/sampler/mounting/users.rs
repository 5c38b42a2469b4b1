//! Who keeps a mount busy: working folders, roots, open files, mappings and swap below it (as fuser(1) finds them).

use super::super::file_system::is_for_writing;
use super::held::Held;
use crate::limits::read::Root;
use crate::model::{Mounting, Place};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Processes looked at, and users shown: an incident is no census.
const MOST_PROCESSES: usize = 4096;
const MOST: usize = 8;

pub(super) fn look(held: &Held, root: &Root, target: &Place, fact: &mut Mounting) {
    let Some(device) = target.mount.as_ref().map(|m| m.device.clone()) else { return };
    let Some((major, minor)) = device.split_once(':') else { return };
    let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { return };
    let device = libc::makedev(major, minor);
    let Ok(processes) = fs::read_dir(root.join("proc")) else { return };
    let own = held.is_own().then(|| held.proc.clone());
    // The caller first: it is soonest gone, and most often itself the one.
    let all = processes.filter_map(Result::ok).map(|e| e.path());
    let numbered =
        all.filter(|p| p.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.parse::<u32>().is_ok()));
    for dir in own.into_iter().chain(numbered).take(MOST_PROCESSES) {
        process(&dir, device, fact);
        if fact.users.len() >= MOST && fact.writers.len() >= MOST {
            break;
        }
    }
}

fn process(dir: &Path, device: u64, fact: &mut Mounting) {
    let there = |path: &Path| fs::metadata(path).is_ok_and(|m| m.dev() == device);
    let who = || {
        let comm = fs::read_to_string(dir.join("comm")).unwrap_or_default();
        format!("{} (pid {})", comm.trim(), dir.file_name().unwrap_or_default().to_string_lossy())
    };
    let add = |list: &mut Vec<String>, words: String| {
        if list.len() < MOST && !list.contains(&words) {
            list.push(words);
        }
    };
    for (link, words) in [("cwd", "its working folder"), ("root", "its root")] {
        if there(&dir.join(link)) {
            add(&mut fact.users, format!("{}: {words}", who()));
        }
    }
    for entry in fs::read_dir(dir.join("fd")).into_iter().flatten().filter_map(Result::ok) {
        if !there(&entry.path()) {
            continue;
        }
        let name = fs::read_link(entry.path()).map(|p| p.to_string_lossy().into_owned()).unwrap_or_default();
        add(&mut fact.users, format!("{}: {name} open", who()));
        let info = fs::read_to_string(dir.join("fdinfo").join(entry.file_name())).unwrap_or_default();
        if is_for_writing(&info) {
            add(&mut fact.writers, format!("{}: {name} open for writing", who()));
        }
    }
    let exe = dir.join("exe");
    if there(&exe) {
        add(&mut fact.users, format!("{}: the program it runs", who()));
    }
}
