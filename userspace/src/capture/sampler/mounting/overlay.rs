//! The options of a refused overlay, each folder looked at as the caller would find it.

use super::held::Held;
use super::place;
use crate::model::{OverlayOptions, Place, PlaceKind};
use std::os::fd::AsRawFd;

/// `copy_mount_options()` (fs/namespace.c) copies a page and ends it with a zero.
const PAGE: usize = 4096;

/// Lower folders looked at one by one: the first, and those behind it up to here.
const MOST_LOWERS: usize = 600;

/// Stacking file systems: each adds one to `s_stack_depth`.
const STACKING: &[&str] = &["overlay", "ecryptfs"];

/// Options of overlay on 5.10 to 7.x (`ovl_tokens`, `ovl_parameter_spec`), and those every file system takes.
const KNOWN: &[&str] = &[
    "lowerdir",
    "lowerdir+",
    "datadir+",
    "upperdir",
    "workdir",
    "default_permissions",
    "redirect_dir",
    "index",
    "uuid",
    "nfs_export",
    "userxattr",
    "xino",
    "metacopy",
    "verity",
    "volatile",
    "fsync",
    "override_creds",
    "nooverride_creds",
    "ro",
    "rw",
    "sync",
    "async",
    "dirsync",
    "lazytime",
    "nolazytime",
    "mand",
    "nomand",
    "context",
    "fscontext",
    "defcontext",
    "rootcontext",
    "seclabel",
];

pub(super) fn of(held: &Held, data: &str, after_ns: u64) -> OverlayOptions {
    let cut = data.ends_with('…') || data.len() >= PAGE - 1;
    let data = data.trim_end_matches('…');
    let mut out = OverlayOptions { bytes: data.len() as u64, cut, ..OverlayOptions::default() };
    let (mut upper, mut work) = (None, None);
    for option in split(data, ',') {
        let (key, value) =
            option.split_once('=').map_or((option.as_str(), None), |(k, v)| (k, Some(v.to_string())));
        match (key, value) {
            ("lowerdir", Some(value)) => lowers(held, &value, after_ns, &mut out),
            ("lowerdir+" | "datadir+", Some(value)) => {
                out.lowers += 1;
                out.places.extend(place::of(held, "lowerdir", None, &value, true, after_ns));
            }
            ("upperdir", Some(value)) => upper = Some(unescape(&value)),
            ("workdir", Some(value)) => work = Some(unescape(&value)),
            ("", _) => {}
            (key, _) if KNOWN.contains(&key) => out.switches.push(option),
            _ => out.strange.push(option),
        }
    }
    for (role, dir) in [("upperdir", &upper), ("workdir", &work)] {
        if let Some(dir) = dir {
            out.places.extend(place::of(held, role, None, dir, true, after_ns));
        }
    }
    if let (Some(u), Some(w)) = (out.place("upperdir"), out.place("workdir")) {
        let point = |p: &Place| p.mount.as_ref().map(|m| (m.point.clone(), m.device.clone()));
        out.same_mount = point(u).zip(point(w)).map(|(u, w)| u == w);
    }
    if let (Some(u), Some(w)) =
        (upper.and_then(|p| held.absolute(&p)), work.as_ref().and_then(|p| held.absolute(p)))
    {
        let within = |a: &str, b: &str| a == b || a.strip_prefix(b).is_some_and(|rest| rest.starts_with('/'));
        out.nested = Some(within(&u, &w) || within(&w, &u));
        out.taken = taken(held, &u, &w);
        out.work_left = left(held, &w);
    }
    out.depth = out.places.iter().map(|p| depth(held, p, 0)).max().unwrap_or(0);
    out
}

/// At separators that no backslash escapes (`ovl_next_opt()`).
fn split(text: &str, at: char) -> Vec<String> {
    let mut out = vec![String::new()];
    let mut escaped = false;
    for c in text.chars() {
        if c == at && !escaped {
            out.push(String::new());
        } else if let Some(last) = out.last_mut() {
            last.push(c);
        }
        escaped = c == '\\' && !escaped;
    }
    out
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut escaped = false;
    for c in text.chars() {
        if c == '\\' && !escaped {
            escaped = true;
            continue;
        }
        escaped = false;
        out.push(c);
    }
    out
}

/// Counts the lower folders and keeps the first, and those that stand out.
fn lowers(held: &Held, value: &str, after_ns: u64, out: &mut OverlayOptions) {
    let all: Vec<String> = split(value, ':').into_iter().filter(|dir| !dir.is_empty()).collect();
    out.lowers += all.len() as u64;
    for (index, dir) in all.iter().enumerate().take(MOST_LOWERS) {
        let Some(found) = place::of(held, "lowerdir", None, &unescape(dir), true, after_ns) else { continue };
        let odd = found.kind != PlaceKind::Folder || found.fstype().is_some_and(|t| STACKING.contains(&t));
        // Every folder past the first few costs a look, and says the same mostly.
        if (index == 0 || odd) && out.places.len() < 8 {
            out.places.push(found);
        }
    }
}

/// Overlays below a place: 1 for a folder on an overlay of plain folders, 2 for one whose lower lies on such.
fn depth(held: &Held, place: &Place, guard: u8) -> u64 {
    let Some(mount) = place.mount.as_ref().filter(|m| STACKING.contains(&m.fstype.as_str())) else {
        return 0;
    };
    if guard > 4 {
        return 1;
    }
    let options = split(&mount.options, ',');
    let layers = options
        .iter()
        .filter_map(|o| o.split_once('='))
        .filter(|(k, _)| matches!(*k, "lowerdir" | "lowerdir+" | "upperdir"));
    let dirs = layers.flat_map(|(_, dirs)| split(dirs, ':')).filter(|dir| !dir.is_empty()).take(32);
    let below = dirs
        .filter_map(|dir| place::of(held, "layer", None, &unescape(&dir), true, 0))
        .map(|p| depth(held, &p, guard + 1))
        .max();
    1 + below.unwrap_or(0)
}

/// Overlays of this namespace that have the same upper or work folder. Their options are in the words of who mounted them.
fn taken(held: &Held, upper: &str, work: &str) -> Vec<String> {
    let mut out = Vec::new();
    for row in held.table().iter().filter(|row| row.mount.fstype == "overlay") {
        for option in split(&row.mount.options, ',') {
            let Some((role @ ("upperdir" | "workdir"), dir)) = option.split_once('=') else { continue };
            let Some(dir) = held.absolute(&unescape(dir)) else { continue };
            if [upper, work].iter().any(|ours| **ours == dir) && out.len() < 4 {
                out.push(format!("{role} {dir} of the overlay at {}", row.mount.point));
            }
        }
    }
    out
}

/// What is left in `WORKDIR/work`, which `ovl_workdir_create()` empties one level deep.
fn left(held: &Held, work: &str) -> Option<u64> {
    let dir = format!("/proc/self/fd/{}/{}/work", held.root().as_raw_fd(), work.trim_start_matches('/'));
    std::fs::read_dir(dir).ok().map(|entries| entries.count() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_separators_stay() {
        assert_eq!(split("lowerdir=a\\:b:c", ':'), ["lowerdir=a\\:b", "c"]);
        assert_eq!(unescape("a\\:b\\\\c"), "a:b\\c");
        assert_eq!(split("a,b=c\\,d,e", ','), ["a", "b=c\\,d", "e"]);
    }
}
