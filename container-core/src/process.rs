//! A process named so that the name cannot come to mean another one: pid, start time, boot.

use std::fs::{self, File};
use std::io::Read;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// Identity of a process on this machine. A pid alone is recycled; together with the start time and the
/// boot it was seen in, it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Process id in the engine's pid namespace.
    pub pid: i32,
    /// Start time in clock ticks since boot: field 22 of /proc/PID/stat, proc_pid_stat(5).
    pub start_ticks: u64,
    /// /proc/sys/kernel/random/boot_id at that time; empty where /proc does not tell.
    pub boot: String,
}

impl ProcessId {
    /// The process that has this pid now; also finds a zombie. `None` when there is none.
    #[must_use]
    pub fn of(pid: i32) -> Option<ProcessId> {
        let (_, start_ticks) = stat(pid)?;
        Some(ProcessId { pid, start_ticks, boot: boot_id().to_owned() })
    }

    /// The calling process.
    pub(crate) fn current() -> ProcessId {
        let pid = std::process::id() as i32;
        ProcessId::of(pid).unwrap_or(ProcessId { pid, start_ticks: 0, boot: boot_id().to_owned() })
    }

    /// Whether that very process still runs. A zombie does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.boot == boot_id()
            && stat(self.pid)
                .is_some_and(|(state, start)| start == self.start_ticks && !matches!(state, 'Z' | 'X'))
    }
}

/// State letter and start time of a process.
fn stat(pid: i32) -> Option<(char, u64)> {
    // In one read(2), which the kernel answers whole: 52 numbers of at most 20 digits, and a name of 64 bytes.
    let mut line = [0; 2048];
    let count = File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut line).ok()?;
    parse_stat(&String::from_utf8_lossy(line.get(..count)?))
}

/// The name in field 2 may hold spaces and parentheses: count from the last closing one.
fn parse_stat(text: &str) -> Option<(char, u64)> {
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let state = fields.next()?.chars().next()?;
    let start_ticks = fields.nth(18)?.parse().ok()?;
    Some((state, start_ticks))
}

pub(crate) fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        text.trim().to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_may_try_to_confuse() {
        let line = "12 (a) Z (b) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20 21";
        assert_eq!(parse_stat(line), Some(('S', 777)));
        assert_eq!(parse_stat("12 (a"), None);
    }

    #[test]
    fn i_am_alive_and_my_double_is_not() {
        let me = ProcessId::current();
        assert!(me.is_alive());
        assert!(!ProcessId { start_ticks: me.start_ticks + 1, ..me.clone() }.is_alive());
        assert!(!ProcessId { boot: "another".into(), ..me }.is_alive());
    }
}
