//! Measures diag itself: its programs by the kernel's own statistics, its process by getrusage(2).
//!
//! The kernel counts the runs of BPF programs and their time only while somebody holds a descriptor of
//! `BPF_ENABLE_STATS` (bpf(2), Linux 5.8), and then for all programs of the machine, which costs two clock
//! readings a run. So a watch that stays samples: a moment at the start, and one in every thirty seconds. (A moment ends
//! when the pipeline looks next, half a second later on a machine where nothing fails.)

use super::clock;
use crate::model::{Cost, Programs};
use aya::sys::{Stats, enable_stats};
use nix::sys::resource::{UsageWho, getrusage};
use std::os::fd::OwnedFd;

const SAMPLE_NS: u64 = 100_000_000;
const PERIOD_NS: u64 = 30_000_000_000;

/// Runs and nanoseconds of all programs together, as their counters stand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counted {
    pub(super) runs: u64,
    pub(super) ran_ns: u64,
}

/// A measurement that is on.
struct Sample {
    /// Closing it ends the measurement.
    _on: OwnedFd,
    since_ns: u64,
    first: Counted,
}

pub(super) struct Meter {
    started_ns: u64,
    /// Measure all the time: what is watched is short.
    always: bool,
    sample: Option<Sample>,
    /// When the current or last sample began.
    last_ns: u64,
    done: Option<Programs>,
}

impl Meter {
    pub(super) fn start(always: bool, counted: Counted) -> Self {
        let now = clock::mono_ns();
        let mut meter = Self { started_ns: now, always, sample: None, last_ns: now, done: None };
        meter.begin(now, counted);
        meter
    }

    fn begin(&mut self, now: u64, counted: Counted) {
        self.last_ns = now;
        // Refused without CAP_SYS_ADMIN: then the report says nothing about the programs.
        let on = enable_stats(Stats::RunTime).ok();
        self.sample = on.map(|on| Sample { _on: on, since_ns: now, first: counted });
    }

    /// Whether [`Meter::turn`] has something to do at this time.
    pub(super) fn is_due(&self, now: u64) -> bool {
        let since = now.saturating_sub(self.last_ns);
        !self.always && if self.sample.is_some() { since >= SAMPLE_NS } else { since >= PERIOD_NS }
    }

    /// Ends or begins a sample.
    pub(super) fn turn(&mut self, now: u64, counted: Counted) {
        match self.sample.take() {
            Some(sample) => self.done = Some(sum(self.done, &sample, now, counted)),
            None => self.begin(now, counted),
        }
    }

    /// The price so far.
    pub(super) fn cost(&self, counted: Counted) -> Cost {
        let now = clock::mono_ns();
        let programs = match &self.sample {
            Some(sample) => Some(sum(self.done, sample, now, counted)),
            None => self.done,
        };
        let (cpu_ns, peak_bytes) = own_usage();
        Cost { watched_ns: now.saturating_sub(self.started_ns), programs, cpu_ns, peak_bytes }
    }
}

fn sum(done: Option<Programs>, sample: &Sample, now: u64, counted: Counted) -> Programs {
    let done = done.unwrap_or_default();
    Programs {
        measured_ns: done.measured_ns + now.saturating_sub(sample.since_ns),
        runs: done.runs + counted.runs.saturating_sub(sample.first.runs),
        ran_ns: done.ran_ns + counted.ran_ns.saturating_sub(sample.first.ran_ns),
    }
}

/// CPU time in nanoseconds and peak memory in bytes. Zero where the kernel would not say, which getrusage(2)
/// of oneself never does.
fn own_usage() -> (u64, u64) {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return (0, 0) };
    let ns = |t: nix::sys::time::TimeVal| {
        u64::try_from(t.tv_sec()).unwrap_or(0) * 1_000_000_000
            + u64::try_from(t.tv_usec()).unwrap_or(0) * 1_000
    };
    // ru_maxrss is in KiB.
    (ns(usage.user_time()) + ns(usage.system_time()), u64::try_from(usage.max_rss()).unwrap_or(0) * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_add_up() {
        let sample = |runs, ran_ns| Counted { runs, ran_ns };
        let on = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        let mut meter = Meter { started_ns: 0, always: false, sample: None, last_ns: 0, done: None };
        meter.sample = Some(Sample { _on: on(), since_ns: 10, first: sample(1, 100) });
        assert!(!meter.is_due(SAMPLE_NS - 1) && meter.is_due(SAMPLE_NS));
        meter.turn(1_010, sample(3, 400));
        assert!(meter.sample.is_none() && !meter.is_due(SAMPLE_NS) && meter.is_due(PERIOD_NS));
        // What ran between samples belongs to none.
        meter.sample = Some(Sample { _on: on(), since_ns: 5_000, first: sample(50, 9_000) });
        meter.turn(6_000, sample(51, 9_700));
        assert_eq!(meter.done, Some(Programs { measured_ns: 2_000, runs: 3, ran_ns: 1_000 }));
        assert_eq!(meter.done.unwrap().per_million(), Some(500_000));
        assert_eq!(Programs::default().per_million(), None);
    }
}
