//! The end of a cgroup: kill what is in it, wait until it is empty, remove it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Cgroup, Group, Kind, write};
use crate::error::StepError;
use crate::steps::Step;

/// How long killed processes may take to leave. A process in uninterruptible sleep may take longer: then the
/// error says that the group is busy, and a later `rm` tries again.
const PATIENCE: Duration = Duration::from_secs(5);

impl Cgroup {
    /// Steps "kill processes in cgroup" and "remove cgroup". Groups that do not exist are already removed.
    /// Every group is tried; the errors of all are returned.
    pub(crate) fn end(&self) -> Vec<StepError> {
        let deadline = Instant::now() + PATIENCE;
        self.groups.iter().filter_map(|group| group.end(deadline).err()).collect()
    }
}

impl Group {
    fn end(&self, deadline: Instant) -> Result<(), StepError> {
        let mut pause = Duration::from_micros(200);
        loop {
            match remove_tree(&self.path) {
                Ok(()) => return Ok(()),
                Err(error) if error.errno != Errno::EBUSY as i32 || Instant::now() > deadline => {
                    return Err(error);
                }
                Err(_) => self.kill_all()?,
            }
            // There is no event for "the last zombie of a v1 group was reaped": look again, ever less often.
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// `cgroup.kill` where there is one (v2, kernel ≥ 5.14), else a signal to every process listed.
    fn kill_all(&self) -> Result<(), StepError> {
        let kill_file = self.path.join("cgroup.kill");
        if self.kind == Kind::V2 && kill_file.exists() {
            return write(Step::KillCgroup, &kill_file, "1");
        }
        let procs = self.path.join("cgroup.procs");
        let text = match fs::read_to_string(&procs) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(StepError::from_io(Step::KillCgroup, "read", &procs, &e)),
        };
        for pid in text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0) {
            match kill(Pid::from_raw(pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(errno) => return Err(StepError::here(Step::KillCgroup, "kill", pid, errno)),
            }
        }
        Ok(())
    }
}

/// rmdir(2) of the group and of groups the workload made below it. Files of a cgroup need no removal.
fn remove_tree(path: &Path) -> Result<(), StepError> {
    match fs::remove_dir(path) {
        Ok(()) => return Ok(()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) if e.raw_os_error() != Some(libc::EBUSY) => {
            return Err(StepError::from_io(Step::RemoveCgroup, "rmdir", path, &e));
        }
        Err(_) => {}
    }
    if let Ok(entries) = fs::read_dir(path) {
        for entry in entries.flatten().filter(|entry| entry.file_type().is_ok_and(|t| t.is_dir())) {
            remove_tree(&entry.path())?;
        }
    }
    match fs::remove_dir(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(StepError::from_io(Step::RemoveCgroup, "rmdir", path, &e))
        }
        _ => Ok(()),
    }
}
