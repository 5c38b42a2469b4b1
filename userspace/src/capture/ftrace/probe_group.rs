//! A group of return probes in `kprobe_events` (Documentation/trace/kprobetrace.rst): made, switched off, removed.
//!
//! The file is one for the whole machine and lists everybody's probes, so it is only ever appended to: opened with
//! truncation it removes all of them, those of others too.

use super::FtraceError;
use super::tracefs::Tracefs;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

const FILE: &str = "kprobe_events";
/// The kernel takes names of C identifiers only, so no hyphen (kernel/trace/trace_probe.c `traceprobe_parse_event_name`).
const PREFIX: &str = "diag_";

/// The group of the instance with this name.
pub(super) fn name_for(instance: &str) -> String {
    instance.replace('-', "_")
}

/// The name of the probe of the function at this place.
pub(super) fn event(place: usize) -> String {
    format!("f{place}")
}

/// Adds a return probe that is still off. What it is told is the whole return register. 64 threads may be in the function
/// at the same time, which otherwise are twice as many as processors: others may sleep in it.
pub(super) fn add(tracefs: &Tracefs, group: &str, place: usize, function: &str) -> Result<(), FtraceError> {
    append(tracefs, &format!("r64:{group}/{} {function} ret=$retval:x64\n", event(place)))
}

/// Switches all of a group's probes off in one instance.
pub(super) fn switch_off(instance: &Tracefs, group: &str) -> Result<(), FtraceError> {
    let file = format!("events/{group}/enable");
    if instance.exists(&file) { instance.write(&file, "0") } else { Ok(()) }
}

/// Removes a group, as far as it is there.
pub(super) fn remove(tracefs: &Tracefs, group: &str) -> Result<(), FtraceError> {
    let own = events(tracefs).into_iter().filter(|(of, _)| of == group);
    own.map(|(group, event)| append(tracefs, &format!("-:{group}/{event}\n"))).fold(Ok(()), Result::and)
}

/// Groups that bear the number of a process that is not there any more.
pub(super) fn of_the_dead(tracefs: &Tracefs) -> Vec<String> {
    let mut groups: Vec<String> = events(tracefs).into_iter().map(|(group, _)| group).collect();
    groups.dedup();
    groups.retain(|group| owner(group).is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
    groups
}

fn owner(group: &str) -> Option<u32> {
    group.strip_prefix(PREFIX)?.split('_').next()?.parse().ok()
}

/// Everybody's probes, by group and name: `r64:group/name function …`, `p:group/name place …`.
fn events(tracefs: &Tracefs) -> Vec<(String, String)> {
    let text = tracefs.read(FILE).unwrap_or_default();
    let of_line = |line: &str| {
        let (group, event) = line.split_once(':')?.1.split(' ').next()?.split_once('/')?;
        Some((group.to_owned(), event.to_owned()))
    };
    text.lines().filter_map(of_line).collect()
}

fn append(tracefs: &Tracefs, line: &str) -> Result<(), FtraceError> {
    let mut file = tracefs.open(FILE, OpenOptions::new().append(true))?;
    // In one write: each is a command of its own.
    file.write_all(line.as_bytes()).map_err(|source| FtraceError::Control {
        doing: "write",
        path: tracefs.path(FILE),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_the_dead_are_told_from_others_probes() {
        let dir = tempfile::tempdir().unwrap();
        let (own, dead) = (std::process::id(), u32::MAX);
        let text = format!(
            "p:theirs/diag_1 vfs_read\nr64:diag_{dead}/f0 path_mount ret=$retval:x64\n\
             r:diag_{dead}/f1 do_mount ret=$retval:x64\nr:diag_{dead}_3/f0 do_mount ret=$retval:x64\n\
             r:diag_{own}/f0 do_mount ret=$retval:x64\nr:diag_probe/x do_mount\n"
        );
        std::fs::write(dir.path().join(FILE), text).unwrap();
        let tracefs = Tracefs::at(dir.path());
        assert_eq!(of_the_dead(&tracefs), [format!("diag_{dead}"), format!("diag_{dead}_3")]);
        assert_eq!(name_for("diag-7-2"), "diag_7_2");
    }

    #[test]
    fn only_what_is_there_is_removed_and_others_probes_stay() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join(FILE);
        std::fs::write(&file, "p:theirs/a vfs_read\nr:diag_7/f0 do_mount\n").unwrap();
        remove(&Tracefs::at(dir.path()), "diag_7").unwrap();
        // A plain file keeps the command that tracefs would have carried out.
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "p:theirs/a vfs_read\nr:diag_7/f0 do_mount\n-:diag_7/f0\n"
        );
    }
}
