//! A switch of the machine forbids unprivileged users to make user namespaces.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids::{self, CAP_SYS_ADMIN};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const SYSCALLS: &[&str] = &["unshare", "clone", "clone3"];

const DEBIAN: &str = "kernel.unprivileged_userns_clone";
const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";

/// Debian's patch asks at the top of both calls; AppArmor through its hook.
const DECIDERS: &[&str] =
    &["ksys_unshare", "copy_process", "apparmor_userns_create", "security_create_user_ns"];
const CALLERS: &[&str] = &[
    "unshare_userns",
    "create_user_ns",
    "copy_creds",
    "kernel_clone",
    "capable",
    "ns_capable",
    "ns_capable_common",
    "cap_capable",
    "security_capable",
];

const CLONE_NEWUSER: u64 = 0x1000_0000;

pub(super) static CAUSE: Cause = Cause {
    slug: "userns-forbidden",
    title: "a sysctl forbids unprivileged user namespaces",
    about: "\
Rootless podman or docker, bubblewrap, flatpak and browsers' sandboxes fail with EPERM (or EACCES) at unshare(2) or
clone(2) with CLONE_NEWUSER. Debian's kernels (and those derived from them) have kernel.unprivileged_userns_clone: with
0, only CAP_SYS_ADMIN in the first user namespace may make user namespaces; the patch asks in ksys_unshare() and
copy_process(). Since 6.6 AppArmor has kernel.apparmor_restrict_unprivileged_userns: with 1, a program without a
profile that allows `userns` is refused, or gets a user namespace in which it has no capability, so that the *next*
step (uid_map, mount) fails instead.

It surprises because the third switch looks the same to the user and is none of these: user.max_user_namespaces=0
says ENOSPC. A container that is privileged otherwise meets it when the switch was set by a hardening guide.",
    shows_as: &[("unshare", "EPERM"), ("clone", "EPERM"), ("clone3", "EPERM"), ("unshare", "EACCES"), ("clone", "EACCES")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[
        Rival {
            name: "a seccomp filter",
            ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
            stands: ids::filter_stands,
        },
        Rival {
            name: "the caller's ids have no mapping, or it is chrooted",
            ruled_out_by: "both are asked later than kernel.unprivileged_userns_clone, in create_user_ns()",
            stands: |_| None,
        },
    ],
    explain,
    remedy,
    fault: Fault::None("kernel.unprivileged_userns_clone is the whole machine's: rootless containers of others would fail"),
    see: &[
        "Debian: debian/patches/debian/add-sysctl-to-disallow-unprivileged-CLONE_NEWUSER-by-default.patch",
        "https://docs.kernel.org/admin-guide/LSM/apparmor.html",
        "security/apparmor/lsm.c: apparmor_userns_create()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(SYSCALLS, Errno::EPERM).or_else(|| case.denied(SYSCALLS, Errno::EACCES))?;
    if case.failure().number_arg("flags")? & CLONE_NEWUSER == 0 {
        return None;
    }
    let set = |name: &str, value: &str| case.state(name).is_some_and(|s| s.value == value);
    let eperm = case.denied(SYSCALLS, Errno::EPERM).is_some();
    let privileged = ids::has(case, CAP_SYS_ADMIN);
    let (name, value) = match () {
        () if eperm && set(DEBIAN, "0") => (DEBIAN, "0"),
        () if set(APPARMOR, "1") => (APPARMOR, "1"),
        () => return None,
    };
    let refused = match (name, privileged) {
        // Capabilities count in the first user namespace only.
        (_, Some(true)) if in_first(case) != Some(false) => Some(false),
        (DEBIAN, Some(_)) => Some(true),
        // A profile may allow it.
        _ => None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, refused)?;
    let who = &case.failure().task.comm;
    let sentence = format!(
        "{who} asked {call} for a user namespace, which {name}={value} forbids without CAP_SYS_ADMIN."
    );
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    let lines = cite_state(case, name).into_iter().chain(ids::cite(case, "CAP_SYS_ADMIN", CAP_SYS_ADMIN));
    Some(weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Sysctl, name, path)).because(lines))
}

/// Whether the caller is in the first user namespace, whose inode never changes (`PROC_USER_INIT_INO`).
fn in_first(case: &Case<'_>) -> Option<bool> {
    case.failure().task.user_ns.map(|inode| inode == 0xefff_fffd)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let name = proof.knob.name.as_str();
    let (on, off) = if name == DEBIAN { ("1", "0") } else { ("0", "1") };
    let mut out = vec![
        step(
            "now",
            format!("sysctl -w {name}={on}"),
            "for all users of the machine: more kernel code is in reach of them; it was set on purpose",
            format!("sysctl -w {name}={off}"),
        ),
        step(
            "for good",
            format!("echo '{name} = {on}' > /etc/sysctl.d/90-userns.conf"),
            "from the next boot on",
            "rm /etc/sysctl.d/90-userns.conf",
        ),
    ];
    if name == APPARMOR {
        out.push(step(
            "for one program",
            "a profile with `userns,` in /etc/apparmor.d, then apparmor_parser -r",
            "allows this program alone, which is what the restriction is meant for",
            "remove the profile",
        ));
    }
    out.push(look("grep -r userns /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d", "who set it"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::Confidence;

    #[test]
    fn the_switch_and_no_capability_are_the_cause() {
        let mut i = called("unshare", libc::EPERM, CLONE_NEWUSER);
        state(&mut i, DEBIAN, "0");
        state(&mut i, "CapEff", "0000000000000000");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, DEBIAN));
    }

    #[test]
    fn an_open_switch_or_a_privileged_caller_is_no_case() {
        let mut i = called("unshare", libc::EPERM, CLONE_NEWUSER);
        state(&mut i, DEBIAN, "1");
        state(&mut i, "CapEff", "0000000000000000");
        assert!(judge_with(&CAUSE, &i).is_none());
        let mut i = called("unshare", libc::EPERM, CLONE_NEWUSER);
        i.failure.task.user_ns = Some(0xefff_fffd);
        state(&mut i, DEBIAN, "0");
        state(&mut i, "CapEff", "000001ffffffffff");
        assert!(judge_with(&CAUSE, &i).is_none());
    }

    #[test]
    fn apparmor_may_have_a_profile_that_allows_it() {
        let mut i = called("unshare", libc::EACCES, CLONE_NEWUSER);
        state(&mut i, APPARMOR, "1");
        state(&mut i, "CapEff", "0000000000000000");
        let f = judge_with(&CAUSE, &i).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Possible, APPARMOR));
    }
}
