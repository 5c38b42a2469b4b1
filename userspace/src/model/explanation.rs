//! The judgement: what `explain` hands to `render`.

use super::{Chain, Container, Cost, Host, Incident, Loss, Returned, Said};
use serde::{Deserialize, Serialize};

/// How sure a finding is (DESIGN.md's ladder: a wrong `Proven` is the worst bug this program can have).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Confidence {
    /// Syscall and errno fit, no more.
    Possible,
    /// Half of a proof.
    Likely,
    /// The reading of that instant shows it, or the decider's verdict was seen, and every rival is out.
    Proven,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KnobKind {
    Sysctl,
    Cgroup,
    Rlimit,
    MountOption,
    Capability,
    Seccomp,
    Lsm,
    File,
    Other,
}

/// The thing to turn, by the kernel's own name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Knob {
    pub kind: KnobKind,
    pub name: String,
    pub path: String,
}

/// One way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remedy {
    /// `now`, `for good`, `find the leak`, `prevent`.
    pub when: String,
    pub command: String,
    /// What it affects and its risk.
    pub effect: String,
    pub undo: String,
}

/// A cause asserted for an incident, with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub cause: String,
    pub title: String,
    pub confidence: Confidence,
    /// The one sentence an on-call engineer needs.
    pub sentence: String,
    pub knob: Knob,
    pub limit: Option<u64>,
    pub usage: Option<u64>,
    pub unit: String,
    pub evidence: Vec<String>,
    /// What would raise the confidence, when it is below proven.
    pub missing: Vec<String>,
    pub remedy: Vec<Remedy>,
}

/// A way out that was gone where the failure happened, and what the same call then said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// The cause whose way out it was.
    pub cause: String,
    /// The remedy as it is told.
    pub command: String,
    /// What was done of it, and to whom.
    pub done: String,
    /// What the call said just before, and after; `None`: it succeeded.
    pub before: String,
    pub after: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuledOut {
    pub suspect: String,
    pub reading: String,
}

/// The kernel functions between the system call and the one that decided.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Path {
    /// Outermost first; the decider last when it is known.
    pub functions: Vec<String>,
    pub decider: Option<String>,
    /// `return-value`, `difference`, `catalogue`.
    pub decider_method: Option<String>,
    /// Why there is no decider, or how sure it is, in words.
    pub note: Option<String>,
    /// What functions below the call were seen to return, in the order in which they ended. Empty where return
    /// values cannot be had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub returns: Vec<Returned>,
}

/// One incident with its judgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub incident: Incident,
    pub path: Option<Path>,
    /// Best first; empty means unknown.
    pub findings: Vec<Finding>,
    pub ruled_out: Vec<RuledOut>,
    /// For unknown: what would raise the answer.
    pub next: Vec<String>,
    /// What the user was told of it, and how that came about.
    pub chain: Option<Chain>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

/// What there is to judge: all of one question.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Evidence {
    pub host: Host,
    pub container: Option<Container>,
    pub incidents: Vec<Incident>,
    pub loss: Loss,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// What engines, or the command itself, said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub said: Vec<Said>,
    /// Of the command that was watched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
    /// The time of the answer, so that it is the same wherever it is printed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_unix_ns: Option<i64>,
}

/// The whole answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    pub host: Host,
    pub container: Option<Container>,
    /// Most significant first.
    pub incidents: Vec<Explained>,
    pub loss: Loss,
    /// What watching took; `None` when nothing was watched.
    pub cost: Option<Cost>,
}
