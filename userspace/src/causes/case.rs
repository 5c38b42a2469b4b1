//! The questions a cause may ask, and the shape of its answer.

pub(super) mod ceiling;
pub(super) mod cgroups;
pub(super) mod claim;
pub(super) mod ids;
pub(super) mod landlock;
pub(super) mod modes;
pub(super) mod net;
#[cfg(test)]
pub(super) mod net_testing;
pub(super) mod overlays;
pub(super) mod remedies;
pub(super) mod rights;
pub(super) mod several;
pub(super) mod signs;
pub(super) mod sticky;
pub(super) mod switch;
pub(super) mod tasks;
#[cfg(test)]
pub(super) mod testing;

use crate::limits::Limit;
use crate::model::{Confidence, Errno, Fact, Failure, Incident, Knob, Path, Reading, State, Taken};

/// An incident with its kernel path, as causes see it.
pub struct Case<'a> {
    pub incident: &'a Incident,
    pub path: Option<&'a Path>,
}

/// A kernel function whose "no" was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict<'a> {
    pub function: &'a str,
    pub method: &'a str,
}

/// What a cause asserts, with its evidence.
#[derive(Debug, Clone)]
pub struct Proof {
    pub confidence: Confidence,
    pub sentence: String,
    pub knob: Knob,
    pub limit: Option<u64>,
    pub usage: Option<u64>,
    pub unit: String,
    pub evidence: Vec<String>,
    pub missing: Vec<String>,
}

impl<'a> Case<'a> {
    pub fn failure(&self) -> &'a Failure {
        &self.incident.failure
    }

    /// The name of the failed system call when it is one of `names` and failed with `errno`.
    pub fn denied(&self, names: &[&str], errno: Errno) -> Option<&'a str> {
        let (name, got) = self.incident.failure.syscall()?;
        (got == errno && names.contains(&name)).then_some(name)
    }

    /// The reading of a limit that the probe took before the system call returned.
    pub fn at_instant(&self, limit: &'a Limit) -> Option<&'a Reading> {
        self.incident.readings_of(limit.id).find(|r| r.taken == Taken::AtInstant)
    }

    /// The best reading there is: that of the instant, else the sampler's.
    pub fn reading(&self, limit: &'a Limit) -> Option<&'a Reading> {
        self.at_instant(limit).or_else(|| self.incident.readings_of(limit.id).next())
    }

    /// A decider among `functions` whose verdict was *seen* (by return value or by difference). A name
    /// that only the catalogue put there proves nothing to the catalogue itself.
    pub fn verdict(&self, functions: &[&str]) -> Option<Verdict<'a>> {
        let path = self.path?;
        let (function, method) = (path.decider.as_deref()?, path.decider_method.as_deref()?);
        (method != "catalogue" && functions.contains(&function)).then_some(Verdict { function, method })
    }

    /// What a function on the path was seen to return, typed: an errno is negative, a bool 0 or 1. Of several
    /// calls the last one counts, which is the one that mattered.
    pub fn returned(&self, function: &str) -> Option<i64> {
        let returns = &self.path?.returns;
        returns.iter().rev().find(|r| r.function == function).map(|r| r.value)
    }

    /// A value of the kernel under its own name: of that instant by the probe, else read again afterwards.
    pub fn value(&self, name: &str) -> Option<u64> {
        let readings = &self.incident.failure.readings;
        let probed = readings.iter().find(|r| r.limit == name && r.ceiling.is_none()).and_then(|r| r.usage);
        probed.or_else(|| self.state(name)?.value.parse::<i64>().ok().map(|value| value as u64))
    }

    /// Whether the task had one of these capabilities in the first user namespace, which is what the kernel's
    /// `capable()` asks; `None` where it was not read.
    pub fn capable(&self, bits: u64) -> Option<bool> {
        /// PROC_USER_INIT_INO (include/linux/proc_ns.h).
        const FIRST_USER_NS: u32 = 0xefff_fffd;
        if let Some(credentials) = &self.incident.failure.task.credentials {
            return Some(credentials.in_first_namespace() && credentials.capabilities & bits != 0);
        }
        let first = self.incident.failure.task.user_ns? == FIRST_USER_NS;
        if !first {
            return Some(false);
        }
        Some(self.value("CapEff")? & bits != 0)
    }

    /// A state that was read again after the failure.
    pub fn state(&self, name: &str) -> Option<&'a State> {
        self.incident.facts.iter().find_map(|fact| match fact {
            Fact::State(state) if state.name == name => Some(state),
            _ => None,
        })
    }

    /// Whether the kernel path leads through one of `functions`, whoever decided.
    pub fn passed_through(&self, functions: &[&str]) -> bool {
        self.path.is_some_and(|p| p.functions.iter().any(|f| functions.contains(&f.as_str())))
    }

    /// Whether the kernel path shows another decider than `functions`.
    pub fn decided_elsewhere(&self, functions: &[&str]) -> Option<&'a str> {
        let path = self.path?;
        let decider = path.decider.as_deref()?;
        let seen = path.decider_method.as_deref() != Some("catalogue");
        (seen && !functions.contains(&decider)).then_some(decider)
    }
}

impl Proof {
    /// Lowers a proof to `likely` while any rival still stands, and says which and why.
    pub(super) fn settle(&mut self, standing: Vec<String>) {
        if standing.is_empty() {
            return;
        }
        self.confidence = self.confidence.min(Confidence::Likely);
        self.missing.extend(standing.into_iter().map(|rival| format!("not ruled out: {rival}")));
    }
}
