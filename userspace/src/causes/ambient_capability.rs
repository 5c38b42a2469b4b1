//! A capability cannot be made ambient: the task does not hold it, or may not hand it on.

use super::case::claim::{self, cite_state, knob, step};
use super::case::rights::{CAPABILITIES, identity};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["cap_task_prctl"];
const CALLERS: &[&str] = &["security_task_prctl", "__do_sys_prctl", "__x64_sys_prctl"];
/// PR_CAP_AMBIENT, and PR_CAP_AMBIENT_RAISE in its second argument (linux/prctl.h).
const AMBIENT: u64 = 47;
const RAISE: u64 = 2;
const INHERITABLE: &str = "CapInh";

pub(super) static CAUSE: Cause = Cause {
    slug: "ambient-capability",
    title: "a capability cannot be made ambient",
    about: "\
prctl(2) with PR_CAP_AMBIENT_RAISE fails with EPERM, \"Operation not permitted\" (\"unable to apply caps\", \"can't raise ambient \
capability\", setpriv --ambient-caps). Ambient capabilities are those that a program without root and without file capabilities \
keeps across execve(2), and cap_task_prctl() in security/commoncap.c lets only those be raised that are both permitted and \
inheritable at that time, and none where the secure bits forbid it (SECBIT_NO_CAP_AMBIENT_RAISE).

It surprises since Docker 20.10.14 and its kin: for CVE-2022-24769 engines leave the inheritable set empty, so that an entrypoint \
which raised ambient capabilities for its unprivileged child (AmbientCapabilities=, capsh, su-exec wrappers) is refused, although \
CapPrm shows the capability.",
    shows_as: &[("prctl", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action { about: "empties its inheritable set and raises a capability", risk: "none", variants: &["inheritable"] },
    see: &["capabilities(7), Ambient; PR_CAP_AMBIENT(2const)", "security/commoncap.c: cap_task_prctl()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["prctl"], Errno::EPERM)?;
    let number = |name: &str| case.failure().number_arg(name);
    if number("op")? != AMBIENT || number("arg2")? != RAISE {
        return None;
    }
    let bit = number("arg3").filter(|bit| *bit < 64)?;
    let has = |set: u64| set & (1 << bit) != 0;
    let name = CAPABILITIES.get(bit as usize).copied().unwrap_or("the capability");
    let permitted = identity(case).map(|who| has(who.permitted));
    let inheritable = case.state(INHERITABLE).and_then(|s| u64::from_str_radix(&s.value, 16).ok()).map(has);
    let who = &case.failure().task.comm;
    let (state, sentence) = match (permitted, inheritable) {
        (Some(false), _) => {
            (Some(true), format!("{who} cannot make {name} ambient: it does not hold it (CapPrm)."))
        }
        (_, Some(false)) => {
            (Some(true), format!("{who} cannot make {name} ambient: it is not inheritable (CapInh)."))
        }
        (Some(true), Some(true)) => {
            (None, format!("{who} cannot make {name} ambient: its secure bits forbid it."))
        }
        _ => (
            None,
            format!(
                "{who} cannot make {name} ambient: it is not permitted, not inheritable, or forbidden by secure bits."
            ),
        ),
    };
    let mut weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    if state.is_none() && weighed.confidence == Confidence::Possible {
        weighed.confidence = Confidence::Likely;
    }
    let sets = identity(case)
        .map(|who| format!("{} ms after it CapPrm was {:016x}", who.after_ns / 1_000_000, who.permitted));
    let path = format!("/proc/{}/status", case.failure().task.pid);
    Some(
        weighed
            .proof(case, DECIDERS, sentence, knob(KnobKind::Capability, name, path))
            .because(sets.into_iter().chain(cite_state(case, INHERITABLE))),
    )
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let name = proof.knob.name.as_str();
    let lower = name.to_lowercase();
    let short = name.trim_start_matches("CAP_");
    vec![
        step(
            "now",
            format!(
                "docker run --cap-add {short} …, and in the program put {name} into the inheritable set first (capset(2))"
            ),
            "a capability that is permitted may be made inheritable by the task itself; setpriv --inh-caps +… does so",
            "start it without the option",
        ),
        step(
            "for good",
            format!("setcap {lower}+ep PROGRAM in the image"),
            "the program's file brings the capability then, and no ambient set is needed; not with no_new_privs",
            "setcap -r PROGRAM",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, judge_with, state, valued};
    use crate::model::{Fact, Identity};

    fn raised(op: u64, how: u64, permitted: u64, inheritable: &str) -> Option<(Confidence, String)> {
        let mut i = by_user(
            valued("prctl", Errno::EPERM, &[("op", op), ("arg2", how), ("arg3", 13)], &[], vec![]),
            0,
            0,
        );
        for fact in &mut i.facts {
            if let Fact::Identity(who) = fact {
                **who = Identity { permitted, ..(**who).clone() };
            }
        }
        i.facts.push(state(INHERITABLE, "", inheritable));
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.sentence))
    }

    #[test]
    fn the_set_that_lacks_it_is_named() {
        let (confidence, sentence) = raised(AMBIENT, RAISE, 1 << 13, "0").unwrap();
        assert_eq!(confidence, Confidence::Proven);
        assert!(sentence.contains("CAP_NET_RAW") && sentence.contains("CapInh"), "{sentence}");
        assert!(raised(AMBIENT, RAISE, 0, "2000").unwrap().1.contains("CapPrm"));
        assert_eq!(raised(AMBIENT, RAISE, 1 << 13, "2000").unwrap().0, Confidence::Likely);
    }

    #[test]
    fn other_operations_are_not_claimed() {
        assert_eq!(raised(AMBIENT, 3, 0, "0"), None);
        assert_eq!(raised(24, RAISE, 0, "0"), None);
    }
}
