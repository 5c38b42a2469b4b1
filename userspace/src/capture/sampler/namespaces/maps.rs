//! The process whose map of ids (or setgroups) was to be written, found by the descriptor that it was written
//! through.

use super::{Notes, links, tidy};
use crate::capture::sampler::Look;
use crate::model::Failure;
use std::fs;
use std::path::Path;

/// Files of `/proc/PID` that are about a user namespace.
const FILES: &[&str] = &["uid_map", "gid_map", "projid_map", "setgroups", "timens_offsets"];

/// `PROC_SUPER_MAGIC` (linux/magic.h).
const PROC: u64 = 0x9fa0;

pub(super) fn is_written(failure: &Failure) -> bool {
    failure.file().is_some_and(|f| f.magic == PROC && FILES.contains(&f.name.as_str()))
}

pub(super) fn target(look: &Look<'_>, failure: &Failure, notes: &mut Notes) {
    let Some(place) = place(look, failure) else { return };
    let of = place.display().to_string();
    for name in ["uid_map", "gid_map", "projid_map", "setgroups"] {
        if let Ok(text) = fs::read_to_string(place.join(name)) {
            notes.add(&format!("target {name}"), &of, tidy(&text), place.join(name).display().to_string());
        }
    }
    for (who, link) in [
        ("target", place.join("ns/user")),
        ("writer", look.root.join(format!("proc/{}/ns/user", failure.task.tid))),
    ] {
        if let Ok(link) = fs::read_link(&link) {
            notes.add(&format!("{who} ns/user"), &of, link.display().to_string(), "/proc/PID/ns/user");
        }
    }
    if failure.file().is_some_and(|file| file.name == "timens_offsets") {
        time(look, &place, notes);
    }
    let status = fs::read_to_string(place.join("status")).unwrap_or_default();
    if let Some(uid) = status.lines().find_map(|l| l.strip_prefix("Uid:")) {
        notes.add("target Uid", &of, uid.split_whitespace().collect::<Vec<_>>().join(" "), "status");
    }
}

/// The time namespace of the target's children, somebody who is in it, and how long the machine runs.
fn time(look: &Look<'_>, place: &Path, notes: &mut Notes) {
    let of = place.display().to_string();
    if let Ok(text) = fs::read_to_string(look.root.join("proc/uptime"))
        && let Some(seconds) = text.split_whitespace().next()
    {
        notes.add("uptime", "the machine", seconds, "/proc/uptime");
    }
    let Some(number) = links::inode(&place.join("ns/time_for_children")) else { return };
    notes.add("target ns/time_for_children", &of, number.to_string(), format!("{of}/ns/time_for_children"));
    let processes = fs::read_dir(look.root.join("proc")).into_iter().flatten().flatten();
    let inside =
        processes.map(|entry| entry.path()).find(|at| links::inode(&at.join("ns/time")) == Some(number));
    if let Some(at) = inside {
        let comm = fs::read_to_string(at.join("comm")).unwrap_or_default();
        let pid = at.file_name().unwrap_or_default().to_string_lossy();
        let task = format!("{} ({pid})", comm.trim());
        notes.add("in the time namespace", &format!("time:[{number}]"), task, "/proc/*/ns/time");
    }
}

/// `/proc/PID` of the target, as diag sees it.
fn place(look: &Look<'_>, failure: &Failure) -> Option<std::path::PathBuf> {
    let fd = failure.number_arg("fd")? as u32 as i32;
    let task = failure.task.tid;
    let link = fs::read_link(look.root.join(format!("proc/{task}/fd/{fd}"))).ok();
    let pid = link
        .as_deref()
        .and_then(Path::parent)
        .and_then(Path::file_name)
        .and_then(|n| n.to_str()?.parse::<u32>().ok());
    if let Some(pid) = pid {
        return Some(look.root.join(format!("proc/{pid}")));
    }
    // The writer closed it or ended. Every process has a folder of its own inode there, of which the probe saw the
    // file's: a child that waits for its map is the usual target.
    let inode = failure.file()?.folder;
    let entries = fs::read_dir(look.root.join("proc")).ok()?.flatten();
    entries.into_iter().map(|e| e.path()).find(|at| {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(at).is_ok_and(|m| m.ino() == inode)
    })
}
