//! The two clocks, and the offset between them.

use crate::model::Stamp;
use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC` in nanoseconds: the clock of `bpf_ktime_get_ns()` and of `trace_clock=mono`.
pub fn mono_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC) as u64
}

/// Processor time of the calling thread.
pub fn own_thread_ns() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID) as u64
}

/// Both clocks now.
pub fn now() -> Stamp {
    Stamp { mono_ns: mono_ns(), unix_ns: read(ClockId::CLOCK_REALTIME) }
}

/// A wall-clock time on both clocks, for sources that know only the wall's.
pub fn from_unix(unix_ns: i64) -> Stamp {
    let now = now();
    let mono = i128::from(now.mono_ns) - i128::from(now.unix_ns) + i128::from(unix_ns);
    Stamp { mono_ns: u64::try_from(mono).unwrap_or(0), unix_ns }
}

fn read(clock: ClockId) -> i64 {
    // clock_gettime(2) fails only for clocks that do not exist.
    clock_gettime(clock).map_or(0, |t| t.tv_sec() * 1_000_000_000 + t.tv_nsec())
}
