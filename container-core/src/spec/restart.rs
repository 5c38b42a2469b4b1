//! When a container that has ended is started again, in docker's words.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::lifecycle::Exit;

/// The first pause before a restart; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A workload that ran so long was no failed try.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// Whether to start the workload again after its end. Nothing is restarted that was stopped or killed by a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// When its exit code was not 0, or a signal ended it; at most so many times in a row.
    OnFailure {
        /// `None`: without end.
        most: Option<u32>,
    },
    /// Always; after a boot ([`crate::Engine::start_after_boot`]) even one that had been stopped.
    Always,
    /// Always, but not after a boot when it had been stopped.
    UnlessStopped,
}

impl RestartPolicy {
    /// Whether a workload that ended so is started again. `restarts` counts those since the last good run.
    pub(crate) fn wants(self, exit: Exit, restarts: u32) -> bool {
        match self {
            RestartPolicy::No => false,
            RestartPolicy::OnFailure { most } => {
                exit.code != Some(0) && most.is_none_or(|most| restarts < most)
            }
            RestartPolicy::Always | RestartPolicy::UnlessStopped => true,
        }
    }
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RestartPolicy::No => f.write_str("no"),
            RestartPolicy::OnFailure { most: None } => f.write_str("on-failure"),
            RestartPolicy::OnFailure { most: Some(most) } => write!(f, "on-failure:{most}"),
            RestartPolicy::Always => f.write_str("always"),
            RestartPolicy::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

impl FromStr for RestartPolicy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "no" => Ok(RestartPolicy::No),
            None if text == "on-failure" => Ok(RestartPolicy::OnFailure { most: None }),
            None if text == "always" => Ok(RestartPolicy::Always),
            None if text == "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
            Some(("on-failure", most)) => {
                let most = most.parse().map_err(|_| format!("{most:?} is no number of restarts"))?;
                Ok(RestartPolicy::OnFailure { most: Some(most) })
            }
            _ => Err(format!(
                "{text:?} is no restart policy; there are no, on-failure[:N], always and unless-stopped"
            )),
        }
    }
}

impl From<RestartPolicy> for String {
    fn from(policy: RestartPolicy) -> String {
        policy.to_string()
    }
}

impl TryFrom<String> for RestartPolicy {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

/// The pauses between restarts: ever longer, until a run was good.
#[derive(Debug, Default)]
pub(crate) struct BackOff {
    restarts: u32,
}

impl BackOff {
    /// How many restarts since the last good run.
    pub(crate) fn restarts(&self) -> u32 {
        self.restarts
    }

    /// A workload has ended after so long.
    pub(crate) fn ran(&mut self, duration: Duration) {
        if duration >= GOOD_RUN {
            self.restarts = 0;
        }
    }

    /// How long to wait before the next restart.
    pub(crate) fn pause(&mut self) -> Duration {
        // 2^10 times the first pause is beyond the longest.
        let pause = FIRST_PAUSE * (1 << self.restarts.min(10));
        self.restarts = self.restarts.saturating_add(1);
        pause.min(LONGEST_PAUSE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_read_as_they_are_written() {
        for text in ["no", "on-failure", "on-failure:3", "always", "unless-stopped"] {
            assert_eq!(text.parse::<RestartPolicy>().unwrap().to_string(), text);
        }
        for bad in ["", "on-failure:", "on-failure:x", "never", "always:3"] {
            assert!(bad.parse::<RestartPolicy>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_failures_count_as_failures() {
        let twice = RestartPolicy::OnFailure { most: Some(2) };
        assert!(!twice.wants(Exit::with_code(0), 0));
        assert!(twice.wants(Exit::with_code(1), 1) && twice.wants(Exit::by_signal(9), 0));
        assert!(!twice.wants(Exit::with_code(1), 2));
        assert!(RestartPolicy::Always.wants(Exit::with_code(0), 1000));
        assert!(!RestartPolicy::No.wants(Exit::with_code(1), 0));
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_start_over_after_a_good_run() {
        let mut back_off = BackOff::default();
        let pauses: Vec<u128> = (0..12).map(|_| back_off.pause().as_millis()).collect();
        assert_eq!(pauses[..4], [100, 200, 400, 800]);
        assert_eq!(pauses[9..], [51_200, 60_000, 60_000]);
        back_off.ran(Duration::from_secs(1));
        assert_eq!(back_off.restarts(), 12);
        back_off.ran(GOOD_RUN);
        assert_eq!(back_off.pause(), FIRST_PAUSE);
    }
}
