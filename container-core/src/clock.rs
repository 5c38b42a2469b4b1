//! The two clocks of the event log.

use nix::time::{ClockId, clock_gettime};

/// Nanoseconds since the epoch, CLOCK_REALTIME.
pub(crate) fn unix_ns() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// Nanoseconds of CLOCK_MONOTONIC: the clock of kernel tracing (`bpf_ktime_get_ns`, `trace_clock=mono`).
pub(crate) fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

fn read(clock: ClockId) -> u64 {
    // Cannot fail for these two clocks on Linux; zero would be visible at once.
    clock_gettime(clock).map_or(0, |t| t.tv_sec() as u64 * 1_000_000_000 + t.tv_nsec() as u64)
}
