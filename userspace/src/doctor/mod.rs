//! Can diag work here: each check tries the thing itself and keeps the reason of a "no".

mod checks;

use serde::Serialize;
use std::path::Path;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Yes,
    /// diag works without it; the answer is poorer.
    Less,
    /// diag cannot do its main job.
    No,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub what: &'static str,
    pub verdict: Verdict,
    pub detail: String,
    /// What is lost without it.
    pub costs: &'static str,
    /// What would help; empty when nothing is needed.
    pub help: String,
}

/// Runs every check; `journal` is where `diag watch` would write.
pub fn examine(journal: &Path) -> Vec<Check> {
    checks::ALL.iter().flat_map(|check| check(journal)).collect()
}
