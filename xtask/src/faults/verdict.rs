//! What became of one fault, read from what a guest printed about it.

use serde_json::{Value, json};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Verdict {
    /// Its own cause came first, this sure.
    Own(String),
    /// Something else did.
    Other(String),
    /// The kernel did not refuse, or the fault cannot be provoked there.
    NotHere(String),
    /// diag failed or did not answer in time, or the guest died.
    Lost(String),
}

impl Verdict {
    pub(super) fn is_wrong(&self) -> bool {
        matches!(self, Self::Other(_) | Self::Lost(_))
    }

    pub(super) fn to_json(&self) -> Value {
        match self {
            Self::Own(text) => json!({ "own": text }),
            Self::Other(text) => json!({ "other": text }),
            Self::NotHere(text) => json!({ "not here": text }),
            Self::Lost(text) => json!({ "lost": text }),
        }
    }

    pub(super) fn of_json(value: &Value) -> Option<Self> {
        let (kind, text) = value.as_object()?.iter().next()?;
        let text = text.as_str()?.to_owned();
        Some(match kind.as_str() {
            "own" => Self::Own(text),
            "other" => Self::Other(text),
            "not here" => Self::NotHere(text),
            "lost" => Self::Lost(text),
            _ => return None,
        })
    }

    /// Of diag's JSON document, of its exit code, and of the last complaint on stderr: the fault's own when there is a
    /// document, else diag's.
    pub(super) fn of(cause: &str, document: &str, code: i32, complaint: &str) -> Self {
        let complaint = complaint.trim().trim_start_matches("diag: ").to_owned();
        let Ok(answer) = serde_json::from_str::<Value>(document.trim()) else {
            return Self::Lost(match (complaint.is_empty(), code) {
                (true, TERMINATED | KILLED | TIMED_OUT) => "not done in time".to_owned(),
                (true, code) => format!("no answer, exit code {code}"),
                (false, _) => complaint,
            });
        };
        if !complaint.is_empty() {
            return Self::NotHere(complaint);
        }
        let finding = &answer["incidents"][0]["findings"][0];
        match (finding["cause"].as_str(), finding["confidence"].as_str()) {
            (Some(first), Some(sure)) if first == cause => Self::Own(sure.to_owned()),
            (Some(first), Some(sure)) => Self::Other(format!("{first}, {sure}")),
            _ if answer["incidents"].as_array().is_none_or(Vec::is_empty) => {
                Self::Other("nothing seen".to_owned())
            }
            _ => Self::Other("unknown".to_owned()),
        }
    }
}

/// How timeout(1) ends: as the program did, 128 with its signal, or by its own.
const TERMINATED: i32 = 143;
const KILLED: i32 = 137;
const TIMED_OUT: i32 = 124;

#[cfg(test)]
mod tests {
    use super::*;

    const PIDS: &str = r#"{"incidents":[{"findings":[{"cause":"pids-max","confidence":"proven"}]}]}"#;

    #[test]
    fn the_first_finding_counts() {
        assert_eq!(Verdict::of("pids-max", PIDS, 1, ""), Verdict::Own("proven".to_owned()));
        assert_eq!(Verdict::of("pid-max", PIDS, 1, ""), Verdict::Other("pids-max, proven".to_owned()));
        let unknown = r#"{"incidents":[{"findings":[]}]}"#;
        assert_eq!(Verdict::of("pid-max", unknown, 1, ""), Verdict::Other("unknown".to_owned()));
        let nothing = r#"{"incidents":[]}"#;
        assert_eq!(Verdict::of("pid-max", nothing, 0, ""), Verdict::Other("nothing seen".to_owned()));
    }

    #[test]
    fn a_fault_that_could_not_be_made_is_no_wrong_answer_and_a_failed_diag_is() {
        let not_here = Verdict::of("pids-max", PIDS, 1, "diag: no such thing here\n");
        assert_eq!(not_here, Verdict::NotHere("no such thing here".to_owned()));
        assert!(!not_here.is_wrong());
        let lost = Verdict::of("pids-max", "", 2, "diag: cannot load probes");
        assert_eq!(lost, Verdict::Lost("cannot load probes".to_owned()));
        assert_eq!(Verdict::of("pids-max", "", 143, ""), Verdict::Lost("not done in time".to_owned()));
        assert!(lost.is_wrong());
    }

    #[test]
    fn what_is_kept_is_read_again() {
        for verdict in [
            Verdict::Own("likely".to_owned()),
            Verdict::Other("unknown".to_owned()),
            Verdict::NotHere("why".to_owned()),
            Verdict::Lost("how".to_owned()),
        ] {
            assert_eq!(Verdict::of_json(&verdict.to_json()), Some(verdict));
        }
        assert_eq!(Verdict::of_json(&json!("own")), None);
    }
}
