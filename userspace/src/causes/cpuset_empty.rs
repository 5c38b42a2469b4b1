//! A cpuset without processors or memory nodes takes no task, and one with tasks may not lose its last.
//!
//! Proven here means: the descriptor that was written to led to this cgroup at that instant; nothing but
//! kernel/cgroup/cpuset.c answers a write to such a file with ENOSPC; and the state that makes it do so was
//! read again afterwards.

use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Cpuset, Errno, Fact, Knob, KnobKind, Remedy};

/// Files that move a task.
const ATTACH: &[&str] = &["cgroup.procs", "cgroup.threads", "tasks"];

/// `CGROUP_SUPER_MAGIC`, `CGROUP2_SUPER_MAGIC` (linux/magic.h).
const CGROUP_MAGICS: &[u64] = &[0x27_e0eb, 0x6367_7270];

const CLONE_INTO_CGROUP: u64 = 1 << 33;
/// All `CLONE_NEW*` flags (linux/sched.h).
const CLONE_NAMESPACES: u64 = 0x7e02_0080;

const WRITES: &[&str] = &["write", "pwrite64", "writev"];

const DECIDERS: &[&str] = &[
    "cpuset_can_attach_check",
    "cpuset_can_attach",
    "cpuset_can_fork",
    "validate_change",
    "cpuset1_validate_change",
];

/// A later reading speaks of another time.
const FRESH_NS: u64 = 1_000_000_000;

pub(super) static CAUSE: Cause = Cause {
    slug: "cpuset-empty",
    title: "the cpuset has no processor or no memory node",
    about: "\
Writing a pid to cgroup.procs (or tasks) fails with ENOSPC, \"No space left on device\", although nothing is stored
anywhere: the cgroup has no CPU or no memory node that the task could use. On cgroup v1 a new folder of the cpuset
hierarchy starts with empty cpuset.cpus and cpuset.mems (unless cgroup.clone_children is set), and both must be
written before the first task is moved; an engine or script that writes cpuset.cpus alone, or a parent folder
that is empty itself, ends here. cpuset_can_attach() in kernel/cgroup/cpuset.c says it.

On v2 a new cgroup has what its parent has, and it happens with partitions: once a cpuset.cpus.partition of \"root\"
or \"isolated\" has handed all of its CPUs to partitions below, its other children have none left. clone3(2) with
CLONE_INTO_CGROUP fails the same way. The reverse gives the same errno: cpuset.cpus or cpuset.mems may not be
emptied while tasks are in the cgroup.",
    shows_as: &[("write", "ENOSPC"), ("clone3", "ENOSPC")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes a cpuset without CPUs and tries to enter it, or to empty one that is in use",
        risk: "none on cgroup v1; with partitions (v2) one CPU belongs to the fault for some milliseconds",
        variants: &["attach", "in-use"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/cgroup-v1/cpusets.html",
        "https://docs.kernel.org/admin-guide/cgroup-v2.html#cpuset-interface-files",
        "kernel/cgroup/cpuset.c: cpuset_can_attach(), cpuset_can_fork(), validate_change()",
    ],
};

/// What is wrong with the cpuset, with the file that would change it.
struct Trouble<'a> {
    file: &'a str,
    words: String,
}

fn fact<'a>(case: &Case<'a>) -> Option<&'a Cpuset> {
    case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Cpuset(cpuset) => Some(cpuset),
        _ => None,
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if case.denied(&["clone3"], Errno::ENOSPC).is_some() {
        return into_cgroup(case);
    }
    case.denied(WRITES, Errno::ENOSPC)?;
    if case.decided_elsewhere(DECIDERS).is_some_and(|function| function.contains("cgroup_migrate")) {
        return None;
    }
    let Some(cpuset) = fact(case) else { return unread(case) };
    let found = if ATTACH.contains(&cpuset.file.as_str()) { empty(cpuset)? } else { in_use(cpuset)? };
    let mut missing = Vec::new();
    // Where the check was seen to refuse, the state only says why.
    if cpuset.after_ns > FRESH_NS && case.verdict(DECIDERS).is_none() {
        missing.push("a reading taken sooner after the call".into());
    }
    Some(Proof {
        confidence: if missing.is_empty() { Confidence::Proven } else { Confidence::Likely },
        sentence: found.words,
        knob: Knob {
            kind: KnobKind::Cgroup,
            name: found.file.into(),
            path: format!("{}/{}", cpuset.path, found.file),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: evidence(case, cpuset),
        missing,
    })
}

/// Why a task may not enter: `cpuset_can_attach_check()`. With the mount option cpuset_v2_mode, empty files of
/// version 1 take effect as the parent's, and the effective ones tell.
fn empty(cpuset: &Cpuset) -> Option<Trouble<'static>> {
    let none = |text: &Option<String>| text.as_deref() == Some("");
    // A file that is not there cannot contradict.
    let neither = |own: &Option<String>, effective: &Option<String>| {
        none(own) && effective.as_deref().unwrap_or_default().is_empty()
    };
    let (cpus, mems) = match cpuset.version {
        1 => (neither(&cpuset.cpus, &cpuset.effective_cpus), neither(&cpuset.mems, &cpuset.effective_mems)),
        // Memory nodes are not asked for there.
        _ => (none(&cpuset.effective_cpus), false),
    };
    let lacks = match (cpus, mems) {
        (true, true) => "no CPU and no memory node",
        (true, false) => "no CPU",
        (false, true) => "no memory node",
        (false, false) => return None,
    };
    Some(Trouble {
        file: if cpus { "cpuset.cpus" } else { "cpuset.mems" },
        words: format!("The cgroup {} has {lacks}, so that no task can be moved into it.", cpuset.path),
    })
}

/// Why its file may not be emptied: `validate_change()`.
fn in_use(cpuset: &Cpuset) -> Option<Trouble<'_>> {
    let now = match cpuset.file.as_str() {
        "cpuset.cpus" => cpuset.cpus.as_deref()?,
        _ => cpuset.mems.as_deref()?,
    };
    (cpuset.populated == Some(true) && !now.is_empty()).then(|| Trouble {
        file: &cpuset.file,
        words: format!(
            "Tasks run in the cgroup {}, so that its {} ({now}) may not be emptied.",
            cpuset.path, cpuset.file
        ),
    })
}

/// The probe saw that a task was to be moved, but the cgroup could not be looked at.
fn unread(case: &Case<'_>) -> Option<Proof> {
    let file = case.failure().file()?;
    if !CGROUP_MAGICS.contains(&file.magic) || !ATTACH.contains(&file.name.as_str()) {
        return None;
    }
    Some(Proof {
        confidence: Confidence::Likely,
        sentence: "The cgroup that a task was to be moved to has no CPU or no memory node.".into(),
        knob: Knob {
            kind: KnobKind::Cgroup,
            name: "cpuset.cpus".into(),
            path: "cpuset.cpus, cpuset.mems".into(),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!("the descriptor led to {} of the cgroup with id {}", file.name, file.folder)],
        missing: vec!["its cpuset.cpus and cpuset.mems: the cgroup was gone".into()],
    })
}

/// clone3(2) into a cgroup: `cpuset_can_fork()`, since 6.4 and in older stable kernels.
fn into_cgroup(case: &Case<'_>) -> Option<Proof> {
    let flags = case.failure().number_arg("flags")?;
    // New namespaces have limits that say ENOSPC too.
    if flags & CLONE_INTO_CGROUP == 0 || flags & CLONE_NAMESPACES != 0 {
        return None;
    }
    let seen = case.verdict(&["cpuset_can_fork", "cpuset_can_attach_check"]);
    Some(Proof {
        confidence: Confidence::Likely,
        sentence: "The cgroup that the new process was to start in has no CPU left.".into(),
        knob: Knob {
            kind: KnobKind::Cgroup,
            name: "cpuset.cpus".into(),
            path: "cpuset.cpus.effective".into(),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: seen
            .map(|v| format!("{} said no (found by {})", v.function, v.method))
            .into_iter()
            .collect(),
        missing: vec!["which cgroup it was, and its cpuset.cpus.effective at that instant".into()],
    })
}

fn evidence(case: &Case<'_>, cpuset: &Cpuset) -> Vec<String> {
    let text = |value: &Option<String>| match value.as_deref() {
        None => "unread".to_string(),
        Some("") => "empty".to_string(),
        Some(text) => text.to_string(),
    };
    let mut lines = vec![
        format!(
            "the descriptor led to {} of {} (cgroup v{}) at that instant",
            cpuset.file, cpuset.path, cpuset.version
        ),
        format!(
            "{} ms after it: cpus {}, mems {}; effective cpus {}, effective mems {}",
            cpuset.after_ns / 1_000_000,
            text(&cpuset.cpus),
            text(&cpuset.mems),
            text(&cpuset.effective_cpus),
            text(&cpuset.effective_mems)
        ),
    ];
    if let Some(partition) = &cpuset.partition {
        lines.push(format!("cpuset.cpus.partition {partition}"));
    }
    if !ATTACH.contains(&cpuset.file.as_str()) && cpuset.populated == Some(true) {
        lines.push("tasks are in it".into());
    }
    if let Some(v) = case.verdict(DECIDERS) {
        lines.push(format!("{} said no (found by {})", v.function, v.method));
    }
    lines
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let Some(cpuset) = fact(case) else {
        return vec![Remedy {
            when: "find it".into(),
            command:
                "find /sys/fs/cgroup -name 'cpuset.*cpus*' -size 0 -o -name 'cpuset.cpus*' | xargs grep -H ."
                    .into(),
            effect: "a cgroup whose cpuset files show nothing takes no task".into(),
            undo: "reads only".into(),
        }];
    };
    let (path, above) = (&cpuset.path, cpuset.path.rsplit_once('/').map_or("", |(above, _)| above));
    if !ATTACH.contains(&cpuset.file.as_str()) {
        return vec![Remedy {
            when: "now".into(),
            command: format!("for t in $(cat {path}/cgroup.procs); do echo $t > {above}/cgroup.procs; done"),
            effect:
                "moves its tasks to the cgroup above, which may use other CPUs; then the file can be emptied"
                    .into(),
            undo: format!("for each of them echo PID > {path}/cgroup.procs, before the file is emptied"),
        }];
    }
    if cpuset.version == 1 {
        return vec![
            Remedy {
                when: "now".into(),
                command: format!("for f in cpus mems; do cat {above}/cpuset.$f > {path}/cpuset.$f; done"),
                effect: "gives it what the folder above has; that one must not be empty either".into(),
                undo: format!("echo > {path}/{}", proof.knob.name),
            },
            Remedy {
                when: "for good".into(),
                command: format!("echo 1 > {above}/cgroup.clone_children"),
                effect: "folders made there from now on start with the values of the one above".into(),
                undo: format!("echo 0 > {above}/cgroup.clone_children"),
            },
        ];
    }
    vec![Remedy {
        when: "now".into(),
        command: format!("grep -H . {above}/cpuset.cpus.partition {above}/*/cpuset.cpus.partition {above}/*/cpuset.cpus"),
        effect: "shows which partitions have taken the CPUs; write fewer to one's cpuset.cpus, or \"member\" to its \
                 cpuset.cpus.partition"
            .into(),
        undo: "reads only".into(),
    }]
}

#[cfg(test)]
#[path = "cpuset_empty_tests.rs"]
mod tests;
