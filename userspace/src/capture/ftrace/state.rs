//! What diag has changed in tracefs, written down before it is changed, so that the next start can undo
//! what a `kill -9` left.
//!
//! Each armed capture has one file in the run directory and holds a lock on it for as long as it lives:
//! a file whose lock can be taken belongs to the dead. That survives reused process ids and works across
//! pid namespaces. A second lock orders arming, disarming and sweeping.

use super::tracefs::Tracefs;
use super::{FtraceError, probe_group};
use nix::fcntl::{Flock, FlockArg};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const PREFIX: &str = "ftrace-";
const SUFFIX: &str = ".json";

/// A control file of the top instance and what it held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Saved {
    pub(super) file: String,
    pub(super) value: String,
}

/// One capture's footprint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Footprint {
    /// The instance it made; `None` when it uses the top one.
    pub(super) instance: Option<String>,
    /// Files of the top instance to put back.
    pub(super) saved: Vec<Saved>,
    /// The group of probes it made in `kprobe_events`, which is one for all instances.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) group: Option<String>,
}

impl Footprint {
    /// Whether the top instance's tracer, filter and pids are this capture's.
    pub(super) fn uses_top(&self) -> bool {
        self.instance.is_none()
    }

    /// Puts everything back; goes on after an error, so that one refusal does not keep the rest, and
    /// returns the first. `shared` says that another live capture still needs the top instance's options.
    pub(super) fn undo(&self, tracefs: &Tracefs, shared: bool) -> Result<(), FtraceError> {
        let mut first = Ok(());
        let mut keep = |done: Result<(), FtraceError>| {
            if first.is_ok() {
                first = done;
            }
        };
        if let Some(name) = &self.instance {
            if tracefs.instances().contains(name) {
                if let Some(group) = &self.group {
                    // While one is in use none of them can go.
                    keep(probe_group::switch_off(&tracefs.instance(name), group));
                }
                // A tracer in use would make the removal fail with EBUSY on some kernels.
                keep(tracefs.instance(name).write("current_tracer", "nop"));
                keep(tracefs.remove_instance(name));
            }
            if let Some(group) = &self.group {
                keep(probe_group::remove(tracefs, group));
            }
        } else if taken_over(tracefs) {
            return Ok(());
        } else {
            keep(tracefs.write("current_tracer", "nop"));
            keep(tracefs.replace("set_ftrace_filter", ""));
            keep(tracefs.replace("set_ftrace_pid", ""));
            // What diag recorded must not look like somebody's trace.
            keep(tracefs.replace("trace", ""));
        }
        if !shared {
            for Saved { file, value } in &self.saved {
                // Writing an unchanged buffer size or clock still has effects: it clears the buffer.
                if current(tracefs, file).as_deref() != Some(value) {
                    keep(tracefs.write(file, value));
                }
            }
        }
        first
    }
}

/// Somebody set another tracer since: the top buffer is theirs now.
fn taken_over(tracefs: &Tracefs) -> bool {
    tracefs.value("current_tracer").is_ok_and(|tracer| tracer != "function_graph" && tracer != "nop")
}

/// The present value of a control file in the form in which it can be written back.
pub(super) fn current(tracefs: &Tracefs, file: &str) -> Option<String> {
    let text = tracefs.value(file).ok()?;
    // `[local] global counter` marks the one in use; `7 (expanded: 1408)` is a buffer not yet allocated:
    // once it is, there is no way back to the small one, so the expanded size is what "as before" means.
    let bracketed = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(name, _)| name);
    let expanded = text.split_once("(expanded: ").and_then(|(_, rest)| rest.strip_suffix(')'));
    Some(bracketed.or(expanded).unwrap_or(&text).to_owned())
}

/// The directory with everybody's footprints.
#[derive(Debug, Clone)]
pub(super) struct RunDir(PathBuf);

/// A footprint on disk; the lock is the sign of life.
#[derive(Debug)]
pub(super) struct Record {
    path: PathBuf,
    file: Flock<File>,
}

impl RunDir {
    pub(super) fn new(path: &Path) -> Result<Self, FtraceError> {
        fs::create_dir_all(path).map_err(|source| failed("create", path, source))?;
        Ok(Self(path.to_owned()))
    }

    /// Waits until no other capture is being armed, disarmed or swept.
    pub(super) fn exclusive(&self) -> Result<Flock<File>, FtraceError> {
        let path = self.0.join("ftrace.lock");
        let file = open(&path).map_err(|source| failed("open", &path, source))?;
        Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, errno)| failed("lock", &path, errno.into()))
    }

    pub(super) fn record(&self, name: &str, footprint: &Footprint) -> Result<Record, FtraceError> {
        let path = self.0.join(format!("{PREFIX}{name}{SUFFIX}"));
        let file = open(&path).map_err(|source| failed("create", &path, source))?;
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock)
            .map_err(|(_, errno)| failed("lock", &path, errno.into()))?;
        let mut record = Record { path, file };
        record.rewrite(footprint)?;
        Ok(record)
    }

    /// The footprints of the living (without a record of ours) and the records of the dead.
    pub(super) fn others(&self) -> (Vec<Footprint>, Vec<(Record, Footprint)>) {
        let (mut living, mut dead) = (Vec::new(), Vec::new());
        let Ok(entries) = fs::read_dir(&self.0) else { return (living, dead) };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !(name.starts_with(PREFIX) && name.ends_with(SUFFIX)) {
                continue;
            }
            let path = entry.path();
            let Ok(mut file) = open(&path) else { continue };
            let mut text = String::new();
            let read = file.read_to_string(&mut text).is_ok();
            // A file cut off by a crash says nothing was changed yet: it is written before the change.
            let footprint = read.then(|| first_value(&text)).flatten();
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(file) => {
                    let nothing = Footprint { instance: Some(String::new()), ..Footprint::default() };
                    dead.push((Record { path, file }, footprint.unwrap_or(nothing)));
                }
                Err(_) => living.extend(footprint),
            }
        }
        (living, dead)
    }
}

impl Record {
    pub(super) fn rewrite(&mut self, footprint: &Footprint) -> Result<(), FtraceError> {
        let mut write = || -> io::Result<()> {
            let text = serde_json::to_vec(footprint)?;
            // One write over the old text, then the cut: killed in between, the file still begins with
            // a whole footprint.
            self.file.seek(SeekFrom::Start(0))?;
            self.file.write_all(&text)?;
            self.file.set_len(text.len() as u64)
        };
        write().map_err(|source| failed("write", &self.path, source))
    }

    /// Everything is undone.
    pub(super) fn remove(self) -> Result<(), FtraceError> {
        fs::remove_file(&self.path).map_err(|source| failed("remove", &self.path, source))
    }
}

/// What follows the first value is the tail of a longer one that was not cut off.
fn first_value(text: &str) -> Option<Footprint> {
    serde_json::Deserializer::from_str(text).into_iter().next()?.ok()
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> FtraceError {
    FtraceError::Control { doing, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_told_from_the_living() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::new(dir.path()).unwrap();
        let footprint = |name: &str| Footprint { instance: Some(name.into()), ..Footprint::default() };
        let alive = run.record("1", &footprint("alive")).unwrap();
        drop(run.record("2", &footprint("dead")).unwrap());
        fs::write(dir.path().join("ftrace-3.json"), "{\"inst").unwrap();
        let (living, dead) = run.others();
        assert_eq!(living, [footprint("alive")]);
        let mut names: Vec<_> = dead.into_iter().map(|(_, print)| print.instance.unwrap()).collect();
        names.sort();
        assert_eq!(names, ["", "dead"]);
        alive.remove().unwrap();
        assert!(run.others().0.is_empty());
    }

    #[test]
    fn a_footprint_may_be_followed_by_the_rest_of_a_longer_one() {
        let print = first_value("{\"instance\":\"diag-1\",\"saved\":[]}\"x\",\"value\":\"0\"}]}");
        assert_eq!(print, Some(Footprint { instance: Some("diag-1".into()), ..Footprint::default() }));
        assert_eq!(first_value(""), None);
    }

    #[test]
    fn values_in_the_form_they_are_written_back() {
        let dir = tempfile::tempdir().unwrap();
        let tracefs = Tracefs::at(dir.path());
        for (text, value) in [("local [mono] boot\n", "mono"), ("7 (expanded: 1408)\n", "1408"), ("0\n", "0")]
        {
            fs::write(dir.path().join("f"), text).unwrap();
            assert_eq!(current(&tracefs, "f").as_deref(), Some(value));
        }
    }
}
