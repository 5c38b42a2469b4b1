//! Judgement: what the evidence of an incident proves, and what it does not.
//!
//! Order: the kernel path and its decider, then every cause of the catalogue, then the ranking. An
//! incident that no cause claims is a first-class answer of its own ([`unknown`]).

mod chain;
pub mod compared;
pub mod decider;
mod kernel_path;
pub mod picture;
pub mod rank;
mod unknown;

use crate::causes::{self, Case};
use crate::model::{
    Confidence, Evidence, Explained, Explanation, Finding, Host, Incident, KnobKind, RuledOut,
};

/// How a decider may be looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeciderMethod {
    ReturnValue,
    Difference,
}

/// What the user asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Answer without the catalogue of causes: path and decider only.
    pub no_catalogue: bool,
    /// Use this rung of the ladder alone.
    pub decider: Option<DeciderMethod>,
}

/// Judges one incident.
pub fn explain_one(incident: Incident, options: Options) -> Explained {
    let path = kernel_path::of(&incident, options);
    let findings = if options.no_catalogue {
        Vec::new()
    } else {
        let case = Case { incident: &incident, path: path.as_ref() };
        let never_entered = incident.never_entered();
        let possible = causes::ALL.iter().filter(|cause| !never_entered || cause.answers_before_entry());
        let mut found: Vec<_> = possible.filter_map(|cause| cause.judge(&case)).collect();
        found.sort_by_key(|f| std::cmp::Reverse(f.confidence));
        once_per_capability(found).into_iter().map(|finding| as_seen(finding, &incident.host)).collect()
    };
    let ruled_out = incident
        .suspects
        .iter()
        .filter(|s| s.guilty == Some(false))
        .map(|s| RuledOut { suspect: s.what.clone(), reading: s.reading.clone() })
        .collect();
    let next = if findings.is_empty() { unknown::next(&incident, path.as_ref()) } else { Vec::new() };
    Explained { incident, path, findings, ruled_out, next, chain: None }
}

/// Causes of one subsystem and the table of capabilities may name the same one: the surest is told, once.
fn once_per_capability(found: Vec<Finding>) -> Vec<Finding> {
    let mut out: Vec<Finding> = Vec::with_capacity(found.len());
    for finding in found {
        let again =
            finding.knob.kind == KnobKind::Capability && out.iter().any(|f| f.knob.name == finding.knob.name);
        if !again {
            out.push(finding);
        }
    }
    out
}

/// After the fact nothing is proven: what is read now may have been otherwise.
fn as_seen(mut finding: Finding, host: &Host) -> Finding {
    if !host.capture.errno_watch.is_yes() && finding.confidence == Confidence::Proven {
        finding.confidence = Confidence::Likely;
        finding.missing.push("readings of that instant: no watch was running".into());
    }
    finding
}

/// Judges all incidents of one question and puts the most significant first.
pub fn explain(evidence: Evidence, options: Options) -> Explanation {
    let blank = chain::blank(&evidence);
    let Evidence { host, container, incidents, loss, cost, said, .. } = evidence;
    let mut explained: Vec<_> = incidents.into_iter().map(|i| explain_one(i, options)).collect();
    rank::sort(&mut explained);
    chain::attach(said, &mut explained, &blank);
    Explanation { host, container, incidents: explained, loss, cost }
}
