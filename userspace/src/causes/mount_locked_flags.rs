//! Flags of an inherited mount cannot be taken away.

use super::case::signs::{Claim, MountWork, filtered, fix, knob, lies};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const DECIDERS: &[&str] = &["can_change_locked_flags"];
const CALLERS: &[&str] = &[
    "do_reconfigure_mnt",
    "do_remount",
    "path_mount",
    "do_mount_setattr",
    "mount_setattr_prepare",
    "can_idmap_mount",
    "do_reconfigure_mnt_locked",
];

/// Flags that get locked, with the bits of mount(2) that keep them.
const LOCKABLE: &[(&str, u64)] = &[
    ("ro", libc::MS_RDONLY),
    ("nodev", libc::MS_NODEV),
    ("nosuid", libc::MS_NOSUID),
    ("noexec", libc::MS_NOEXEC),
];

pub(super) static CAUSE: Cause = Cause {
    slug: "mount-locked-flags",
    title: "flags of a mount from outside are locked here",
    about: "\
In a user namespace (a rootless or nested container) a remount fails with EPERM although the caller has CAP_SYS_ADMIN there. Mounts that
came along from the outer mount namespace keep their ro, nodev, nosuid, noexec and atime flags: can_change_locked_flags() in
fs/namespace.c refuses to clear one. The usual victim does not want to clear anything: `mount -o remount,bind,ro X` sets the flags
anew, and those not named count as cleared, so a bind of /etc/resolv.conf from a nodev tmpfs must be remounted with nodev,ro.
Engines that do not repeat the flags fail so. It is neither a missing capability nor a seccomp filter.",
    shows_as: &[("mount", "EPERM"), ("mount_setattr", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival { name: "a seccomp filter", ruled_out_by: "no filter on the task, or a kernel path of the call", stands: filtered }],
    explain,
    remedy,
    fault: Fault::Action { about: "remounts a nodev mount in a user namespace without naming nodev", risk: "none: in namespaces of its own", variants: &["remount"] },
    see: &["mount_namespaces(7), Restrictions on mount namespaces", "fs/namespace.c: can_change_locked_flags()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(&["mount", "mount_setattr"], Errno::EPERM)?;
    let work = case.mount_work();
    if call == "mount" && !matches!(work, MountWork::Remount | MountWork::RemountBind) {
        return None;
    }
    let facts = case.mounting();
    if facts.is_some_and(|m| {
        m.admin == Some(false) || m.first_user_ns == Some(true) || m.owns_mounts == Some(false)
    }) {
        return None;
    }
    let place = case.place(if call == "mount" { "target" } else { "pathname" });
    let wanted = case.mount_flags();
    let lost: Vec<&str> = match place {
        Some(place) if call == "mount" => LOCKABLE
            .iter()
            .filter(|(flag, bit)| place.flag(flag) == Some(true) && wanted & bit == 0)
            .map(|row| row.0)
            .collect(),
        _ => Vec::new(),
    };
    // A file system's own remount asks for the capability over its superblock.
    let said = case.returned("can_change_locked_flags") == Some(0) || case.verdict(DECIDERS).is_some();
    let state = match (lost.is_empty(), said) {
        (_, true) => Some(true),
        (false, false) if work == MountWork::RemountBind && facts.is_some() => Some(true),
        (false, false) => None,
        // Atime flags are locked too, and cannot be told from the text of mountinfo alone.
        (true, false) => None,
    };
    if state.is_none()
        && lost.is_empty()
        && call == "mount"
        && place.is_some_and(|p| p.flag("relatime") == Some(true))
    {
        return None;
    }
    let flags = if lost.is_empty() { "its flags".to_string() } else { lost.join(", ") };
    Claim {
        deciders: DECIDERS,
        callers: CALLERS,
        state,
        sentence: format!("The mount came from outside the user namespace of {}, so {flags} may not be cleared, and a remount that does not name a flag clears it.", case.who()),
        knob: knob(KnobKind::MountOption, lost.first().copied().unwrap_or("locked flags"), place.and_then(|p| p.mount.as_ref()).map(|m| m.point.clone()).unwrap_or_default()),
        evidence: place.map(lies).into_iter().collect(),
        missing: Vec::new(),
    }
    .prove(case)
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let place = case.place("target");
    let keep: Vec<&str> =
        LOCKABLE.iter().map(|r| r.0).filter(|f| place.and_then(|p| p.flag(f)) == Some(true)).collect();
    vec![fix(
        "now",
        format!("mount -o remount,bind,{} {}", keep.join(","), proof.knob.path),
        "name the flags that the mount has already, beside those you want",
        "none needed",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{incident, judge_with, place, set_args};
    use crate::model::{Confidence, Fact, Filters, Mounting};

    fn finding(flags: u64, mounted: &str, first: bool) -> Option<Confidence> {
        let mut i = incident("mount", Errno::EPERM, vec![]);
        set_args(&mut i, &[("target", "/m")], &[("flags", flags)]);
        i.failure.task.filters = Some(Filters { mode: 0, count: 0, inherited: false });
        i.facts.push(Fact::Place(place("target", "/m", mounted)));
        i.facts.push(Fact::Mounting(Mounting {
            admin: Some(true),
            owns_mounts: Some(true),
            first_user_ns: Some(first),
            ..Mounting::default()
        }));
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_flag_that_would_be_cleared() {
        let remount = libc::MS_REMOUNT | libc::MS_BIND;
        assert_eq!(finding(remount, "ro,nodev,relatime", false), Some(Confidence::Proven));
        assert_eq!(finding(remount | libc::MS_RDONLY | libc::MS_NODEV, "ro,nodev,relatime", false), None);
        assert_eq!(finding(remount, "ro,nodev", true), None, "nothing is locked in the first user namespace");
        assert_eq!(finding(0, "ro", false), None, "a new mount has other reasons");
    }
}
