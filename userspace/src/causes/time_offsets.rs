//! The offsets of a time namespace: written too late, too far, in another form, or without the right to.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["proc_timens_set_offset", "timens_offsets_write"];
const CALLERS: &[&str] = &["vfs_write", "new_sync_write", "ksys_write", "file_ns_capable"];

/// `PROC_SUPER_MAGIC` (linux/magic.h).
const PROC: u64 = 0x9fa0;
/// `PROC_TIME_INIT_INO` (include/linux/proc_ns.h).
const FIRST_TIME_NS: &str = "4026531834";
const CAP_SYS_TIME: u32 = 25;
/// `KTIME_SEC_MAX` (include/linux/ktime.h): 292 years.
const MOST_SECONDS: i64 = i64::MAX / NANOSECONDS;
const NANOSECONDS: i64 = 1_000_000_000;
const PAGE: u64 = 4096;

pub(super) static CAUSE: Cause = Cause {
    slug: "time-offsets",
    title: "the offsets of a time namespace are fixed already, or out of range",
    about: "\
A write to /proc/PID/timens_offsets fails: with EACCES, \"Permission denied\", when a task has been in that time namespace, \
or when the process still belongs to the machine's own (unshare(CLONE_NEWTIME) was forgotten); with ERANGE, \"Numerical \
result out of range\", when the clock would go below zero or past 146 years; with EINVAL for another form than \
`monotonic SECONDS NANOSECONDS`; with EPERM without CAP_SYS_TIME in the user namespace that owns the time namespace. \
proc_timens_set_offset() in kernel/time/namespace.c says all but EINVAL.

It surprises because EACCES looks like a file mode, and because the order is strict: unshare(2), then the offsets, then the \
first child. Engines meet it with `timeOffsets` of the OCI runtime specification, CRIU when it restores.",
    shows_as: &[("write", "EACCES"), ("write", "ERANGE"), ("write", "EINVAL"), ("write", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "writes offsets for a time namespace of its own: after a child is in it, and past the end of time",
        risk: "none: no clock but that of its own namespace is meant",
        variants: &["entered", "first", "range", "form"],
    },
    see: &[
        "time_namespaces(7), /proc/pid/timens_offsets",
        "kernel/time/namespace.c: proc_timens_set_offset(); fs/proc/base.c: timens_offsets_write()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    let file = case.failure().file().filter(|f| f.magic == PROC && f.name == "timens_offsets");
    if !["write", "pwrite64"].contains(&call) || file.is_none() {
        return None;
    }
    let (state, why) = match errno {
        Errno::EACCES => frozen(case),
        Errno(libc::ERANGE) => out_of_range(case),
        Errno::EINVAL => malformed(case),
        Errno::EPERM => forbidden(case),
        _ => return None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let sentence =
        format!("{} may not set these offsets of a time namespace: {why}.", case.failure().task.comm);
    let knob = match errno {
        Errno::EPERM => {
            knob(KnobKind::Capability, "CAP_SYS_TIME", format!("/proc/{}/status", case.failure().task.pid))
        }
        _ => knob(KnobKind::File, "timens_offsets", "/proc/PID/timens_offsets"),
    };
    let written = case.failure().text_arg("written").map(|text| format!("written: {:?}", text.trim_end()));
    let states = ["target ns/time_for_children", "in the time namespace", "uptime"];
    let cited = states.into_iter().filter_map(|name| cite_state(case, name));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(written.into_iter().chain(cited)))
}

type Judged = (Option<bool>, String);

/// EACCES: `frozen_offsets`, set when the first task enters, and in the first namespace from the beginning.
fn frozen(case: &Case<'_>) -> Judged {
    let children = case.state("target ns/time_for_children").map(|s| s.value.as_str());
    let inside = case.state("in the time namespace").map(|s| s.value.as_str());
    let seen = case.verdict(DECIDERS).is_some().then_some(true);
    match (children, inside) {
        (Some(FIRST_TIME_NS), _) => (
            Some(true),
            "the process is in the machine's own time namespace, whose clocks are nobody's to set".into(),
        ),
        (_, Some(task)) => (
            Some(true),
            format!("{task} is in that namespace, and they are fixed when the first task enters"),
        ),
        _ => (seen, "a task has been in that namespace, and they are fixed when the first one enters".into()),
    }
}

/// One line: clock, seconds, nanoseconds.
type Line<'a> = (&'a str, i64, u64);

fn line(text: &str) -> Option<Line<'_>> {
    let mut words = text.split_whitespace();
    let (clock, seconds, rest) = (words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    let known = ["monotonic", "boottime", "1", "7"].contains(&clock);
    (known && rest < NANOSECONDS as u64).then_some((clock, seconds, rest))
}

/// What was to be written, when all of it was read.
fn written<'a>(case: &Case<'a>) -> Option<&'a str> {
    case.failure().text_arg("written").filter(|text| !text.ends_with('…'))
}

fn out_of_range(case: &Case<'_>) -> Judged {
    let vague = || (None, "the clock would be below zero, or past 146 years".to_owned());
    let Some(text) = written(case) else { return vague() };
    // Both clocks began at boot; the one that stands still while the machine sleeps may be behind.
    let up = case.state("uptime").and_then(|s| s.value.split('.').next()?.parse::<i64>().ok());
    for (clock, seconds, _) in text.lines().filter_map(line) {
        let now = match clock {
            "monotonic" | "1" => (case.failure().time.mono_ns / NANOSECONDS as u64).try_into().ok(),
            _ => up,
        };
        if !(-MOST_SECONDS..=MOST_SECONDS).contains(&seconds) {
            return (Some(true), format!("{seconds} seconds are more than the kernel's clocks can count"));
        }
        let Some(then) = now.map(|now: i64| now.saturating_add(seconds)) else { continue };
        if then < 0 {
            return (Some(true), format!("with {seconds} seconds the {clock} clock would be below zero"));
        }
        if then > MOST_SECONDS / 2 {
            return (Some(true), format!("with {seconds} seconds the {clock} clock would be past 146 years"));
        }
    }
    vague()
}

fn malformed(case: &Case<'_>) -> Judged {
    let count = case.failure().number_arg("count").unwrap_or(0);
    let bad = written(case).and_then(|text| text.lines().find(|text| line(text).is_none()));
    match bad {
        _ if count >= PAGE => (Some(true), "the text must be shorter than a page".into()),
        Some(bad) => (Some(true), format!("{bad:?} is not `monotonic|boottime SECONDS NANOSECONDS`")),
        None => (None, "their form, or the place in the file, is wrong".into()),
    }
}

/// EPERM: `file_ns_capable()` asks for it in the owner of the time namespace.
fn forbidden(case: &Case<'_>) -> Judged {
    let lacks = ids::has(case, CAP_SYS_TIME).map(|has| !has);
    (lacks, "it lacks CAP_SYS_TIME in the user namespace that owns it".into())
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::Capability {
        return super::case::remedies::capability(
            "CAP_SYS_TIME",
            "the container may set the machine's clock as well, unless it has a user namespace of its own",
        );
    }
    vec![
        step(
            "now",
            "unshare --user --map-root-user --time --monotonic SECONDS --boottime SECONDS CMD",
            "makes the namespace, sets the offsets and only then starts a child in it",
            "end the command: the namespace goes with its last task",
        ),
        look(
            "grep . /proc/PID/timens_offsets; ls -l /proc/PID/ns/time*; cat /proc/uptime",
            "the offsets as they are, whether children go to another namespace, and how far back a clock may go",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::state;
    use crate::causes::case::testing::{judge_with, valued, written_to};
    use crate::model::{Confidence, Incident};

    fn wrote(errno: i32, text: &str) -> Incident {
        let mut i = valued("write", Errno(errno), &[("count", text.len() as u64)], &[], vec![]);
        written_to(&mut i, "timens_offsets", PROC, text);
        i.failure.time.mono_ns = 100 * NANOSECONDS as u64;
        i
    }

    #[test]
    fn offsets_are_fixed_in_the_first_namespace_and_where_somebody_is() {
        let mut i = wrote(libc::EACCES, "monotonic 1 0");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        state(&mut i, "in the time namespace", "sleep (7)");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "timens_offsets"));
        assert!(f.sentence.contains("sleep (7)"), "{}", f.sentence);
        let mut i = wrote(libc::EACCES, "monotonic 1 0");
        state(&mut i, "target ns/time_for_children", FIRST_TIME_NS);
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn a_clock_goes_neither_below_zero_nor_past_its_end() {
        let sure = |text: &str| judge_with(&CAUSE, &wrote(libc::ERANGE, text)).unwrap().confidence;
        assert_eq!(sure("monotonic -101 0"), Confidence::Proven);
        assert_eq!(sure("boottime 0 0\nmonotonic 9223372037 0\n"), Confidence::Proven);
        assert_eq!(sure("monotonic 4611686018 0"), Confidence::Proven);
        assert_eq!(sure("monotonic -99 0"), Confidence::Possible);
        assert_eq!(sure("boottime -101 0"), Confidence::Possible, "the machine may have slept");
    }

    #[test]
    fn the_form_is_told() {
        let sure = |text: &str| judge_with(&CAUSE, &wrote(libc::EINVAL, text)).map(|f| f.confidence);
        assert_eq!(sure("realtime 5 0"), Some(Confidence::Proven));
        assert_eq!(sure("monotonic 5"), Some(Confidence::Proven));
        assert_eq!(sure("monotonic 5 1000000000"), Some(Confidence::Proven));
        assert_eq!(sure("monotonic 5 0\nboottime 5 0\n"), Some(Confidence::Possible));
    }

    #[test]
    fn the_capability_is_asked_before_the_rest_and_other_files_are_not_claimed() {
        let mut i = wrote(libc::EPERM, "monotonic 1 0");
        state(&mut i, "CapEff", "0000000000000000");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "CAP_SYS_TIME"));
        let mut i = wrote(libc::EPERM, "monotonic 1 0");
        state(&mut i, "CapEff", "000001ffffffffff");
        assert!(judge_with(&CAUSE, &i).is_none());
        let mut i = wrote(libc::EACCES, "0 0 1");
        written_to(&mut i, "uid_map", PROC, "0 0 1");
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
