//! proc, sysfs, mqueue and cgroup show a namespace, and mount only for who owns it.

use super::case::signs::{Claim, MountWork, filtered, fix, knob};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["mount_capable"];
const CALLERS: &[&str] = &[
    "do_new_mount",
    "path_mount",
    "ns_capable",
    "proc_get_tree",
    "sysfs_init_fs_context",
    "kobj_ns_current_may_mount",
    "net_current_may_mount",
    "alloc_fs_context",
    "fs_context_for_mount",
    "mqueue_init_fs_context",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-namespace-not-owned",
    title: "the namespace that this file system shows belongs to another user namespace",
    about: "\
`unshare --user --map-root-user --mount` and then `mount -t proc proc /proc` fails with EPERM, and so does sysfs without a network
namespace of one's own, mqueue without an IPC namespace, cgroup without a cgroup namespace. These file systems show a
namespace: the kernel asks for CAP_SYS_ADMIN in the user namespace that owns it, and a process in a fresh user namespace
still is in the host's pid and network namespaces. Rootless containers with --pid=host or --network=host meet it. The mount
namespace is not the point, nor is any missing capability: another namespace must be unshared first.",
    shows_as: &[("mount", "EPERM"), ("fsconfig", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival { name: "a seccomp filter", ruled_out_by: "no filter on the task, or a kernel path of the call", stands: filtered }],
    explain,
    remedy,
    fault: Fault::Action { about: "mounts proc or sysfs in a user namespace that has no pid or network namespace", risk: "none: nothing is mounted", variants: &["proc", "sysfs"] },
    see: &["user_namespaces(7), pid_namespaces(7)", "fs/proc/root.c: proc_init_fs_context(); fs/sysfs/mount.c: sysfs_init_fs_context()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["mount"], Errno::EPERM)?;
    let facts = case.mounting()?;
    let (namespace, owned) = facts.shows.as_ref()?;
    if case.mount_work() != MountWork::New
        || *owned
        || facts.admin != Some(true)
        || facts.owns_mounts == Some(false)
    {
        return None;
    }
    let fstype = case.failure().text_arg("fstype")?;
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state: Some(facts.first_user_ns == Some(false)),
        sentence: format!("{fstype} shows the {namespace} namespace, and that of {} belongs to another user namespace.", case.who()),
        knob: knob(KnobKind::Other, &format!("{namespace} namespace"), format!("/proc/PID/ns/{namespace}")),
        evidence: vec![format!("{} ms after it the owner of its {namespace} namespace was not its own user namespace (NS_GET_USERNS)", facts.after_ns / 1_000_000)],
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let facts = case.mounting();
    let namespace = facts.and_then(|m| m.shows.as_ref()).map_or("pid", |s| s.0.as_str());
    let option = if namespace == "pid" { "--pid --fork" } else { &format!("--{namespace}") };
    vec![
        fix(
            "now",
            format!("unshare --user --map-root-user --mount {option} …"),
            "a namespace of its own to show",
            "start it without",
        ),
        fix(
            "or",
            "mount --rbind /proc DIR",
            "shows the old one, with all that is mounted on it",
            "umount -R DIR",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, set_args};
    use crate::model::{Confidence, Fact, Filters, Mounting};

    #[test]
    fn who_owns_the_namespace_decides() {
        let finding = |owned: bool| {
            let mut i = incident("mount", Errno::EPERM, vec![]);
            set_args(&mut i, &[("fstype", "proc")], &[("flags", 0)]);
            i.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
            let shows = Some(("pid".to_string(), owned));
            i.facts.push(Fact::Mounting(Mounting {
                admin: Some(true),
                owns_mounts: Some(true),
                first_user_ns: Some(false),
                shows,
                ..Mounting::default()
            }));
            judge_with(&CAUSE, &i).map(|f| f.confidence)
        };
        assert_eq!(finding(false), Some(Confidence::Proven));
        assert_eq!(finding(true), None, "then it is a masked /proc");
    }
}
