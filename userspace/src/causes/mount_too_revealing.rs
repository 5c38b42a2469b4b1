//! A fresh /proc or /sys would show what the engine masked.

use super::case::signs::{Claim, MountWork, filtered, fix, knob};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["mount_too_revealing"];
const CALLERS: &[&str] =
    &["do_new_mount", "do_new_mount_fc", "path_mount", "__x64_sys_fsmount", "mnt_already_visible"];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-too-revealing",
    title: "a new /proc or /sys would show what is masked here",
    about: "\
A container in a container (rootless docker, podman or buildah inside docker, bubblewrap, unshare -Urpf --mount-proc) fails to mount
proc or sysfs with EPERM. Its user namespace owns its pid namespace and it has all capabilities: the refusal is
mount_too_revealing() in fs/namespace.c. Engines mask parts of /proc (/proc/kcore, /proc/keys, /proc/sys read-only …) by mounting
over them, and a fresh proc would lack these masks. So in a user namespace it may be mounted only when some proc that
is visible already has nothing mounted on top of it, but on empty folders, and no stricter flags.

It surprises because the outer container may even be privileged in all other ways, and because nothing in the text
points to the masks. It is no missing capability and no seccomp filter.",
    shows_as: &[("mount", "EPERM"), ("fsmount", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival { name: "a seccomp filter", ruled_out_by: "no filter on the task, or a kernel path of the call", stands: filtered }],
    explain,
    remedy,
    fault: Fault::None("it takes a pid namespace inside a user namespace, so a second process; not written yet"),
    see: &["user_namespaces(7)", "fs/namespace.c: mount_too_revealing(), mnt_already_visible()", "https://github.com/opencontainers/runc/issues/1658"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mount", "fsmount"], Errno::EPERM)?;
    let facts = case.mounting();
    let fstype = case.failure().text_arg("fstype");
    let shows = matches!(fstype, Some("proc" | "sysfs"));
    let new = call == "fsmount" || case.mount_work() == MountWork::New && shows;
    let barred = facts.is_some_and(|m| {
        m.admin == Some(false)
            || m.owns_mounts == Some(false)
            || m.first_user_ns == Some(true)
            || matches!(m.shows, Some((_, false)))
    });
    if !new || barred {
        return None;
    }
    let said = case.returned("mount_too_revealing") == Some(1) || case.verdict(DECIDERS).is_some();
    let masked = facts.map_or(&[][..], |m| &m.masked[..]);
    let state = match (call, masked.is_empty(), said) {
        (_, false, _) => Some(true),
        (_, true, true) => Some(true),
        // Stricter flags of the visible one refuse as well.
        ("mount", true, false) if facts.is_some() => None,
        _ => None,
    };
    if state.is_none() && call == "fsmount" {
        return None;
    }
    let what = fstype.unwrap_or("proc or sysfs");
    let mut evidence = Vec::new();
    if !masked.is_empty() {
        evidence.push(format!(
            "mounted on top of the {what} that {} sees: {}",
            case.who(),
            masked.join(", ")
        ));
    }
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence: format!("A fresh {what} would show what is masked in the one that {} sees, so a user namespace may not mount it.", case.who()),
        knob: knob(KnobKind::Other, "masked paths", masked.first().cloned().unwrap_or_default()),
        evidence,
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![
        fix(
            "now",
            "docker run --security-opt systempaths=unconfined …",
            "for the outer container: no masked and read-only paths; in Kubernetes procMount: Unmasked; in podman --security-opt unmask=ALL",
            "start it without the option",
        ),
        fix(
            "or",
            "mount --rbind /proc DIR",
            "in the inner one: the outer proc with its masks; shows the outer pids",
            "umount -R DIR",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, set_args};
    use crate::model::{Confidence, Fact, Filters, Mounting};

    fn finding(masked: &[&str], first: bool, owned: bool) -> Option<Confidence> {
        let mut i = incident("mount", Errno::EPERM, vec![]);
        set_args(&mut i, &[("fstype", "proc")], &[("flags", 0)]);
        i.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        let masked = masked.iter().map(|m| (*m).to_string()).collect();
        i.facts.push(Fact::Mounting(Mounting {
            admin: Some(true),
            owns_mounts: Some(true),
            first_user_ns: Some(first),
            shows: Some(("pid".into(), owned)),
            masked,
            ..Mounting::default()
        }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn masks_in_a_user_namespace_that_owns_its_pid_namespace() {
        assert_eq!(finding(&["/proc/kcore"], false, true), Some(Confidence::Proven));
        assert_eq!(finding(&[], false, true), Some(Confidence::Possible));
        assert_eq!(
            finding(&["/proc/kcore"], true, true),
            None,
            "the first user namespace is never refused so"
        );
        assert_eq!(finding(&["/proc/kcore"], false, false), None, "the pid namespace is another's");
    }
}
