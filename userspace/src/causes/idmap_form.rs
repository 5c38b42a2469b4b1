//! What was written to uid_map, gid_map or setgroups is no map (or word) that the kernel takes.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const FILES: &[&str] = &["uid_map", "gid_map", "projid_map", "setgroups"];
const DECIDERS: &[&str] = &["map_write", "proc_setgroups_write"];
const CALLERS: &[&str] =
    &["proc_uid_map_write", "proc_gid_map_write", "proc_projid_map_write", "vfs_write", "new_sync_write"];

/// `PROC_SUPER_MAGIC` (linux/magic.h).
const PROC: u64 = 0x9fa0;
/// `UID_GID_MAP_MAX_EXTENTS` (linux/user_namespace.h), and a page.
const MOST_RANGES: usize = 340;
const PAGE: u64 = 4096;

pub(super) static CAUSE: Cause = Cause {
    slug: "idmap-form",
    title: "what was written to a map of ids is not a valid map",
    about: "\
A write to /proc/PID/uid_map or gid_map fails with EINVAL. map_write() in kernel/user_namespace.c takes one single write
at the beginning of the file, shorter than a page, of at most 340 lines (5 before 4.15) of three numbers: first id
inside, first id outside, how many. It refuses a count of 0, ranges that overlap inside or outside, numbers past
4294967294, a first write with an empty text. setgroups takes `allow` or `deny`.

It surprises when a map is assembled from many lines of /etc/subuid (an identity map around a few holes is soon longer
than a page), or when a shell's echo writes a map line by line: the second write is refused, and with EPERM.",
    shows_as: &[("write", "EINVAL")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "writes a range without ids to uid_map",
        risk: "none: only this process is refused something",
        variants: &["empty-range"],
    },
    see: &["user_namespaces(7), User and group ID mappings", "kernel/user_namespace.c: map_write(), proc_setgroups_write()"],
};

/// What is wrong with the text; `None` when it seems right, or was not read whole.
fn wrong(file: &str, text: Option<&str>, count: u64) -> Option<String> {
    if file == "setgroups" {
        let text = text?.trim_end();
        return (!["allow", "deny"].contains(&text)).then(|| format!("{text:?} is neither allow nor deny"));
    }
    if count >= PAGE {
        return Some(format!("{count} bytes were written, and the map must be shorter than a page"));
    }
    let text = text?;
    if let Some(begun) = text.strip_suffix('…') {
        // Only the beginning was read: its lines tell how many there must be.
        let lines = begun.lines().count().max(1) as u64;
        let whole = count * lines / (begun.len() as u64).max(1);
        return (whole as usize > MOST_RANGES / 2).then(|| {
            format!("about {whole} lines in {count} bytes, where at most {MOST_RANGES} lines are allowed")
        });
    }
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    if lines.is_empty() {
        return Some("the text holds no range".into());
    }
    if lines.len() > MOST_RANGES {
        return Some(format!("{} lines, where {MOST_RANGES} are allowed", lines.len()));
    }
    let Some(ranges) = ids::ranges(text) else {
        return Some("a line does not consist of three numbers".into());
    };
    let end = |first: u32, count: u32| u64::from(first) + u64::from(count);
    if ranges.iter().any(|(_, _, count)| *count == 0) {
        return Some("a range has no id".into());
    }
    if ranges.iter().any(|(a, b, n)| end(*a, *n) > u64::from(u32::MAX) || end(*b, *n) > u64::from(u32::MAX)) {
        return Some("a range goes past the last id, 4294967294".into());
    }
    let overlap = |at: fn(&ids::Range) -> u32| {
        ranges.iter().enumerate().any(|(i, a)| {
            ranges.iter().skip(i + 1).any(|b| {
                let (x, y) = (at(a), at(b));
                u64::from(x) < end(y, b.2) && u64::from(y) < end(x, a.2)
            })
        })
    };
    if overlap(|r| r.0) || overlap(|r| r.1) {
        return Some("two ranges overlap".into());
    }
    None
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["write", "pwrite64"], Errno::EINVAL)?;
    let file = case.failure().file().filter(|f| f.magic == PROC && FILES.contains(&f.name.as_str()))?;
    let text = case.failure().text_arg("written");
    let count = case.failure().number_arg("count").unwrap_or(0);
    let why = wrong(&file.name, text, count);
    let guessed = text.is_some_and(|t| t.ends_with('…')) && count < PAGE;
    let state = why.as_ref().map(|_| true);
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let reason = why.unwrap_or_else(|| "the kernel found no valid map in it".into());
    let sentence = format!("{who} wrote to {} what is not valid: {reason}.", file.name);
    let lines = text.map(|t| format!("written at that instant, {count} bytes: {:?}", shortened(t)));
    let name = if file.name == "setgroups" { "setgroups" } else { "UID_GID_MAP_MAX_EXTENTS" };
    let name = if reason.contains("lines") { name } else { file.name.as_str() };
    let proof = weighed.proof(
        case,
        DECIDERS,
        sentence,
        knob(KnobKind::File, name, format!("/proc/PID/{}", file.name)),
    );
    let proof = proof.because(lines.into_iter().chain(cite_state(case, "target uid_map")));
    // With a number of lines that was only reckoned, the decider's own word is wanted.
    let certain = !guessed || case.verdict(DECIDERS).is_some();
    Some(if certain {
        proof
    } else {
        proof.at_most(crate::model::Confidence::Likely, "the whole text: only its beginning was read")
    })
}

fn shortened(text: &str) -> String {
    let mut out: String = text.chars().take(80).collect();
    if out.len() < text.len() {
        out.push('…');
    }
    out
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "newuidmap PID INSIDE OUTSIDE COUNT [INSIDE OUTSIDE COUNT …]",
            "writes all ranges at once; neighbouring ranges should be merged into one first",
            "a map can be written once: make a new user namespace for another try",
        ),
        look("grep . /etc/subuid /etc/subgid", "the ranges that the user may map"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_maps_are_told() {
        let wrong = |text: &str| wrong("uid_map", Some(text), text.len() as u64);
        assert!(wrong("0 0 0").unwrap().contains("no id"));
        assert!(wrong("0 1000").unwrap().contains("three numbers"));
        assert!(wrong("\n").unwrap().contains("no range"));
        assert!(wrong("0 1000 10\n5 2000 1\n").unwrap().contains("overlap"));
        assert!(wrong("0 4294967295 1").unwrap().contains("past the last"));
        assert!(wrong("0 1000 1\n1 100000 65536\n").is_none());
        let many: String = (0..341).map(|i| format!("{i} {i} 1\n")).collect();
        assert!(wrong(&many).unwrap().contains("341 lines"));
    }

    #[test]
    fn what_was_read_in_part_is_reckoned() {
        let begun: String = (0..25).map(|i| format!("{i} {i} 1\n")).collect();
        assert!(wrong("uid_map", Some(&format!("{begun}…")), 3700).unwrap().contains("about"));
        assert!(wrong("uid_map", None, 5000).unwrap().contains("page"));
        assert!(wrong("setgroups", Some("no"), 2).unwrap().contains("neither"));
        assert!(wrong("setgroups", Some("deny\n"), 5).is_none());
    }
}
