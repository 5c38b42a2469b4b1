//! kretprobe events: a probe for each function in a group of diag's own, which an instance of diag's own records
//! (Documentation/trace/kprobetrace.rst). Every kernel with CONFIG_KPROBE_EVENTS has them.
//!
//! Arming is slow: each probe is put in by itself, a tenth of a second under emulation. So only so many, those first
//! that are most likely to tell. Probes are not tied to a descriptor: what is made is written down before, as all
//! changes to tracefs are, and the next start removes what a killed diag left.

use super::super::session::{free_name, sweep};
use super::super::state::{Footprint, Record, RunDir};
use super::super::tracefs::Tracefs;
use super::super::{FtraceError, probe_group};
use super::values::Value;
use super::{ProbeSpec, Reached};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::Ordering;

/// Probes of one path: some five seconds in an emulated guest.
const MOST: usize = 48;
/// Room for some thousand values on each processor.
const BUFFER_KB: &str = "256";
/// The kernel hands out at most a page or two at a time.
const CHUNK: usize = 16 * 1024;

/// The armed probes. Dropping it removes them.
#[derive(Debug)]
pub(super) struct Armed {
    // Dropped first: an instance whose pipe is open cannot be removed.
    pipe: Option<File>,
    pending: Vec<u8>,
    place: Place,
}

/// Where they are, and how to leave.
#[derive(Debug)]
struct Place {
    tracefs: Tracefs,
    run: RunDir,
    footprint: Footprint,
    record: Option<Record>,
}

pub(super) fn arm(spec: &ProbeSpec) -> Result<Reached<Armed>, FtraceError> {
    let tracefs = match &spec.tracefs {
        Some(root) => Tracefs::at(root),
        None => Tracefs::find()?,
    };
    if !tracefs.exists("kprobe_events") {
        return Err(FtraceError::NoProbes);
    }
    let run = RunDir::new(&spec.run_dir)?;
    // Declared before the lock and so dropped after it: undoing takes the lock again.
    let mut place = Place { tracefs, run, footprint: Footprint::default(), record: None };
    let order = place.run.exclusive()?;
    sweep(&place.tracefs, &place.run)?;
    let refused = place.make(spec)?;
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let pipe = place.buffer().open("trace_pipe", &options)?;
    drop(order);
    Ok((Armed { pipe: Some(pipe), pending: Vec::new(), place }, refused))
}

impl Place {
    fn buffer(&self) -> Tracefs {
        self.tracefs.instance(self.footprint.instance.as_deref().unwrap_or_default())
    }

    /// The instance, the group, and in it what the kernel takes.
    fn make(&mut self, spec: &ProbeSpec) -> Result<Vec<(String, String)>, FtraceError> {
        let name = free_name(&self.tracefs)?;
        let group = probe_group::name_for(&name);
        let footprint =
            Footprint { instance: Some(name.clone()), saved: Vec::new(), group: Some(group.clone()) };
        self.record = Some(self.run.record(&name, &footprint)?);
        self.footprint = footprint;
        self.tracefs.make_instance(&name)?;
        let buffer = self.buffer();
        buffer.write("trace_clock", "mono")?;
        buffer.write("buffer_size_kb", BUFFER_KB)?;
        let threads: String = threads(&spec.processes).iter().map(|tid| format!("{tid}\n")).collect();
        buffer.replace("set_event_pid", &threads)?;
        if buffer.exists("options/event-fork") {
            buffer.write("options/event-fork", "1")?;
        }
        let mut refused = Vec::new();
        let mut last = None;
        for (at, function) in spec.functions.iter().take(MOST).enumerate() {
            if spec.stop.load(Ordering::Relaxed) {
                return Err(FtraceError::Busy { what: "the probes are not wanted any more".into() });
            }
            let Err(error) = self.add(&buffer, &group, at, function) else { continue };
            if is_locked(&error) {
                return Err(error);
            }
            refused.push((function.clone(), why(&error)));
            last = Some(error);
        }
        let beyond = spec.functions.iter().skip(MOST);
        match last {
            // Nothing that is about single functions.
            Some(error) if refused.len() == spec.functions.len().min(MOST) => Err(error),
            _ => {
                refused.extend(beyond.map(|name| (name.clone(), format!("no more than {MOST} are probed"))));
                Ok(refused)
            }
        }
    }

    fn add(&self, buffer: &Tracefs, group: &str, at: usize, function: &str) -> Result<(), FtraceError> {
        probe_group::add(&self.tracefs, group, at, function)?;
        buffer.write(&format!("events/{group}/{}/enable", probe_group::event(at)), "1")
    }

    fn undo(&mut self) -> Result<(), FtraceError> {
        if self.record.is_none() {
            return Ok(());
        }
        let _order = self.run.exclusive()?;
        let Some(record) = self.record.take() else { return Ok(()) };
        // Nothing of the top instance was changed, so nothing is shared with anybody.
        std::mem::take(&mut self.footprint).undo(&self.tracefs, true)?;
        record.remove()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Err(error) = self.undo() {
            tracing::warn!("return probes are not removed: {error}; the next start of diag tries again");
        }
    }
}

impl Armed {
    pub(super) fn drain(&mut self, mut each: impl FnMut(Value)) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = [0; CHUNK];
        loop {
            match pipe.read(&mut chunk) {
                Ok(0) => return,
                Ok(read) => self.pending.extend_from_slice(&chunk[..read]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        let whole = self.pending.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let text: Vec<u8> = self.pending.drain(..whole).collect();
        String::from_utf8_lossy(&text).lines().filter_map(value_of).for_each(&mut each);
    }

    pub(super) fn lost(&self) -> u64 {
        self.place.buffer().buffer_counts().lost
    }

    pub(super) fn disarm(mut self) -> Result<(), FtraceError> {
        self.pipe = None;
        self.place.undo()
    }
}

/// `          mount-217     [001] d...   12.345678: f3: (path_mount+0x4d0/0xa80 <- do_new_mount) ret=0xffffffe4`; a name
/// may hold anything, so it is read from behind.
fn value_of(line: &str) -> Option<Value> {
    let (head, tail) = line.rsplit_once(" <- ")?;
    let (_, hex) = tail.split_once("ret=0x")?;
    let (head, _) = head.rsplit_once(": (")?;
    let (head, event) = head.rsplit_once(' ')?;
    let function = event.strip_prefix('f')?.parse().ok()?;
    let (head, time) = head.trim_end_matches(':').rsplit_once(' ')?;
    let (seconds, micros) = time.split_once('.')?;
    let (head, _) = head.rsplit_once(" [")?;
    let (_, tid) = head.trim_end().rsplit_once('-')?;
    Some(Value {
        tid: tid.parse().ok()?,
        time_ns: seconds.parse::<u64>().ok()?.checked_mul(1_000_000_000)?
            + micros.parse::<u64>().ok()? * 1000,
        function,
        value: u64::from_str_radix(hex.trim(), 16).ok()?,
    })
}

/// All threads of these processes; those that they start later are followed.
fn threads(processes: &[u32]) -> Vec<u32> {
    let mut all = Vec::new();
    for pid in processes {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
        all.extend(tasks.filter_map(|task| task.file_name().to_str()?.parse::<u32>().ok()));
    }
    // Nobody at all would mean everybody.
    if all.is_empty() { processes.to_vec() } else { all }
}

/// Lockdown and privileges are about all functions.
fn is_locked(error: &FtraceError) -> bool {
    matches!(error, FtraceError::Control { source, .. } if source.kind() == ErrorKind::PermissionDenied)
}

/// The kernel's reason without the file: it is the same for all.
fn why(error: &FtraceError) -> String {
    match error {
        FtraceError::Control { source, .. } => source.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_values_whatever_the_process_calls_itself() {
        let line = "     a [7]: (x)-217     [001] d...   12.345678: f3: (path_mount+0x4d0/0xa80 <- do_new_mount) ret=0xffffffe4";
        let value = value_of(line).unwrap();
        let expected = Value { tid: 217, time_ns: 12_345_678_000, function: 3, value: 0xffff_ffe4 };
        assert_eq!(value, expected);
        let newer = "mount-9 [000] ...1.  0.000001: f0: (do_syscall_64+0x5b/0xc0 <- __x64_sys_mount) ret=0xffffffffffffffe4";
        assert_eq!(value_of(newer).unwrap().value, -28i64 as u64);
        for other in ["", "CPU:0 [LOST 7 EVENTS]", "mount-9 [000] d... 1.5: g0: (a <- b) ret=0x1"] {
            assert_eq!(value_of(other), None, "{other}");
        }
    }
}
