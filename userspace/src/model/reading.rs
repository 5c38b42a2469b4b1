//! A limit's ceiling and usage at an instant, and the readings that rule a suspect out.

use serde::{Deserialize, Serialize};

/// When a reading was taken, which decides how much it proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Taken {
    /// By the probe, before the failing system call returned.
    AtInstant,
    /// By user space, this long after the failure.
    After { ns: u64 },
}

/// What a limit allowed and how much of it was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// The id of a row in `limits`, e.g. `fs.mount-max`.
    pub limit: String,
    /// Whose usage it is: `mount namespace 4026531841`, `cgroup /docker/ab12…`.
    pub scope: String,
    pub ceiling: Option<u64>,
    pub usage: Option<u64>,
    /// What the failing call would have added, where that is known.
    pub adds: Option<u64>,
    /// The kernel's own count of refusals, where it keeps one.
    pub hits: Option<u64>,
    pub unit: String,
    pub taken: Taken,
    /// Where it was read: a path or `mnt_namespace.nr_mounts`.
    pub source: String,
}

impl Reading {
    /// Whether `usage + adds > ceiling`; `None` when one of the two sides is unknown.
    pub fn exceeded(&self) -> Option<bool> {
        let (usage, ceiling) = (self.usage?, self.ceiling?);
        Some(usage.saturating_add(self.adds.unwrap_or(1)) > ceiling)
    }
}

/// Who uses most of a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    pub limit: String,
    pub name: String,
    pub amount: u64,
}

/// A suspect every engineer checks first, with the reading that decides whether it did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspect {
    /// `disk-blocks`, `disk-inodes`, `deleted-files`, `memory`, …: rivals of causes name these.
    pub id: String,
    /// In words: `disk /var/lib/docker`.
    pub what: String,
    /// In words: `41 % used, 80 GiB free`.
    pub reading: String,
    /// `Some(true)` when this suspect can explain the failure, `Some(false)` when it cannot,
    /// `None` when it could not be read.
    pub guilty: Option<bool>,
}
