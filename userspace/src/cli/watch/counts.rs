//! `diag watch --by`: how often, instead of what: one line for each process, container, errno or cause.

use crate::model::{Explained, Stamp, spaced};
use crate::render;
use clap::ValueEnum;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Lines of a table; a terminal has some two dozen.
const MOST_SHOWN: usize = 20;
/// Keys that are counted; beyond this the smallest go into one line, so that nothing is lost of the sum.
const MOST_KEPT: usize = 4096;
const REST: &str = "(others)";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum By {
    Process,
    Container,
    Errno,
    Cause,
}

impl By {
    pub(super) fn key(self, e: &Explained) -> String {
        let task = &e.incident.failure.task;
        match self {
            Self::Process => format!("{} (pid {})", task.comm, task.pid),
            Self::Container => match &e.incident.container {
                Some(c) => format!("{} ({})", c.label(), c.engine),
                None => "no container".into(),
            },
            Self::Errno => {
                let (what, errno) = e.incident.failure.label();
                if errno.0 == 0 { what } else { format!("{errno}, {}", errno.sentence()) }
            }
            Self::Cause => match e.findings.first() {
                Some(first) => format!("{}: {}", first.cause, first.title),
                None => "unknown".into(),
            },
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Container => "container",
            Self::Errno => "errno",
            Self::Cause => "cause",
        }
    }
}

/// Counts by one of them.
#[derive(Debug)]
pub(super) struct Counts {
    by: By,
    counted: HashMap<String, (u64, Stamp)>,
    changed: bool,
}

impl Counts {
    pub(super) fn new(by: By) -> Self {
        Self { by, counted: HashMap::new(), changed: false }
    }

    pub(super) fn by(&self) -> By {
        self.by
    }

    pub(super) fn add(&mut self, key: &str, more: u64, last: Stamp) {
        if !self.counted.contains_key(key) && self.counted.len() >= MOST_KEPT {
            self.fold_smallest();
        }
        let (count, seen) = self.counted.entry(key.to_owned()).or_default();
        *count += more;
        *seen = last.max(*seen);
        self.changed = true;
    }

    fn fold_smallest(&mut self) {
        let smallest =
            self.counted.iter().filter(|(key, _)| *key != REST).min_by_key(|(_, (count, _))| *count);
        let Some(smallest) = smallest.map(|(key, _)| key.clone()) else { return };
        if let Some((count, last)) = self.counted.remove(&smallest) {
            let (rest, seen) = self.counted.entry(REST.to_owned()).or_default();
            *rest += count;
            *seen = last.max(*seen);
        }
    }

    /// Whether anything was counted since this was asked the last time.
    pub(super) fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// The largest first.
    fn rows(&self) -> Vec<(&str, u64, Stamp)> {
        let mut rows: Vec<_> =
            self.counted.iter().map(|(key, (count, last))| (key.as_str(), *count, *last)).collect();
        rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
        rows
    }

    pub(super) fn table(&self) -> String {
        let rows = self.rows();
        let sum: u64 = rows.iter().map(|row| row.1).sum();
        let mut out =
            format!("{:>12}  {:<8}  {} ({} in all)\n", "failures", "last", self.by.name(), spaced(sum));
        for (key, count, last) in rows.iter().take(MOST_SHOWN) {
            let _ = writeln!(out, "{:>12}  {:<8}  {key}", spaced(*count), render::clock(last.unix_ns));
        }
        if rows.len() > MOST_SHOWN {
            let _ = writeln!(out, "{:>12}  {:<8}  and {} more", "", "", rows.len() - MOST_SHOWN);
        }
        out
    }

    pub(super) fn json(&self) -> serde_json::Value {
        let rows: Vec<_> = self
            .rows()
            .into_iter()
            .map(|(key, count, last)| {
                serde_json::json!({ "key": key, "count": count, "last": render::rfc3339(last.unix_ns) })
            })
            .collect();
        serde_json::json!({ "by": self.by.name(), "counts": rows })
    }
}

#[cfg(test)]
mod tests {
    use super::super::filter::tests::recorded;
    use super::*;

    fn at(unix_ns: i64) -> Stamp {
        Stamp { mono_ns: 0, unix_ns }
    }

    #[test]
    fn a_failure_counts_under_what_was_asked_for() {
        let e = recorded();
        assert_eq!(By::Errno.key(&e), "ENOSPC, No space left on device");
        assert!(By::Cause.key(&e).starts_with("mount-max: "));
        assert!(By::Process.key(&e).contains(&format!("(pid {})", e.incident.failure.task.pid)));
        assert!(By::Container.key(&e).contains(e.incident.container.as_ref().unwrap().label()));
    }

    #[test]
    fn the_largest_comes_first_and_the_sum_is_all() {
        let mut counts = Counts::new(By::Errno);
        counts.add("EPERM", 2, at(1_000_000_000));
        counts.add("ENOSPC", 5, at(2_000_000_000));
        counts.add("EPERM", 1, at(3_000_000_000));
        let table = counts.table();
        let lines: Vec<&str> = table.lines().collect();
        assert!(lines[0].contains("errno (8 in all)"), "{table}");
        assert!(lines[1].ends_with("ENOSPC") && lines[2].contains("00:00:03"), "{table}");
        assert_eq!(counts.json()["counts"][0]["count"], 5);
        assert!(counts.has_news() && !counts.has_news());
    }

    #[test]
    fn keys_beyond_the_bound_are_counted_together() {
        let mut counts = Counts::new(By::Process);
        for n in 0..MOST_KEPT + 10 {
            counts.add(&n.to_string(), 1, at(0));
        }
        assert!(counts.counted.len() <= MOST_KEPT + 1);
        assert_eq!(counts.rows().iter().map(|row| row.1).sum::<u64>(), MOST_KEPT as u64 + 10);
    }
}
