//! SCHED_DEADLINE reserves processor time, and there is not so much left.

use super::case::claim::{cite_state, knob, look, step};
use super::case::remedies;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, KnobKind, Remedy, number_list, spaced};

const DEADLINE: u64 = 6;
/// Who hands the overflow on: sched_dl_overflow() itself says only yes or no.
const DECIDERS: &[&str] = &["__sched_setscheduler", "sched_dl_overflow"];
const CALLERS: &[&str] =
    &["__do_sys_sched_setattr", "__x64_sys_sched_setattr", "sched_setattr", "_sched_setscheduler"];
/// `BW_SHIFT` (kernel/sched/sched.h): one whole processor.
const WHOLE: u64 = 1 << 20;
const MICROSECONDS: u64 = 1_000_000;
const UNIT: &str = "microseconds per second";

pub(super) static CAUSE: Cause = Cause {
    slug: "deadline-bandwidth",
    title: "no processor time is left to reserve for a deadline task (kernel.sched_rt_runtime_us)",
    about: "\
sched_setattr(2) with SCHED_DEADLINE (chrt --deadline) fails with EBUSY, \"Device or resource busy\", on an idle machine. Such a \
task reserves runtime in each period, whether it uses it or not. sched_dl_overflow() in kernel/sched/deadline.c adds the shares \
of all deadline tasks of the root domain and admits a new one only while the sum stays below kernel.sched_rt_runtime_us of \
kernel.sched_rt_period_us for each processor: 95 % by default. Since 6.8 the kernel reserves 5 % of each processor itself, for \
ordinary tasks.

It surprises because no device is at work and no processor is busy: what counts is promised, by whatever container. Changing the \
two sysctls to less than what is promised fails with EBUSY as well.",
    shows_as: &[("sched_setattr", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for all of a processor's time, in as many threads as it takes",
        risk: "none: what was promised to this process ends with it; it stays idle",
        variants: &["full"],
    },
    see: &[
        "sched(7), SCHED_DEADLINE",
        "https://docs.kernel.org/scheduler/sched-deadline.html#deadline-task-scheduling",
        "kernel/sched/deadline.c: sched_dl_overflow(); kernel/sched/sched.h: __dl_overflow()",
    ],
};

/// All in microseconds per second, as the kernel adds them up.
struct Shares {
    most: u64,
    promised: u64,
    asked: u64,
}

fn shares(case: &Case<'_>) -> Option<Shares> {
    let (runtime, period) = (case.value("sched_attr runtime")?, period(case)?);
    let processors = number_list(&case.state("processors online")?.value)?.len() as u64;
    let (each, promised) = case.state("deadline bandwidth")?.value.split_once(' ')?;
    let each: u64 = each.parse().ok()?;
    let promised: u64 = promised.parse().ok()?;
    let scaled = |share: u64| share.saturating_mul(MICROSECONDS) / WHOLE;
    Some(Shares {
        most: scaled(each.checked_mul(processors)?),
        promised: scaled(promised),
        asked: u64::try_from(u128::from(runtime) * u128::from(MICROSECONDS) / u128::from(period)).ok()?,
    })
}

/// Without a period it is the deadline (`to_ratio()` in sched_dl_overflow()).
fn period(case: &Case<'_>) -> Option<u64> {
    let period = case.value("sched_attr period")?;
    if period == 0 { case.value("sched_attr deadline").filter(|d| *d > 0) } else { Some(period) }
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["sched_setattr"], Errno::EBUSY)?;
    let (policy, shares) = (case.value("sched_attr policy"), shares(case));
    let over = shares.as_ref().map(|s| s.promised + s.asked > s.most);
    let elsewhere = case.decided_elsewhere(DECIDERS).filter(|f| !CALLERS.contains(f));
    let mut missing = Vec::new();
    // Nothing else gives this call this errno, so it is likely in any case (kernel/sched/syscalls.c).
    let confidence = match (policy, over, elsewhere) {
        (Some(DEADLINE), Some(true), None) => Confidence::Proven,
        (_, _, Some(other)) => {
            missing.push(format!("the kernel path points to {other} instead"));
            Confidence::Possible
        }
        _ => {
            missing.push(
                "what is promised to deadline tasks (/sys/kernel/debug/sched/debug), at that instant".into(),
            );
            Confidence::Likely
        }
    };
    let who = &case.failure().task.comm;
    let reached = shares.filter(|_| over == Some(true));
    let sentence = match &reached {
        Some(s) => format!(
            "{who} wants {} microseconds of every second reserved; of {} that may be, {} are promised.",
            spaced(s.asked),
            spaced(s.most),
            spaced(s.promised)
        ),
        None => format!("{who} wants more processor time reserved than is left to promise."),
    };
    let lines = [
        "deadline bandwidth",
        "processors online",
        "kernel.sched_rt_runtime_us",
        "kernel.sched_rt_period_us",
    ];
    let seen = case.verdict(DECIDERS).map(|v| format!("{} said no (found by {})", v.function, v.method));
    Some(Proof {
        confidence,
        sentence,
        knob: knob(KnobKind::Sysctl, "kernel.sched_rt_runtime_us", "/proc/sys/kernel/sched_rt_runtime_us"),
        limit: reached.as_ref().map(|s| s.most),
        usage: reached.as_ref().map(|s| s.promised),
        unit: UNIT.into(),
        evidence: lines.into_iter().filter_map(|name| cite_state(case, name)).chain(seen).collect(),
        missing,
    })
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let before = case.state("kernel.sched_rt_runtime_us").map_or("950000", |s| s.value.as_str());
    let whole = case.state("kernel.sched_rt_period_us").map_or("1000000", |s| s.value.as_str());
    let mut all = vec![
        look(
            "ps -eLo pid,tid,cls,comm | grep DLN; chrt -p TID",
            "the deadline tasks of all containers, and what each reserves",
        ),
        step(
            "now",
            "chrt --deadline --sched-runtime LESS --sched-period AS-BEFORE 0 CMD",
            "asks for a smaller share",
            "nothing to undo",
        ),
    ];
    all.extend(remedies::sysctl(
        "kernel.sched_rt_runtime_us",
        whole,
        Some(before),
        "real-time tasks may then take all of the processors: one that never sleeps shuts out ssh and the kubelet",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::state;
    use crate::causes::case::testing::{judge_with, valued};

    /// Two processors at 95 %, `promised` parts of 2^20 of them.
    fn asked(runtime: u64, promised: &str) -> crate::model::Incident {
        let values = [
            ("sched_attr policy", DEADLINE),
            ("sched_attr runtime", runtime),
            ("sched_attr deadline", 10_000_000),
            ("sched_attr period", 0),
        ];
        let mut i = valued("sched_setattr", Errno::EBUSY, &[], &values, vec![]);
        state(&mut i, "processors online", "0-1");
        state(&mut i, "deadline bandwidth", &format!("996147 {promised}"));
        i
    }

    #[test]
    fn the_sum_of_what_is_promised_and_asked_for_counts() {
        let f = judge_with(&CAUSE, &asked(9_000_000, "1200000")).unwrap();
        assert_eq!((f.confidence, f.limit), (Confidence::Proven, Some(1_899_999)));
        assert_eq!(f.knob.name, "kernel.sched_rt_runtime_us");
        assert!(f.sentence.contains("900 000"), "{}", f.sentence);
        let room = judge_with(&CAUSE, &asked(5_000_000, "1200000")).unwrap();
        assert_eq!(room.confidence, Confidence::Likely, "it was promised to somebody who is gone");
    }

    #[test]
    fn without_readings_it_is_likely_and_other_errnos_are_not_claimed() {
        let i = valued("sched_setattr", Errno::EBUSY, &[], &[], vec![]);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Likely);
        assert!(judge_with(&CAUSE, &valued("sched_setattr", Errno::EPERM, &[], &[], vec![])).is_none());
        assert!(judge_with(&CAUSE, &valued("sched_setaffinity", Errno::EBUSY, &[], &[], vec![])).is_none());
    }
}
