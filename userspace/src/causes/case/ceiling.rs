//! The judgement that most causes share: a number that had reached its ceiling.

use super::{Case, Proof};
use crate::limits::Limit;
use crate::model::{Confidence, Knob, Reading, Taken, spaced};

/// A limit, and the kernel functions that hold a number against it.
pub(in crate::causes) struct Ceiling {
    pub(in crate::causes) limit: &'static Limit,
    /// Functions whose "no" is this limit's and nothing else's.
    pub(in crate::causes) deciders: &'static [&'static str],
    /// Functions in which the comparison stands where the compiler inlined it, and those that only hand the errno
    /// up: as deciders they contradict nothing.
    pub(in crate::causes) callers: &'static [&'static str],
}

/// What the evidence says of a ceiling.
pub(in crate::causes) struct Judged<'a> {
    pub(in crate::causes) confidence: Confidence,
    /// The reading that shows the ceiling reached; `None` where no reading does.
    pub(in crate::causes) reached: Option<&'a Reading>,
    pub(in crate::causes) missing: Vec<String>,
}

impl Ceiling {
    /// `None` when the evidence refutes it: there was room, or another function decided and no reading contradicts.
    ///
    /// Proven takes a reading of that instant that shows the overflow, or one taken afterwards together with the
    /// decider's own verdict. Whether rivals are ruled out is the cause's to say.
    pub(in crate::causes) fn judge<'a>(&'a self, case: &Case<'a>) -> Option<Judged<'a>> {
        let reading = case.reading(self.limit);
        let exceeded = reading.and_then(Reading::exceeded);
        let seen = case.verdict(self.deciders).is_some();
        let elsewhere = case.decided_elsewhere(self.deciders).filter(|f| !self.callers.contains(f));
        let at_instant = reading.is_some_and(|r| r.taken == Taken::AtInstant);
        let mut missing = Vec::new();
        let confidence = match (exceeded, seen, elsewhere) {
            (Some(false) | None, _, Some(_)) => return None,
            (Some(false), false, None) => return None,
            (Some(true), _, Some(other)) => {
                missing.push(format!("the kernel path points to {other} instead"));
                Confidence::Likely
            }
            (Some(true), _, None) if at_instant || seen => Confidence::Proven,
            (Some(true), ..) => {
                missing.push(format!("{} was read after the call, not at that instant", self.limit.id));
                Confidence::Likely
            }
            (_, true, _) => {
                missing.push(format!("a reading that shows {} reached", self.limit.id));
                Confidence::Likely
            }
            (None, ..) => {
                missing.push(format!("{} and what was used of it, at that instant", self.limit.id));
                Confidence::Possible
            }
        };
        Some(Judged { confidence, reached: reading.filter(|_| exceeded == Some(true)), missing })
    }
}

impl Judged<'_> {
    /// What was used and what is allowed, in words; what one call asked for where nothing counts what is used.
    pub(in crate::causes) fn numbers(&self) -> (String, String) {
        let word = |n: Option<String>| n.unwrap_or_else(|| "an unknown number".into());
        let used = self.reached.and_then(|r| match (r.usage?, r.adds) {
            (0, Some(asked)) => Some(spaced(asked)),
            // Without what the call asked for, the first number would be below the ceiling.
            (used, Some(asked)) if asked > 1 => Some(format!("{} + {}", spaced(used), spaced(asked))),
            (used, _) => Some(spaced(used)),
        });
        (word(used), word(self.reached.and_then(|r| r.ceiling).map(spaced)))
    }

    /// The proof, with the reading and the seen decider as its evidence.
    pub(in crate::causes) fn proof(self, case: &Case<'_>, ceiling: &Ceiling, sentence: String) -> Proof {
        let limit = ceiling.limit;
        let mut evidence: Vec<String> = case.reading(limit).map(cite).into_iter().collect();
        if let Some(verdict) = case.verdict(ceiling.deciders) {
            evidence.push(format!("{} said no (found by {})", verdict.function, verdict.method));
        }
        Proof {
            confidence: self.confidence,
            sentence,
            knob: Knob { kind: limit.kind, name: limit.id.into(), path: limit.path() },
            limit: self.reached.and_then(|r| r.ceiling),
            usage: self.reached.and_then(|r| r.usage),
            unit: limit.unit.into(),
            evidence,
            missing: self.missing,
        }
    }
}

/// How a reading is cited.
pub(in crate::causes) fn cite(r: &Reading) -> String {
    let when = match r.taken {
        Taken::AtInstant => "at that instant".to_string(),
        Taken::After { ns } => format!("{} ms after it", ns / 1_000_000),
    };
    let number = |n: Option<u64>| match n {
        Some(n) if n >= i64::MAX as u64 => "no limit".into(),
        Some(n) => spaced(n),
        None => "unknown".into(),
    };
    let hits = r.hits.map_or_else(String::new, |h| format!("; refusals counted there: {}", spaced(h)));
    let at = if r.scope.is_empty() { String::new() } else { format!(" of {}", r.scope) };
    let asked = match r.adds {
        Some(more) if more > 1 => format!(", {} more asked for", spaced(more)),
        _ => String::new(),
    };
    format!(
        "{when} {}{at}: {} used{asked}, {} allowed{hits} ({})",
        r.limit,
        number(r.usage),
        number(r.ceiling),
        r.source
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, reading};
    use crate::limits::tasks::PIDS_MAX;
    use crate::model::{Errno, Incident, Path};

    const CEILING: Ceiling =
        Ceiling { limit: &PIDS_MAX, deciders: &["pids_can_fork"], callers: &["copy_process"] };

    fn judged(usage: Option<u64>, taken: Taken, decider: Option<&str>) -> Option<Confidence> {
        let readings = usage.map(|used| Reading { taken, ..reading(&PIDS_MAX, used, 10) });
        let incident: Incident = incident("clone", Errno::EAGAIN, readings.into_iter().collect());
        let path = decider.map(|name| Path {
            functions: vec![name.into()],
            decider: Some(name.into()),
            decider_method: Some("return-value".into()),
            ..Path::default()
        });
        CEILING.judge(&Case { incident: &incident, path: path.as_ref() }).map(|j| j.confidence)
    }

    #[test]
    fn an_overflow_at_the_instant_or_with_the_decider_is_proven() {
        let after = Taken::After { ns: 1 };
        assert_eq!(judged(Some(10), Taken::AtInstant, None), Some(Confidence::Proven));
        assert_eq!(judged(Some(10), after, None), Some(Confidence::Likely));
        assert_eq!(judged(Some(10), after, Some("pids_can_fork")), Some(Confidence::Proven));
        assert_eq!(judged(Some(10), Taken::AtInstant, Some("copy_process")), Some(Confidence::Proven));
        assert_eq!(judged(None, after, Some("pids_can_fork")), Some(Confidence::Likely));
        assert_eq!(judged(None, after, None), Some(Confidence::Possible));
    }

    #[test]
    fn what_the_call_asked_for_is_said_where_only_it_is_over_the_ceiling() {
        let asked = Reading { adds: Some(8), ..reading(&PIDS_MAX, 3, 10) };
        assert!(cite(&asked).contains("3 used, 8 more asked for, 10 allowed"), "{}", cite(&asked));
        let incident = incident("clone", Errno::EAGAIN, vec![asked]);
        let judged = CEILING.judge(&Case { incident: &incident, path: None }).unwrap();
        assert_eq!(judged.numbers(), ("3 + 8".into(), "10".into()));
    }

    #[test]
    fn room_or_another_decider_refutes_it() {
        assert_eq!(judged(Some(3), Taken::AtInstant, None), None);
        assert_eq!(judged(None, Taken::AtInstant, Some("alloc_pid")), None);
        assert_eq!(judged(Some(10), Taken::AtInstant, Some("alloc_pid")), Some(Confidence::Likely));
    }
}
