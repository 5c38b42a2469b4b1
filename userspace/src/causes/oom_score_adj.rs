//! A process may not be spared by the OOM killer, or oom_score_adj does not take such a value.

use super::case::{
    claim::{self, cite_state, knob},
    remedies,
    switch::{FILTER, Switch},
};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Knob, KnobKind, Remedy};

const SWITCH: Switch = Switch {
    name: "oom_score_adj",
    exempt: 1 << 24,
    exempts: "CAP_SYS_RESOURCE",
    deciders: &["__set_oom_adj"],
    callers: &["oom_score_adj_write", "oom_adj_write", "vfs_write", "ksys_write", "__x64_sys_write"],
};

const CALLS: &[&str] = &["write", "pwrite64", "writev"];
/// PROC_SUPER_MAGIC (linux/magic.h).
const PROC: u64 = 0x9fa0;
/// What the task wrote, where the sampler still found it.
const WRITTEN: &str = "written word";

pub(super) static CAUSE: Cause = Cause {
    slug: "oom-score-adj",
    title: "oom_score_adj may not be lowered (CAP_SYS_RESOURCE), or does not take this value",
    about: "\
Writing to /proc/PID/oom_score_adj fails with EACCES, \"Permission denied\", although the file could be opened for writing: engines with
--oom-score-adj, systemd units with OOMScoreAdjust= in a container, sshd and databases do so. __set_oom_adj() in fs/proc/base.c
lets nobody go below the lowest value that a privileged process has set for it (oom_score_adj_min) without CAP_SYS_RESOURCE in
the first user namespace. Raising the value is always allowed.

EINVAL, \"Invalid argument\", is a value that is no whole number, or one outside of -1000 to 1000 (-17 to 15 in the old oom_adj).

It surprises rootless engines: their root is not the host's. runc fails the whole start for it.",
    shows_as: &[("write", "EACCES"), ("pwrite64", "EACCES"), ("write", "EINVAL"), ("pwrite64", "EINVAL")],
    deciders: &["__set_oom_adj"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "lowers its own value without the capability, or asks for one that is out of range",
        risk: "none: nothing is changed",
        variants: &["lower", "range", "word"],
    },
    see: &[
        "proc_pid_oom_score_adj(5)",
        "fs/proc/base.c: __set_oom_adj()",
    ],
};

/// Whether the file is one of the two; by the decider where the descriptor was not read.
fn is_mine(case: &Case<'_>) -> bool {
    match case.failure().file() {
        Some(file) => file.magic == PROC && ["oom_score_adj", "oom_adj"].contains(&file.name.as_str()),
        None => case.verdict(SWITCH.deciders).is_some(),
    }
}

/// EINVAL: oom_score_adj_write() and oom_adj_write() say it of what was written, and of nothing else.
fn value(case: &Case<'_>) -> Option<Proof> {
    const WRITERS: &[&str] = &["oom_score_adj_write", "oom_adj_write", "kstrtoint"];
    case.denied(CALLS, Errno::EINVAL)?;
    let file = case.failure().file().map(|f| f.name.as_str()).filter(|_| is_mine(case))?;
    let range = if file == "oom_adj" { -17..=15 } else { -1000..=1000 };
    let word = case.state(WRITTEN).map(|s| s.value.as_str());
    let number = word.and_then(|w| w.trim().parse::<i64>().ok());
    if number.is_some_and(|n| range.contains(&n)) {
        return None;
    }
    let what = match (word, number) {
        (_, Some(number)) => format!("{number} is outside of {} to {}", range.start(), range.end()),
        (Some(word), None) => format!("{word:?} is no whole number"),
        (None, None) => {
            format!("what was written is no whole number from {} to {}", range.start(), range.end())
        }
    };
    let weighed = claim::weigh(case, WRITERS, SWITCH.callers, Some(true))?;
    let path = format!("/proc/<pid>/{file}");
    let sentence = format!("{file} does not take this value: {what}.");
    Some(
        weighed
            .proof(case, WRITERS, sentence, knob(KnobKind::File, file, path))
            .because([WRITTEN, "value of the file"].iter().filter_map(|name| cite_state(case, name))),
    )
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = value(case) {
        return Some(proof);
    }
    case.denied(CALLS, Errno::EACCES)?;
    if !is_mine(case) || case.capable(SWITCH.exempt) == Some(true) {
        return None;
    }
    // Opening asks for permission; writing has this one reason to refuse with EACCES.
    let lacks = case.capable(SWITCH.exempt) == Some(false);
    let elsewhere = case.decided_elsewhere(SWITCH.deciders).filter(|f| !SWITCH.callers.contains(f));
    let sure = lacks && elsewhere.is_none();
    let mut evidence = vec!["write(2) to oom_score_adj says EACCES for this reason only".to_owned()];
    if lacks {
        evidence.push("the task had no CAP_SYS_RESOURCE in the first user namespace".into());
    }
    if let Some(lowest) = case.value("oom_score_adj_min") {
        evidence.push(format!("the lowest value for it without the capability is {}", lowest as u16 as i16));
    }
    let missing = if lacks { vec![] } else { vec!["whether the task had CAP_SYS_RESOURCE".to_owned()] };
    Some(Proof {
        confidence: if sure { Confidence::Proven } else { Confidence::Likely },
        sentence: format!(
            "{} may not lower oom_score_adj: it has no CAP_SYS_RESOURCE on the host.",
            case.failure().task.comm
        ),
        knob: Knob {
            kind: KnobKind::Capability,
            name: "CAP_SYS_RESOURCE".into(),
            path: "/proc/<pid>/oom_score_adj".into(),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing,
    })
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    if proof.knob.kind == KnobKind::File {
        return vec![remedies::step(
            "now",
            "write a whole number from -1000 (never killed) to 1000 (killed first)",
            "docker run --oom-score-adj, OOMScoreAdjust= in a unit; oomScoreAdj in an OCI bundle's config.json",
            "the value that it has now",
        )];
    }
    let mut all = vec![remedies::step(
        "now",
        "ask for no lower value than the engine itself has (cat /proc/self/oom_score_adj)",
        "in a unit: drop OOMScoreAdjust=; with docker: drop --oom-score-adj",
        "none",
    )];
    all.extend(remedies::capability(
        "CAP_SYS_RESOURCE",
        "the container may exceed many limits, quotas among them",
    ));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{judge_with, state, valued, written_to};
    use crate::model::{Arg, ArgValue, FailureKind, FileKind, OpenFile};

    fn judged(name: &str, capabilities: Option<u64>) -> Option<Confidence> {
        let values: Vec<(&str, u64)> = capabilities.map(|c| ("CapEff", c)).into_iter().collect();
        let mut i = valued("write", Errno::EACCES, &[], &values, vec![]);
        let file = OpenFile {
            kind: FileKind::Regular,
            name: name.into(),
            device: String::new(),
            magic: 0x9fa0,
            inode: 1,
            folder: 1,
        };
        if let FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            args.push(Arg { name: "fd".into(), value: ArgValue::Descriptor { raw: 3, file } });
        }
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn without_the_capability_it_is_proven() {
        assert_eq!(judged("oom_score_adj", Some(0)), Some(Confidence::Proven));
        assert_eq!(judged("oom_score_adj", None), Some(Confidence::Likely));
        assert_eq!(judged("oom_score_adj", Some(1 << 24)), None);
    }

    fn written(name: &str, word: &str) -> Option<(Confidence, String)> {
        let mut i = valued("write", Errno::EINVAL, &[], &[], vec![]);
        written_to(&mut i, name, 0x9fa0, word);
        i.facts.push(state(WRITTEN, "", word));
        judge_with(&CAUSE, &i).map(|f| (f.confidence, f.sentence))
    }

    #[test]
    fn a_value_outside_of_the_range_is_proven_and_one_inside_is_another_story() {
        let (confidence, sentence) = written("oom_score_adj", "5000").unwrap();
        assert_eq!(confidence, Confidence::Proven);
        assert!(sentence.contains("5000 is outside of -1000 to 1000"), "{sentence}");
        assert!(written("oom_score_adj", "never").unwrap().1.contains("no whole number"));
        assert!(written("oom_adj", "-500").unwrap().1.contains("-17 to 15"));
        assert_eq!(written("oom_score_adj", "-1000\n"), None);
        assert_eq!(written("memory.max", "5000"), None);
    }

    #[test]
    fn another_file_is_not_claimed() {
        assert_eq!(judged("memory.max", Some(0)), None);
    }
}
