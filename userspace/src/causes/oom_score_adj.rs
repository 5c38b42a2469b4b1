//! A process may not be spared by the OOM killer.

use super::case::{
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

pub(super) static CAUSE: Cause = Cause {
    slug: "oom-score-adj",
    title: "oom_score_adj may not be lowered (CAP_SYS_RESOURCE)",
    about: "\
Writing to /proc/PID/oom_score_adj fails with EACCES, \"Permission denied\", although the file could be opened for writing: engines with
--oom-score-adj, systemd units with OOMScoreAdjust= in a container, sshd and databases do so. __set_oom_adj() in fs/proc/base.c
lets nobody go below the lowest value that a privileged process has set for it (oom_score_adj_min) without CAP_SYS_RESOURCE in
the first user namespace. Raising the value is always allowed.

It surprises rootless engines: their root is not the host's. runc fails the whole start for it.",
    shows_as: &[("write", "EACCES"), ("pwrite64", "EACCES")],
    deciders: &["__set_oom_adj"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would refuse other programs, too"),
    see: &[
        "proc_pid_oom_score_adj(5)",
        "fs/proc/base.c: __set_oom_adj()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["write", "pwrite64", "writev"], Errno::EACCES)?;
    let mine = match case.failure().file() {
        Some(file) => ["oom_score_adj", "oom_adj"].contains(&file.name.as_str()),
        None => case.verdict(SWITCH.deciders).is_some(),
    };
    if !mine || case.capable(SWITCH.exempt) == Some(true) {
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

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
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
    use crate::causes::case::testing::{judge_with, valued};
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

    #[test]
    fn another_file_is_not_claimed() {
        assert_eq!(judged("memory.max", Some(0)), None);
    }
}
