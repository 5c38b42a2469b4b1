//! Processes live in leaves: the no-internal-process rule of cgroup v2.

use super::case::cgroups::{self, CALLERS, CONTROLLERS, THREADED, Write};
use super::case::claim::{Weighed, knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Cgroup, Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["cgroup_migrate_vet_dst", "cgroup_vet_subtree_control_enable"];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-internal",
    title: "a cgroup with controllers for its children takes no process (no-internal-process rule)",
    about: "\
Writing a pid to cgroup.procs, or starting a child with clone3(CLONE_INTO_CGROUP), fails with EBUSY, \"Device or resource
busy\"; so does writing +memory to cgroup.subtree_control. In cgroup v2 a cgroup either has processes or gives
controllers to its children, so that the two never compete: cgroup_migrate_vet_dst() refuses the first when
cgroup.subtree_control is not empty, cgroup_vet_subtree_control_enable() the second when processes are there. Only the
root, and threaded controllers (cpu, cpuset, perf_event, pids) in a threaded subtree, are free of it.

It surprises in nested containers (docker in docker, kind, systemd in a container): the container's processes sit in the
cgroup that should be divided. They must move to a child first, which the entrypoint of such images does.",
    shows_as: &[("write", "EBUSY"), ("clone3", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a child that uses the controller to be switched off, another hierarchy rule",
        ruled_out_by: "what was written, and cgroup.procs and cgroup.subtree_control read again",
        stands: disables,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "enters a cgroup that hands a controller down",
        risk: "none: in a cgroup of its own, which is removed again",
        variants: &["enter"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/cgroup-v2.html#no-internal-process-constraint",
        "kernel/cgroup/cgroup.c: cgroup_migrate_vet_dst(), cgroup_vet_subtree_control_enable()",
    ],
};

fn disables(case: &Case<'_>) -> Option<String> {
    let write = cgroups::write(case, &[Errno::EBUSY])?;
    if write.file != "cgroup.subtree_control" {
        return None;
    }
    match write.asked('-') {
        Some(off) if off.is_empty() => None,
        Some(_) => Some("a child may use a controller that was to be switched off".into()),
        None => Some(
            "what was written was not read: a controller may have been switched off that a child uses".into(),
        ),
    }
}

fn is_domain(controller: &str) -> bool {
    !THREADED.contains(&controller)
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let errno = [Errno::EBUSY];
    let enable =
        cgroups::write(case, &errno).filter(|w| w.version == 2 && w.file == "cgroup.subtree_control");
    match enable {
        Some(write) => enabling(case, &write),
        None => entering(case, &cgroups::entering(case, &errno).filter(|w| w.version == 2)?),
    }
}

/// A process was to come into a cgroup that gives controllers on.
fn entering(case: &Case<'_>, write: &Write<'_>) -> Option<Proof> {
    let given: Option<Vec<&str>> = write
        .cgroup
        .filter(|c| c.own("cgroup.subtree_control").is_some())
        .map(|c| c.words("cgroup.subtree_control").collect());
    // Threaded controllers alone make it a root of threads, which may have processes.
    let state = given.as_ref().map(|all| !all.is_empty());
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let all = given.unwrap_or_default().join(" ");
    let sentence = format!(
        "{} gives controllers to its children (cgroup.subtree_control: {}), so that no process may be in it.",
        write.place(),
        if all.is_empty() { "not read" } else { &all }
    );
    Some(told(case, weighed, write, sentence))
}

/// A cgroup with processes was to give controllers on.
fn enabling(case: &Case<'_>, write: &Write<'_>) -> Option<Proof> {
    let on = write.asked('+');
    if on.as_ref().is_some_and(Vec::is_empty) {
        return None;
    }
    let cgroup = write.cgroup;
    let occupied = cgroup.and_then(|c| Some(!c.own("cgroup.procs").or(c.own("cgroup.threads"))?.is_empty()));
    // The root may have both. Processes that are gone by the time one looks were there at that instant: the kernel says
    // so for nothing else that switches a controller on.
    let seen = on.is_some() && case.verdict(&[DECIDERS[1], "cgroup_subtree_control_write"]).is_some();
    let state = match (cgroup.is_some_and(Cgroup::is_root), occupied) {
        (true, _) => Some(false),
        (false, Some(true)) => Some(true),
        (false, _) => seen.then_some(true),
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let asked = on.unwrap_or_default();
    let what = if asked.is_empty() { "a controller".into() } else { asked.join(" ") };
    let threads = asked.iter().all(|c| !is_domain(c))
        && CONTROLLERS.contains(&asked.first().copied().unwrap_or_default());
    let hint = if threads { " Its children could be threaded (cgroup.type) instead." } else { "" };
    let sentence =
        format!("Processes are in {}, so that it may not give {what} to its children.{hint}", write.place());
    Some(told(case, weighed, write, sentence))
}

fn told(case: &Case<'_>, weighed: Weighed, write: &Write<'_>, sentence: String) -> Proof {
    let knob = knob(KnobKind::Cgroup, "cgroup.subtree_control", write.path("cgroup.subtree_control"));
    let mut lines = vec![];
    if let Some(text) = write.text {
        lines.push(format!("{:?} was written to {} at that instant", text.trim(), write.file));
    }
    if let Some(c) = write.cgroup {
        for file in ["cgroup.subtree_control", "cgroup.procs", "cgroup.type"] {
            let text = c.own(file).unwrap_or("not there").replace('\n', " ");
            lines.push(format!(
                "{} ms after it {}/{file}: {}",
                c.after_ns / 1_000_000,
                c.path,
                if text.is_empty() { "empty" } else { &text }
            ));
        }
    }
    weighed.proof(case, DECIDERS, sentence, knob).because(lines)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let place = cgroups::fact(case).map_or("CGROUP", |c| c.path.as_str());
    vec![
        step(
            "now",
            format!(
                "mkdir {place}/leaf; for p in $(cat {place}/cgroup.procs); do echo $p > {place}/leaf/cgroup.procs; done"
            ),
            "moves the processes to a leaf; then the cgroup may give controllers, and the leaf takes further processes",
            format!(
                "for p in $(cat {place}/leaf/cgroup.procs); do echo $p > {place}/cgroup.procs; done; rmdir {place}/leaf (only without controllers)"
            ),
        ),
        step(
            "for good",
            "docker run --cgroupns=private with an entrypoint that does this, or systemd's Delegate=yes with DelegateSubgroup=",
            "the manager's own processes start in a leaf",
            "remove the option",
        ),
        look(
            format!("grep . {place}/cgroup.procs {place}/cgroup.subtree_control"),
            "only one of the two may be filled",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::cgroups::testing::wrote;
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn processes_and_controllers_exclude_each_other() {
        let i = wrote(
            "cgroup.procs",
            "0",
            libc::EBUSY,
            &[("cgroup.subtree_control", "memory"), ("cgroup.procs", "")],
        );
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "cgroup.subtree_control"));
        let i = wrote(
            "cgroup.subtree_control",
            "+memory",
            libc::EBUSY,
            &[("cgroup.subtree_control", ""), ("cgroup.procs", "7\n9")],
        );
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
    }

    #[test]
    fn switching_off_is_another_matter() {
        let i = wrote("cgroup.subtree_control", "-memory", libc::EBUSY, &[("cgroup.procs", "")]);
        assert!(judge_with(&CAUSE, &i).is_none());
        let both = wrote("cgroup.subtree_control", "+pids -memory", libc::EBUSY, &[("cgroup.procs", "7")]);
        assert_eq!(judge_with(&CAUSE, &both).unwrap().confidence, Confidence::Likely);
    }

    #[test]
    fn processes_that_are_gone_by_then_were_there() {
        let i = wrote("cgroup.subtree_control", "+memory", libc::EBUSY, &[("cgroup.procs", "")]);
        let path = crate::model::Path {
            decider: Some("cgroup_subtree_control_write".into()),
            decider_method: Some("return-value".into()),
            ..Default::default()
        };
        let found = CAUSE.judge(&Case { incident: &i, path: Some(&path) }).map(|f| f.confidence);
        assert_eq!(found, Some(Confidence::Proven));
        assert_eq!(judge_with(&CAUSE, &i).map(|f| f.confidence), Some(Confidence::Possible));
    }

    #[test]
    fn an_empty_cgroup_is_no_case() {
        let i = wrote("cgroup.procs", "0", libc::EBUSY, &[("cgroup.subtree_control", "")]);
        assert!(judge_with(&CAUSE, &i).is_none());
        let i = wrote("memory.max", "0", libc::EBUSY, &[("cgroup.procs", "7")]);
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
