//! The judgement of a state: a switch, a rule, an argument that leaves the kernel one answer only.

use super::{Case, Proof};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

/// What a state says, held against the decider that was seen.
pub(in crate::causes) struct Weighed {
    pub(in crate::causes) confidence: Confidence,
    pub(in crate::causes) missing: Vec<String>,
}

/// `state`: whether the one state that yields this errno was there; `None` where it was not read. Functions of
/// `callers` contradict nothing as deciders: they only hand the errno up, or have the decider inlined.
///
/// `None` when the evidence refutes it.
pub(in crate::causes) fn weigh(
    case: &Case<'_>,
    deciders: &[&str],
    callers: &[&str],
    state: Option<bool>,
) -> Option<Weighed> {
    let elsewhere =
        case.decided_elsewhere(deciders).filter(|f| !callers.contains(&crate::model::base_name(f)));
    let seen = case.verdict(deciders).is_some();
    let (confidence, why) = match (state, seen, elsewhere) {
        (Some(false), ..) | (None, _, Some(_)) => return None,
        (Some(true), _, Some(other)) => {
            (Confidence::Likely, Some(format!("the kernel path points to {other} instead")))
        }
        (Some(true), _, None) => (Confidence::Proven, None),
        (None, true, None) => {
            (Confidence::Likely, Some("the state it is about: it could not be read again".into()))
        }
        (None, false, None) => {
            (Confidence::Possible, Some("the state it is about, or the function that decided".into()))
        }
    };
    Some(Weighed { confidence, missing: why.into_iter().collect() })
}

impl Weighed {
    /// The proof without numbers, with the decider that was seen as its first evidence.
    pub(in crate::causes) fn proof(
        self,
        case: &Case<'_>,
        deciders: &[&str],
        sentence: String,
        knob: Knob,
    ) -> Proof {
        let seen = case.verdict(deciders).map(|v| format!("{} said no (found by {})", v.function, v.method));
        Proof {
            confidence: self.confidence,
            sentence,
            knob,
            limit: None,
            usage: None,
            unit: String::new(),
            evidence: seen.into_iter().collect(),
            missing: self.missing,
        }
    }
}

impl Proof {
    /// Adds evidence.
    pub(in crate::causes) fn because(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.evidence.extend(lines);
        self
    }

    /// At most this sure, and why.
    pub(in crate::causes) fn at_most(mut self, confidence: Confidence, why: &str) -> Self {
        if self.confidence > confidence {
            self.confidence = confidence;
            self.missing.push(why.into());
        }
        self
    }
}

pub(in crate::causes) fn knob(kind: KnobKind, name: &str, path: impl Into<String>) -> Knob {
    Knob { kind, name: name.into(), path: path.into() }
}

pub(in crate::causes) fn step(
    when: &str,
    command: impl Into<String>,
    effect: &str,
    undo: impl Into<String>,
) -> Remedy {
    Remedy { when: when.into(), command: command.into(), effect: effect.into(), undo: undo.into() }
}

/// A way out that only looks.
pub(in crate::causes) fn look(command: impl Into<String>, effect: &str) -> Remedy {
    step("find it", command, effect, "reads only")
}

/// How a state that was read again is cited.
pub(in crate::causes) fn cite_state(case: &Case<'_>, name: &str) -> Option<String> {
    let s = case.state(name)?;
    let of = if s.of.is_empty() { String::new() } else { format!(" ({})", s.of) };
    let value = if s.value.is_empty() { "empty".into() } else { s.value.replace('\n', ", ") };
    Some(format!("{} ms after it {name}{of}: {value}, from {}", s.after_ns / 1_000_000, s.source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::incident;
    use crate::model::{Errno, Path};

    fn weighed(state: Option<bool>, decider: Option<&str>) -> Option<Confidence> {
        let incident = incident("unshare", Errno::EPERM, vec![]);
        let path = decider.map(|name| Path {
            decider: Some(name.into()),
            decider_method: Some("return-value".into()),
            ..Path::default()
        });
        weigh(&Case { incident: &incident, path: path.as_ref() }, &["a"], &["b"], state).map(|w| w.confidence)
    }

    #[test]
    fn the_state_proves_and_another_decider_refutes() {
        assert_eq!(weighed(Some(true), None), Some(Confidence::Proven));
        assert_eq!(weighed(Some(true), Some("a")), Some(Confidence::Proven));
        assert_eq!(weighed(Some(true), Some("b.isra.0")), Some(Confidence::Proven));
        assert_eq!(weighed(Some(true), Some("c")), Some(Confidence::Likely));
        assert_eq!(weighed(None, Some("a")), Some(Confidence::Likely));
        assert_eq!(weighed(None, None), Some(Confidence::Possible));
        assert_eq!(weighed(None, Some("c")), None);
        assert_eq!(weighed(Some(false), Some("a")), None);
    }
}
