//! A soft resource limit above the hard one that was given with it.

use super::case::{ceiling::Ceiling, remedies, switch::FILTER};
use super::{Case, Cause, Fault, Proof};
use crate::limits::priorities::SOFT_LIMIT;
use crate::model::{ArgValue, Errno, Knob, KnobKind, Reading, Remedy, spaced};

const CEILING: Ceiling = Ceiling {
    limit: &SOFT_LIMIT,
    deciders: &["do_prlimit"],
    callers: &["__x64_sys_prlimit64", "__do_sys_prlimit64", "__x64_sys_setrlimit", "__do_sys_setrlimit"],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "rlimit-order",
    title: "a soft resource limit may not be above its hard one",
    about: "\
setrlimit(2) or prlimit(2) fails with EINVAL, \"Invalid argument\": do_prlimit() in kernel/sys.c takes no pair in which the soft limit \
is above the hard one, from nobody. \"ulimit -Hn 1024\" below a soft limit of 4096, --ulimit nofile=4096:1024, a profile that sets one \
of the two only, or a program that raises its soft limit to a number it was compiled with while the engine handed on a lower hard \
limit. It is no matter of rights: the errno for a hard limit that would go up is EPERM.",
    shows_as: &[("prlimit64", "EINVAL"), ("setrlimit", "EINVAL")],
    deciders: CEILING.deciders,
    reads: &[&SOFT_LIMIT],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a soft limit above the hard one",
        risk: "none: it is refused",
        variants: &["soft"],
    },
    see: &["getrlimit(2), EINVAL", "kernel/sys.c: do_prlimit()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["prlimit64", "setrlimit"], Errno::EINVAL)?;
    // An unknown resource says the same.
    case.reading(&SOFT_LIMIT).and_then(Reading::exceeded).filter(|over| *over)?;
    let judged = CEILING.judge(case)?;
    let (soft, hard) = judged.numbers();
    let name = case.failure().args().iter().find(|a| a.name == "resource").and_then(|a| match &a.value {
        ArgValue::Flags { words, .. } => Some(words.clone()),
        _ => None,
    })?;
    let sentence = format!(
        "{} asked for {name} with a soft limit of {soft} above the hard one of {hard}.",
        case.failure().task.comm
    );
    let mut proof = judged.proof(case, &CEILING, sentence);
    proof.knob =
        Knob { kind: KnobKind::Rlimit, name, path: format!("/proc/{}/limits", case.failure().task.pid) };
    Some(proof)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let short = proof.knob.name.trim_start_matches("RLIMIT_").to_lowercase();
    let soft = case.reading(&SOFT_LIMIT).and_then(|r| r.adds).unwrap_or(0);
    vec![
        remedies::step(
            "now",
            &format!("docker run --ulimit {short}={soft}:{soft} …"),
            "the hard limit that the container begins with then is what its program asks for; for a unit LimitXXX=SOFT:HARD",
            "start it without the option",
        ),
        remedies::step(
            "for good",
            &format!("ask for {} at most", proof.limit.map_or_else(|| "the hard limit".into(), spaced)),
            "read the hard limit first (getrlimit(2)) and take the lower of both",
            "none needed",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{argument, judge_with, over, valued};
    use crate::model::Confidence;

    fn judged(errno: Errno, readings: Vec<Reading>) -> Option<(Confidence, String)> {
        let mut i = valued("prlimit64", errno, &[], &[], readings);
        argument(&mut i, "resource", ArgValue::Flags { raw: 7, words: "RLIMIT_NOFILE".into() });
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
    }

    #[test]
    fn a_soft_limit_above_the_hard_one_is_proven() {
        let pair = |soft, hard| vec![over(&SOFT_LIMIT, 0, hard, soft)];
        assert_eq!(judged(Errno::EINVAL, pair(200, 100)), Some((Confidence::Proven, "RLIMIT_NOFILE".into())));
        assert_eq!(judged(Errno::EINVAL, pair(100, 100)), None);
        assert_eq!(judged(Errno::EINVAL, vec![]), None);
        assert_eq!(judged(Errno::EPERM, pair(200, 100)), None);
    }
}
