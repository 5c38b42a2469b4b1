//! The judgement of a switch: a sysctl that forbids something to whoever lacks a capability.
//!
//! Its value and the task's capabilities were read before the call returned, or the value was read again. When the
//! switch forbids it and no capability exempts the task, the kernel had to refuse: that state is sufficient. What may
//! have answered before the kernel looked is a seccomp filter, which [`filter_stands`] asks about.

use super::{Case, Proof};
use crate::causes::Rival;
use crate::model::{Confidence, Fact, Knob, KnobKind};

/// A switch of the kernel, and who is exempt.
pub(in crate::causes) struct Switch {
    /// The sysctl: `kernel.dmesg_restrict`.
    pub(in crate::causes) name: &'static str,
    /// Capabilities of which one is enough, as bits; 0 when none helps.
    pub(in crate::causes) exempt: u64,
    /// Their names, for the answer.
    pub(in crate::causes) exempts: &'static str,
    /// Functions whose "no" with this errno is the switch's.
    pub(in crate::causes) deciders: &'static [&'static str],
    /// Functions that hand it up, or in which it may be inlined.
    pub(in crate::causes) callers: &'static [&'static str],
}

impl Switch {
    /// `None` when the switch allows it, the task is exempt, or another function is known to have refused.
    pub(in crate::causes) fn judge(
        &self,
        case: &Case<'_>,
        forbids: impl Fn(u64) -> bool,
        sentence: String,
    ) -> Option<Proof> {
        let value = case.value(self.name);
        let capable = if self.exempt == 0 { Some(false) } else { case.capable(self.exempt) };
        let seen = case.verdict(self.deciders);
        let elsewhere = case.decided_elsewhere(self.deciders).filter(|f| !self.callers.contains(f));
        let forbidden = value.map(forbids);
        if forbidden == Some(false) || capable == Some(true) {
            return None;
        }
        let mut missing = Vec::new();
        let confidence = match (forbidden, capable, elsewhere) {
            (Some(true), Some(false), None) => Confidence::Proven,
            (None, _, Some(_)) => return None,
            (Some(_), _, Some(other)) => {
                missing.push(format!("the kernel path points to {other} instead"));
                Confidence::Likely
            }
            (None, _, None) if seen.is_some() => Confidence::Likely,
            (Some(_), None, None) => Confidence::Likely,
            _ => Confidence::Possible,
        };
        if value.is_none() {
            missing.push(format!("the value of {} at that instant", self.name));
        }
        if capable.is_none() {
            missing.push(format!("whether the task had {}", self.exempts));
        }
        let mut evidence: Vec<String> =
            value.map(|v| format!("{} was {}", self.name, v as u32 as i32)).into_iter().collect();
        if capable == Some(false) && self.exempt != 0 {
            evidence.push(format!("the task had no {} in the first user namespace", self.exempts));
        }
        if let Some(verdict) = seen {
            evidence.push(format!("{} said no (found by {})", verdict.function, verdict.method));
        }
        let path = format!("/proc/sys/{}", self.name.replace('.', "/"));
        let knob = Knob { kind: KnobKind::Sysctl, name: self.name.into(), path };
        Some(Proof {
            confidence,
            sentence,
            knob,
            limit: None,
            usage: value,
            unit: String::new(),
            evidence,
            missing,
        })
    }
}

/// The rival of every refusal: a filter that answered before the kernel did.
pub(in crate::causes) const FILTER: Rival = Rival {
    name: "a seccomp filter",
    ruled_out_by: "no filters on the task at that instant, filters that allow the call, or a path inside the kernel",
    stands: filter_stands,
};

/// `SECCOMP_RET_ALLOW` and `SECCOMP_RET_LOG` (linux/seccomp.h): everything from here on lets the call through.
const LETS_THROUGH: u32 = 0x7ffc_0000;

fn filter_stands(case: &Case<'_>) -> Option<String> {
    let entered = case.path.is_some_and(|p| !p.functions.is_empty());
    if entered || case.failure().task.filters.is_some_and(|f| f.mode == 0) {
        return None;
    }
    let answers = case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Seccomp(s) if s.unread.is_none() && s.filters == Some(s.answers.len() as u64) => {
            Some(&s.answers)
        }
        _ => None,
    });
    match answers {
        Some(all) if all.iter().all(|a| a.value >= LETS_THROUGH && a.value < 0x8000_0000) => None,
        Some(_) => Some("a seccomp filter of the task refuses the call".into()),
        None => Some("the task may have a seccomp filter that refuses the call".into()),
    }
}
