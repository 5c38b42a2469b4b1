//! What an administrator demands of a limit, and whether it holds: with its arithmetic, because a threshold that
//! nobody can follow is a threshold that nobody believes.

use super::{Limit, by_id, survey::Standing};
use crate::model::spaced;
use serde::Serialize;
use thiserror::Error;

/// One demand: `fs.mount-max:headroom=20%` or `fs.inotify.max_user_instances>=512`.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    pub limit: &'static Limit,
    pub demand: Demand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// Percent of the ceiling that must be left.
    Headroom(u64),
    /// The ceiling must be that high.
    AtLeast(u64),
}

#[derive(Debug, Error, PartialEq, Eq)]
pub enum RequirementError {
    #[error("{0:?} is no requirement: write NAME:headroom=20% or NAME>=NUMBER")]
    Form(String),
    #[error("no limit is called {name:?}; known: {known}")]
    Unknown { name: String, known: String },
}

/// How a requirement came out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    pub limit: &'static str,
    pub outcome: Holds,
    /// The comparison, in numbers.
    pub arithmetic: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Holds {
    Yes,
    No,
    /// A number that it takes could not be read.
    NotJudged,
}

impl std::str::FromStr for Requirement {
    type Err = RequirementError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let malformed = || RequirementError::Form(text.into());
        let number = |digits: &str| digits.trim().replace(['_', ' '], "").parse().map_err(|_| malformed());
        let (name, demand) = if let Some((name, least)) = text.split_once(">=") {
            (name, Demand::AtLeast(number(least)?))
        } else if let Some((name, percent)) = text.split_once(":headroom=") {
            let percent = number(percent.trim().strip_suffix('%').ok_or_else(malformed)?)?;
            (name, Demand::Headroom(percent))
        } else {
            return Err(malformed());
        };
        let name = name.trim();
        let limit = by_id(name).ok_or_else(|| RequirementError::Unknown {
            name: name.into(),
            known: super::ALL.iter().map(|l| l.id).collect::<Vec<_>>().join(", "),
        })?;
        Ok(Self { limit, demand })
    }
}

impl Requirement {
    pub fn judge(&self, now: &Standing) -> Verdict {
        let name = now.limit;
        let (outcome, arithmetic) = match (self.demand, now.ceiling, now.usage) {
            (Demand::AtLeast(least), Some(ceiling), _) => {
                let holds = ceiling >= least;
                let sign = if holds { "≥" } else { "<" };
                (holds, format!("{name} is {} {sign} {} required", number(ceiling), spaced(least)))
            }
            (Demand::Headroom(percent), Some(ceiling), Some(usage)) => {
                let left = now.headroom.unwrap_or(0);
                let holds = left >= percent;
                let sign = if holds { "≥" } else { "<" };
                let of = if now.owner.is_empty() { String::new() } else { format!(" of {}", now.owner) };
                let sum = format!("({} - {}) / {}", number(ceiling), spaced(usage), number(ceiling));
                (holds, format!("{name}{of}: {sum} = {left} % {sign} {percent} % required"))
            }
            _ => {
                let why = now.unknown.clone().unwrap_or_else(|| "there is no one ceiling for it".into());
                let arithmetic = format!("{name}: {why}");
                return Verdict { limit: name, outcome: Holds::NotJudged, arithmetic };
            }
        };
        Verdict { limit: name, outcome: if outcome { Holds::Yes } else { Holds::No }, arithmetic }
    }
}

fn number(ceiling: u64) -> String {
    if super::survey::is_unlimited(ceiling) { "no limit".into() } else { spaced(ceiling) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now(usage: Option<u64>, ceiling: Option<u64>) -> Standing {
        Standing {
            limit: "fs.file-max",
            title: "",
            ceiling,
            usage,
            unit: "files",
            headroom: usage.zip(ceiling).map(|(u, c)| (c - u) * 100 / c),
            owner: String::new(),
            path: String::new(),
            unknown: usage.is_none().then(|| "hidden".into()),
        }
    }

    #[test]
    fn both_forms_are_understood_and_others_named() {
        let headroom: Requirement = "fs.mount-max:headroom=20%".parse().unwrap();
        assert_eq!((headroom.limit.id, headroom.demand), ("fs.mount-max", Demand::Headroom(20)));
        let least: Requirement = "vm.max_map_count >= 262_144".parse().unwrap();
        assert_eq!(least.demand, Demand::AtLeast(262_144));
        for wrong in ["fs.mount-max", "fs.mount-max:headroom=20", "fs.mount-max>=many"] {
            assert!(matches!(wrong.parse::<Requirement>(), Err(RequirementError::Form(_))), "{wrong}");
        }
        let unknown = "fs.no-such>=1".parse::<Requirement>().unwrap_err().to_string();
        assert!(unknown.contains("fs.mount-max"), "{unknown}");
    }

    #[test]
    fn the_arithmetic_is_in_the_verdict() {
        let requirement: Requirement = "fs.file-max:headroom=20%".parse().unwrap();
        let verdict = requirement.judge(&now(Some(900), Some(1000)));
        assert_eq!(verdict.outcome, Holds::No);
        assert_eq!(verdict.arithmetic, "fs.file-max: (1 000 - 900) / 1 000 = 10 % < 20 % required");
        assert_eq!(requirement.judge(&now(Some(100), Some(1000))).outcome, Holds::Yes);
        assert_eq!(requirement.judge(&now(None, Some(1000))).outcome, Holds::NotJudged);
    }

    #[test]
    fn a_ceiling_is_compared_without_its_usage() {
        let requirement: Requirement = "fs.file-max>=2000".parse().unwrap();
        let verdict = requirement.judge(&now(None, Some(1000)));
        assert_eq!(
            (verdict.outcome, verdict.arithmetic.as_str()),
            (Holds::No, "fs.file-max is 1 000 < 2 000 required")
        );
    }
}
