//! What a security module wrote to the kernel's log about the refusal, where no audit daemon takes it away first.

use super::{Look, Sampled};
use crate::model::{Errno, Fact, Failure, State};

/// `SYSLOG_ACTION_READ_ALL` (syslog(2)), and how much of the log's end is looked at.
const READ_ALL: libc::c_int = 3;
const MOST: usize = 1 << 17;

/// A line may carry the time of another clock tick, or be written a moment before the call returns.
const NEAR_NS: u64 = 2_000_000_000;

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    if ![Errno::EACCES, Errno::EPERM].contains(&look.errno) || !is_confined(out) {
        return;
    }
    let Some(log) = end_of_log() else { return };
    let (task, time) = (&failure.task, failure.time.unix_ns);
    let Some(line) = find(&log, &[task.pid, task.tid], time) else { return };
    out.facts.push(Fact::State(State {
        name: "security denial".into(),
        of: String::new(),
        value: line.to_owned(),
        source: "kernel log".into(),
        after_ns: look.after(failure),
    }));
}

/// Without a label there is nobody who would write such lines.
fn is_confined(out: &Sampled) -> bool {
    out.facts.iter().any(|fact| matches!(fact, Fact::Identity(who) if !who.label.is_empty()))
}

fn end_of_log() -> Option<String> {
    let mut bytes = vec![0_u8; MOST];
    // SAFETY: a buffer of the length that is passed.
    let read = unsafe { libc::klogctl(READ_ALL, bytes.as_mut_ptr().cast(), MOST as libc::c_int) };
    bytes.truncate(usize::try_from(read).ok()?);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last line that says it denied something to this process at that time: `audit(SECONDS.MILLIS:SERIAL)`.
fn find<'a>(log: &'a str, pids: &[u32], unix_ns: i64) -> Option<&'a str> {
    log.lines().rev().find(|line| {
        let denied = line.contains("apparmor=\"DENIED\"") || line.contains("avc:  denied");
        let pid = line.split_once(" pid=").and_then(|(_, rest)| rest.split([' ', ',']).next()?.parse().ok());
        denied
            && pid.is_some_and(|pid| pids.contains(&pid))
            && at(line).is_some_and(|at| at.abs_diff(unix_ns) < NEAR_NS)
    })
}

fn at(line: &str) -> Option<i64> {
    let (_, rest) = line.split_once("audit(")?;
    let (seconds, rest) = rest.split_once('.')?;
    let (millis, _) = rest.split_once(':')?;
    Some((seconds.parse::<i64>().ok()? * 1000 + millis.parse::<i64>().ok()?) * 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "[1] audit: type=1400 audit(1700000000.250:4): apparmor=\"DENIED\" operation=\"mount\" class=\"mount\" \
        profile=\"docker-default\" name=\"/mnt/\" pid=77 comm=\"mount\"\n[2] other\n";

    #[test]
    fn the_line_of_this_process_at_that_time() {
        let then = 1_700_000_000_300_000_000;
        assert!(find(LOG, &[77], then).is_some_and(|line| line.contains("docker-default")));
        assert_eq!(find(LOG, &[7], then), None, "another process");
        assert_eq!(find(LOG, &[77], then + 60_000_000_000), None, "another time");
    }
}
