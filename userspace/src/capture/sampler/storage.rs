//! The disk suspects: blocks and inodes of the file systems a call would have written to.

use super::{Look, Sampled, View, file_system, objects};
use crate::limits::read::Root;
use crate::model::{Errno, Fact, Failure, FileSystem, Suspect};
use nix::sys::statvfs::{Statvfs, statvfs};
use std::path::Path;

/// The file system behind the object, unless the object turned out to be a cpuset.
pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.errno != Errno::ENOSPC || out.facts.iter().any(|fact| matches!(fact, Fact::Cpuset(_))) {
        return;
    }
    let object = objects::of(failure);
    let place = object.and_then(|o| file_system::of(&look.view, failure, &o, look.after(failure)));
    let found = match &place {
        Some(place) if look.call != "mount" => of_object(place, failure.number_arg("count").unwrap_or(0)),
        _ => suspects(&look.view, failure),
    };
    out.suspects.extend(found);
    if place.as_ref().is_some_and(|p| p.fstype.as_deref() == Some("tmpfs")) {
        out.suspects.extend(overcommit(look.root));
    }
    out.facts.extend(place.map(Fact::FileSystem));
}

/// Blocks and inodes for every place the failed call names. Where the task's mount namespace is gone, the
/// same path as diag sees it: good enough to tell the user that no disk is full, but under another id, so
/// that no proof rests on it.
fn suspects(view: &View, failure: &Failure) -> Vec<Suspect> {
    let mut out: Vec<Suspect> = Vec::new();
    let mut seen = Vec::new();
    for (role, path) in places(failure) {
        let theirs = view.path(&path).and_then(|(full, base)| nearest(&full, &base));
        let (stat, here) = match theirs {
            Some(stat) => (stat, ""),
            None if path.starts_with('/') => match nearest(Path::new(&path), Path::new("/")) {
                Some(stat) => (stat, "-here"),
                None => continue,
            },
            None => continue,
        };
        if seen.contains(&stat.filesystem_id()) {
            continue;
        }
        seen.push(stat.filesystem_id());
        let place = if here.is_empty() {
            format!("{role} {path}")
        } else {
            format!("{role} {path}, as seen from diag")
        };
        out.push(blocks(&format!("blocks{here}"), &place, &stat));
        out.push(inodes(&format!("inodes{here}"), &place, &stat));
    }
    out
}

/// The same two suspects for an object that was found through the task itself. With room for less than the bytes that were
/// to be written the disk is neither convicted nor cleared.
fn of_object(place: &FileSystem, count: u64) -> Vec<Suspect> {
    let usable = place.blocks_free.saturating_sub(place.reserved.unwrap_or(0));
    let limits = [
        ("blocks", "disk", place.blocks, usable, bytes(usable * place.block_size)),
        ("inodes", "inodes", place.files, place.files_free, place.files_free.to_string()),
    ];
    let row = |(id, what, total, free, words): (&str, &str, u64, u64, String)| Suspect {
        id: id.into(),
        what: format!("{what} ({})", place.path),
        reading: match total {
            0 => "not limited".into(),
            _ => format!("{} % used, {words} free", percent(total.saturating_sub(free), total)),
        },
        guilty: match id {
            "blocks" if total > 0 && free >= place.needs && free.saturating_mul(place.block_size) < count => {
                None
            }
            "blocks" => Some(total > 0 && free < place.needs),
            _ => Some(total > 0 && free == 0),
        },
    };
    limits.map(row).into()
}

/// Strict overcommit makes `shmem_acct_blocks()` refuse a page of a tmpfs that has room, also with ENOSPC
/// (mm/shmem.c, `shmem_inode_acct_blocks()`).
fn overcommit(root: &Root) -> Option<Suspect> {
    let mode = root.number("/proc/sys/vm/overcommit_memory").ok()?;
    Some(Suspect {
        id: "overcommit".into(),
        what: "strict memory overcommit".into(),
        reading: format!("vm.overcommit_memory = {mode}"),
        guilty: Some(mode == 2),
    })
}

/// Paths of the call where a file system may be full, with their part in it. Overlay writes to the
/// folders named in its options, never to its mount point.
fn places(failure: &Failure) -> Vec<(String, String)> {
    let mut out = Vec::new();
    if let Some(data) = failure.text_arg("data") {
        for option in data.split(',') {
            if let Some((key @ ("upperdir" | "workdir"), dir)) = option.split_once('=') {
                out.push((key.to_string(), dir.to_string()));
            }
        }
    }
    for role in ["target", "to_pathname", "pathname", "path"] {
        if let Some(path) = failure.text_arg(role).filter(|p| !p.is_empty()) {
            out.push((role.to_string(), path.to_string()));
        }
    }
    out
}

/// The file system of a path, or of its nearest ancestor that still exists, not above `base`.
fn nearest(path: &Path, base: &Path) -> Option<Statvfs> {
    path.ancestors().take_while(|at| at.starts_with(base)).find_map(|at| statvfs(at).ok())
}

fn blocks(id: &str, place: &str, s: &Statvfs) -> Suspect {
    // f_bavail leaves out what is kept for root; a root task may use f_bfree.
    let (total, free) = (s.blocks(), s.blocks_free());
    Suspect {
        id: id.into(),
        what: format!("disk ({place})"),
        reading: match total {
            0 => "has no blocks to run out of".into(),
            _ => format!("{} % used, {} free", percent(total - free, total), bytes(free * s.fragment_size())),
        },
        guilty: Some(total > 0 && free == 0),
    }
}

fn inodes(id: &str, place: &str, s: &Statvfs) -> Suspect {
    let (total, free) = (s.files(), s.files_free());
    Suspect {
        id: id.into(),
        what: format!("inodes ({place})"),
        reading: match total {
            0 => "not limited".into(),
            _ => format!("{} % used, {free} free", percent(total - free, total)),
        },
        guilty: Some(total > 0 && free == 0),
    }
}

/// `80.3 GiB`.
fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1024.0 {
            return format!("{value:.*} {unit}", usize::from(unit != "B"));
        }
        value /= 1024.0;
    }
    format!("{value:.1} TiB")
}

fn percent(part: u64, whole: u64) -> u64 {
    (part as f64 * 100.0 / whole as f64).round() as u64
}
