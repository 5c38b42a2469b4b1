//! Mounts of a namespace, counted and grouped by who they belong to.

use super::{Look, Sampled, View};
use crate::limits::mount::MOUNT_MAX;
use crate::model::{ArgValue, Errno, Failure, Owner, Reading, Taken};
use std::collections::HashMap;

/// One line of mountinfo, as far as it matters here (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) point: String,
    pub(super) fstype: String,
}

/// Groups shown, the rest is summed up.
const MOST_OWNERS: usize = 4;

/// The mount namespace: ceiling, what the call would have added, and who fills it.
pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if look.errno != Errno::ENOSPC || !["mount", "move_mount"].contains(&look.call) {
        return;
    }
    let after = look.after(failure);
    let ceiling = look.root.ceiling(&MOUNT_MAX).ok();
    let table = read(&look.view);
    let adds = would_add(failure, table.as_deref());
    let at_instant = failure.readings.iter_mut().find(|r| r.limit == MOUNT_MAX.id);
    match at_instant {
        Some(reading) => {
            // Where the tree and its peers could be counted, that is better.
            reading.adds = reading.adds.or(adds);
            if reading.ceiling.is_none() {
                reading.ceiling = ceiling;
                reading.source = format!(
                    "{}; ceiling from {} {} ms later",
                    reading.source,
                    MOUNT_MAX.path(),
                    after / 1_000_000
                );
            }
        }
        None => out.readings.push(Reading {
            limit: MOUNT_MAX.id.into(),
            scope: failure
                .task
                .mnt_ns
                .map_or_else(|| "its mount namespace".into(), |n| format!("mount namespace {n}")),
            ceiling,
            usage: table.as_ref().map(|t| t.len() as u64),
            adds,
            hits: None,
            unit: MOUNT_MAX.unit.into(),
            taken: Taken::After { ns: after },
            source: look.view.proc("mountinfo").display().to_string(),
        }),
    }
    if let Some(table) = table {
        out.owners = owners(&table);
    }
}

/// The mount table of a task in that namespace; only what its root can reach is listed.
pub(super) fn read(view: &View) -> Option<Vec<Mount>> {
    let text = std::fs::read_to_string(view.proc("mountinfo")).ok()?;
    Some(text.lines().filter_map(parse).collect())
}

fn parse(line: &str) -> Option<Mount> {
    let (left, right) = line.split_once(" - ")?;
    Some(Mount { point: unescape(left.split(' ').nth(4)?), fstype: right.split(' ').next()?.to_string() })
}

/// mountinfo writes space, tab, newline and backslash as `\040`, `\011`, `\012`, `\134`.
pub(super) fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        let octal = bytes.get(i + 1..i + 4).and_then(|d| std::str::from_utf8(d).ok());
        match octal.filter(|_| bytes[i] == b'\\').and_then(|d| u8::from_str_radix(d, 8).ok()) {
            Some(byte) => {
                out.push(byte);
                i += 4;
            }
            None => {
                out.push(bytes[i]);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// What the failing call would have added: one, or for a recursive bind the source's whole subtree.
/// `None` when a recursive source cannot be counted any more.
pub(super) fn would_add(failure: &Failure, table: Option<&[Mount]>) -> Option<u64> {
    let (name, _) = failure.syscall()?;
    let flags = failure.number_arg("flags").unwrap_or(0);
    if name != "mount" || flags & libc::MS_REC == 0 || flags & libc::MS_BIND == 0 {
        return Some(1);
    }
    let source = failure.args().iter().find(|a| a.name == "source").and_then(|a| match &a.value {
        ArgValue::Text(t) if t.starts_with('/') => Some(t.trim_end_matches('/')),
        _ => None,
    })?;
    let below = table?
        .iter()
        .filter(|m| m.point.strip_prefix(source).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1));
    Some(1 + below.count() as u64)
}

/// Who fills the namespace: by the first two components of the mount point, with the file system's type.
pub(super) fn owners(table: &[Mount]) -> Vec<Owner> {
    let mut groups: HashMap<String, u64> = HashMap::new();
    for m in table {
        *groups.entry(group(m)).or_default() += 1;
    }
    let mut sorted: Vec<_> = groups.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let rest: u64 = sorted.iter().skip(MOST_OWNERS).map(|g| g.1).sum();
    let mut out: Vec<Owner> =
        sorted.into_iter().take(MOST_OWNERS).map(|(name, amount)| owner(name, amount)).collect();
    if rest > 0 {
        out.push(owner("other".into(), rest));
    }
    out
}

fn owner(name: String, amount: u64) -> Owner {
    Owner { limit: "fs.mount-max".into(), name, amount }
}

/// `overlay below /var/lib/docker`.
fn group(m: &Mount) -> String {
    let parts: Vec<&str> = m.point.split('/').filter(|p| !p.is_empty()).collect();
    match parts.len() {
        0 => format!("{} at /", m.fstype),
        1 | 2 => format!("{} below /{}", m.fstype, parts[0]),
        _ => format!("{} below /{}", m.fstype, parts[..parts.len().min(4) - 1].join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "\
22 1 254:0 / / rw - ext4 /dev/vda rw
23 22 0:21 / /a\\040b rw,nosuid shared:3 - proc proc rw
24 22 0:40 / /var/lib/x/c/1/rootfs rw - overlay overlay rw
25 22 0:41 / /var/lib/x/c/2/rootfs rw - overlay overlay rw
";

    fn table() -> Vec<Mount> {
        INFO.lines().filter_map(parse).collect()
    }

    #[test]
    fn escapes_are_undone() {
        assert_eq!(table()[1], Mount { point: "/a b".into(), fstype: "proc".into() });
        assert_eq!(unescape("a\\134040"), "a\\040");
        assert_eq!(unescape("end\\"), "end\\");
    }

    #[test]
    fn the_largest_group_comes_first() {
        let o = owners(&table());
        assert_eq!((o[0].name.as_str(), o[0].amount), ("overlay below /var/lib/x", 2));
        assert_eq!(o.iter().map(|o| o.amount).sum::<u64>(), 4);
    }
}
