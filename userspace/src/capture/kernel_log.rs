//! What the kernel's log says of an OOM kill: whose limit it was, on every kernel since 5.0.
//!
//! `dump_oom_summary()` (mm/oom_kill.c) writes one line before the victim is killed:
//! `oom-kill:constraint=CONSTRAINT_MEMCG,…,oom_memcg=/a/b,task_memcg=/a/b/c,task=dd,pid=77,uid=0`, or
//! `global_oom` where no cgroup was at its limit. It is rate limited, so it may be missing.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;

const LOG: &str = "/dev/kmsg";
/// The longest record that can be read (kernel/printk/internal.h `PRINTK_MESSAGE_MAX`) is 2 KiB since 6.4 and
/// 8 KiB before (`CONSOLE_EXT_LOG_MAX`).
const RECORD: usize = 8192;
/// Kills that are remembered; asked for right after they happened.
const MOST: usize = 64;

/// What the log said of one kill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pid: u32,
    /// The cgroup that was at its limit; `None`: the machine was out of memory.
    pub(super) cgroup: Option<String>,
}

/// The log from now on.
pub(super) struct KernelLog {
    file: Option<File>,
    said: Vec<Said>,
}

impl KernelLog {
    /// Without the right to read it (CAP_SYSLOG, `kernel.dmesg_restrict`) the log says nothing.
    pub(super) fn open() -> Self {
        let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(LOG);
        // SEEK_END: after the last record (Documentation/ABI/testing/dev-kmsg).
        let file = file.and_then(|mut file| file.seek(SeekFrom::End(0)).map(|_| file)).ok();
        Self { file, said: Vec::new() }
    }

    /// What was said of the kill of this thread, if it was.
    pub(super) fn of(&mut self, tid: u32) -> Option<Said> {
        self.read_new();
        let at = self.said.iter().rposition(|said| said.pid == tid)?;
        Some(self.said.remove(at))
    }

    fn read_new(&mut self) {
        let Some(file) = &mut self.file else { return };
        let mut record = [0; RECORD];
        loop {
            match file.read(&mut record) {
                Ok(0) => return,
                Ok(bytes) => {
                    let text = String::from_utf8_lossy(&record[..bytes]);
                    self.said.extend(parse(&text));
                    if self.said.len() > MOST {
                        self.said.remove(0);
                    }
                }
                // EPIPE: records were overwritten before they were read; the next read goes on behind them.
                Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
                // EAGAIN: nothing more yet.
                Err(_) => return,
            }
        }
    }
}

/// A kill that the log still has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OomKill {
    pub(super) pid: u32,
    pub(super) comm: String,
    /// When, on the kernel's clock.
    pub(super) mono_ns: u64,
    /// The victim's cgroup.
    pub(super) cgroup: Option<String>,
    /// The one whose limit it was; `None`: the machine's.
    pub(super) served: Option<String>,
}

/// The OOM kills in the cgroup of this container, oldest first, as far as the log goes back.
pub(super) fn kills_of(id: &str) -> Vec<OomKill> {
    let Ok(mut file) = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(LOG) else {
        return Vec::new();
    };
    let mut record = [0; RECORD];
    let mut kills = Vec::new();
    loop {
        match file.read(&mut record) {
            Ok(0) => return kills,
            Ok(bytes) => kills.extend(kill_of(&String::from_utf8_lossy(&record[..bytes]), id)),
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::Interrupted) => {}
            Err(_) => return kills,
        }
    }
}

fn kill_of(record: &str, id: &str) -> Option<OomKill> {
    let said = parse(record)?;
    let text = record.lines().next()?;
    let cgroup = between(text, ",task_memcg=", ",task=")?;
    if !cgroup.contains(id) {
        return None;
    }
    // `priority,sequence,microseconds,flags;text`
    let microseconds: u64 = text.split(',').nth(2)?.parse().ok()?;
    let comm = between(text, ",task=", ",pid=")?.to_owned();
    let cgroup = Some(cgroup.to_owned());
    Some(OomKill { pid: said.pid, comm, mono_ns: microseconds * 1000, cgroup, served: said.cgroup })
}

/// A record: `6,1234,98765,-;text`, and lines of details below.
fn parse(record: &str) -> Option<Said> {
    let (_, text) = record.split_once(';')?;
    let text = text.lines().next()?.strip_prefix("oom-kill:")?;
    let pid = between(text, ",pid=", ",uid=")?.parse().ok()?;
    let cgroup = match between(text, ",oom_memcg=", ",task_memcg=") {
        Some(path) => Some(path.to_owned()),
        None if text.contains(",global_oom,") => None,
        None => return None,
    };
    Some(Said { pid, cgroup })
}

/// The program's name stands before the pid and may hold anything, so the last match counts for what follows
/// it; the path of a cgroup cannot be told from a comma in a name that imitates the next field.
fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (head, _) = text.rsplit_once(after)?;
    Some(head.rsplit_once(before)?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_lines_are_read() {
        let memcg = "6,612,9876543,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=ab,mems_allowed=0,\
                     oom_memcg=/docker/ab,task_memcg=/docker/ab/app,task=java,pid=4711,uid=1000\n SUBSYSTEM=x\n";
        assert_eq!(parse(memcg), Some(Said { pid: 4711, cgroup: Some("/docker/ab".into()) }));
        let kill = kill_of(memcg, "ab").unwrap();
        assert_eq!((kill.pid, kill.comm.as_str(), kill.mono_ns), (4711, "java", 9_876_543_000));
        assert_eq!(kill.cgroup.as_deref(), Some("/docker/ab/app"));
        assert_eq!(kill_of(memcg, "cd"), None);
        let global = "6,1,2,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,\
                      global_oom,task_memcg=/a,task=dd,pid=7,uid=0\n";
        assert_eq!(parse(global), Some(Said { pid: 7, cgroup: None }));
    }

    #[test]
    fn names_cannot_forge_a_pid_and_other_lines_say_nothing() {
        let odd = "6,1,2,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/x,task_memcg=/x,task=a,pid=1,uid=0,pid=9,uid=0\n";
        assert_eq!(parse(odd).map(|said| said.pid), Some(9));
        for other in ["6,1,2,-;Out of memory: Killed process 7 (dd)\n", "oom-kill:", "6,1,2,-;oom-kill:pid=7"]
        {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
