//! A version 1 hierarchy that cannot be mounted: its controller is at work elsewhere, or not there.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &[
    "rebind_subsystems",
    "cgroup1_root_to_use",
    "cgroup1_get_tree",
    "check_cgroupfs_options",
    "cgroup1_parse_param",
];
const CALLERS: &[&str] = &[
    "cgroup_setup_root",
    "cgroup_do_get_tree",
    "vfs_get_tree",
    "fc_mount",
    "path_mount",
    "do_new_mount",
    "do_mount",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-v1-mount",
    title: "the cgroup v1 controller is in use in another hierarchy, or not in this kernel",
    about: "\
mount(2) of type cgroup fails with EBUSY: a controller belongs to one hierarchy at a time, and this one is at work in the
unified (v2) hierarchy, where a cgroup.subtree_control hands it on, or in a v1 hierarchy together with others or with other
options. rebind_subsystems() in kernel/cgroup/cgroup.c takes it only while no cgroup uses it. EINVAL or ENOENT means that
the kernel has no such v1 controller: since 6.12 the memory and cpuset controllers of v1 are options of their own, which
distributions leave out.

It surprises old images (systemd before 244, old JVMs, docker in docker) on a host that has moved to cgroup v2.",
    shows_as: &[("mount", "EBUSY"), ("mount", "EINVAL"), ("mount", "ENOENT"), ("fsconfig", "EBUSY")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("takes a controller from the whole machine"),
    see: &["cgroups(7), CGROUPS VERSION 1: Mounting v1 controllers", "kernel/cgroup/cgroup.c: rebind_subsystems(); kernel/cgroup/cgroup-v1.c: cgroup1_root_to_use()"],
};

/// The controllers that were asked for; none for a named hierarchy.
fn asked<'a>(case: &Case<'a>) -> Vec<&'a str> {
    const OPTIONS: &[&str] = &[
        "none",
        "all",
        "noprefix",
        "xattr",
        "clone_children",
        "cpuset_v2_mode",
        "favordynmods",
        "nofavordynmods",
    ];
    let data = case.incident.failure.text_arg("data").unwrap_or_default();
    data.split(',').filter(|w| !w.is_empty() && !w.contains('=') && !OPTIONS.contains(w)).collect()
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let errnos = [Errno::EBUSY, Errno::EINVAL, Errno::ENOENT];
    errnos.iter().find_map(|e| case.denied(&["mount"], *e))?;
    if case.failure().text_arg("fstype") != Some("cgroup") {
        return None;
    }
    let (_, errno) = case.failure().syscall()?;
    let asked = asked(case);
    let rows = case.state("controllers").map(|s| s.value.as_str());
    let row = |name: &str| rows?.split_whitespace().find_map(|w| w.strip_prefix(name)?.strip_prefix(':'));
    let (state, why, file) = match errno {
        Errno::EBUSY => {
            // Hierarchy 0 is the unified one.
            let users = case.state("controllers handed on").map(|s| s.value.as_str()).unwrap_or_default();
            let held = asked
                .iter()
                .find(|c| users.split_whitespace().any(|u| u == **c || **c == "blkio" && u == "io"));
            let other = asked.iter().find(|c| row(c).is_some_and(|h| h != "0"));
            match (held, other) {
                (Some(name), _) => (
                    Some(true),
                    format!("{name} is handed on in the unified hierarchy"),
                    "cgroup.subtree_control",
                ),
                (None, Some(name)) => {
                    (Some(true), format!("{name} is in another v1 hierarchy"), "/proc/cgroups")
                }
                (None, None) => (None, "a controller is in use in another hierarchy".into(), "/proc/cgroups"),
            }
        }
        _ => {
            let missing = asked.iter().find(|c| rows.is_some() && row(c).is_none());
            match missing {
                Some(name) => (Some(true), format!("this kernel has no controller {name}"), "kernel config"),
                None if rows.is_some() && !asked.is_empty() => (
                    None,
                    "a controller has no version 1 in this kernel, or options contradict".into(),
                    "kernel config",
                ),
                None => return None,
            }
        }
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let sentence = format!(
        "A cgroup v1 hierarchy with {} cannot be mounted: {why}.",
        if asked.is_empty() { "all controllers".into() } else { asked.join(",") }
    );
    let kind = if file == "cgroup.subtree_control" { KnobKind::Cgroup } else { KnobKind::Other };
    let lines = ["controllers", "controllers handed on"].into_iter().filter_map(|n| cite_state(case, n));
    Some(weighed.proof(case, DECIDERS, sentence, knob(kind, file, file)).because(lines))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        step(
            "now",
            "use the unified hierarchy: a newer image or engine",
            "cgroup v2 has all controllers in one tree",
            "nothing to undo",
        ),
        step(
            "for good",
            "systemd.unified_cgroup_hierarchy=0 SYSTEMD_CGROUP_ENABLE_LEGACY_FORCE=1 on the kernel's command line",
            "boots the host with v1; systemd 256 and later, and many engines, refuse it",
            "remove it and boot again",
        ),
        look(
            "cat /proc/cgroups; find /sys/fs/cgroup -name cgroup.subtree_control | xargs grep .",
            "hierarchy 0 is v2; who hands the controller on",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::{Arg, ArgValue, Confidence, FailureKind, Incident};

    fn mounted(errno: i32, fstype: &str, data: &str) -> Incident {
        let mut i = called("mount", errno, 0);
        if let FailureKind::Syscall { args, .. } = &mut i.failure.kind {
            for (name, text) in [("fstype", fstype), ("data", data)] {
                args.push(Arg { name: name.into(), value: ArgValue::Text(text.into()) });
            }
        }
        i
    }

    #[test]
    fn a_controller_at_work_is_not_moved() {
        let mut i = mounted(libc::EBUSY, "cgroup", "pids");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Possible);
        state(&mut i, "controllers handed on", "memory pids");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Proven);
        let mut i = mounted(libc::EINVAL, "cgroup", "memory");
        state(&mut i, "controllers", "cpu:0 pids:0");
        assert!(judge_with(&CAUSE, &i).unwrap().sentence.contains("no controller memory"));
    }

    #[test]
    fn other_file_systems_are_no_case() {
        assert!(judge_with(&CAUSE, &mounted(libc::EBUSY, "tmpfs", "")).is_none());
        assert!(judge_with(&CAUSE, &mounted(libc::EPERM, "cgroup", "pids")).is_none());
    }
}
