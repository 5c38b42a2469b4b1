//! create_user_ns() wants a creator that is mapped and not chrooted.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

const SYSCALLS: &[&str] = &["unshare", "clone", "clone3"];
const DECIDERS: &[&str] = &["create_user_ns", "current_chrooted"];
const CALLERS: &[&str] = &[
    "unshare_userns",
    "copy_creds",
    "ksys_unshare",
    "copy_process",
    "kernel_clone",
    "map_id_up",
    "map_id_range_up",
    "from_kuid",
    "from_kgid",
];

const CLONE_NEWUSER: u64 = 0x1000_0000;

pub(super) static CAUSE: Cause = Cause {
    slug: "userns-creator",
    title: "the maker of a user namespace is chrooted or has no mapped id",
    about: "\
unshare(2) or clone(2) with CLONE_NEWUSER fails with EPERM although every sysctl allows it. create_user_ns() in
kernel/user_namespace.c refuses two kinds of callers. First, one whose effective uid or gid has no mapping in its own
user namespace: it made that namespace a moment ago and nobody has written uid_map and gid_map yet, or it runs as
65534 in a container whose map is too small. Second, one that is chrooted, because the capabilities of the new namespace
would let it break out: chroot(2) instead of pivot_root(2) as old build tools and rescue systems use it.

It surprises because both work as soon as the order is changed: write the maps, or pivot_root, before.",
    shows_as: &[("unshare", "EPERM"), ("clone", "EPERM"), ("clone3", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter, or a sysctl that forbids user namespaces",
        ruled_out_by: "no filter answered, and kernel.unprivileged_userns_clone is 1 or not there",
        stands: |case| {
            let forbidden = case.state("kernel.unprivileged_userns_clone").is_some_and(|s| s.value == "0");
            ids::filter_stands(case).or_else(|| forbidden.then(|| "kernel.unprivileged_userns_clone is 0".into()))
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "makes a user namespace from one without maps, or from a chroot",
        risk: "none: only this process is refused something",
        variants: &["unmapped", "chrooted"],
    },
    see: &["user_namespaces(7), ERRORS of unshare(2): EPERM", "kernel/user_namespace.c: create_user_ns()"],
};

/// What is wrong with the caller.
enum Trouble {
    Chrooted(String),
    Unmapped { file: &'static str },
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let call = case.denied(SYSCALLS, Errno::EPERM)?;
    if case.failure().number_arg("flags")? & CLONE_NEWUSER == 0 {
        return None;
    }
    let trouble = chrooted(case).or_else(|| unmapped(case));
    let known =
        case.state("uid_map").is_some() && case.state("Uid").is_some() && case.state("root folder").is_some();
    let state = match (&trouble, known) {
        (Some(_), _) => Some(true),
        (None, true) => Some(false),
        (None, false) => None,
    };
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let (sentence, knob) = match &trouble {
        Some(Trouble::Chrooted(root)) => (
            format!(
                "{who} is chrooted to {root}, and a chrooted task may not make a user namespace with {call}."
            ),
            knob(KnobKind::Other, "root folder of the caller", "chroot(2)"),
        ),
        Some(Trouble::Unmapped { file }) => (
            format!(
                "The effective id of {who} has no mapping in its own user namespace ({file}), so {call} may not make another below it."
            ),
            knob(KnobKind::File, file, format!("/proc/{}/{file}", case.failure().task.pid)),
        ),
        None => (
            format!(
                "{who} is chrooted or has an id without a mapping, so {call} may not make a user namespace."
            ),
            knob(KnobKind::File, "uid_map", "/proc/PID/uid_map"),
        ),
    };
    let lines =
        ["root folder", "Uid", "Gid", "uid_map", "gid_map"].into_iter().filter_map(|n| cite_state(case, n));
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn chrooted(case: &Case<'_>) -> Option<Trouble> {
    let root = &case.state("root folder")?.value;
    (root != "/").then(|| Trouble::Chrooted(root.clone()))
}

/// The maps have ids of the outside as diag sees them, and so has status.
fn unmapped(case: &Case<'_>) -> Option<Trouble> {
    for (line, file) in [("Uid", "uid_map"), ("Gid", "gid_map")] {
        let (Some(id), Some(map)) =
            (case.state(line).and_then(|s| ids::effective(&s.value)), ids::own_map(case, file))
        else {
            continue;
        };
        if ids::inside_of(&map, id).is_none() {
            return Some(Trouble::Unmapped { file });
        }
    }
    None
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    if proof.knob.kind == KnobKind::Other {
        return vec![step(
            "now",
            "unshare -m sh -c 'mount --rbind NEWROOT NEWROOT && cd NEWROOT && pivot_root . . && umount -l . && exec …'",
            "changes the root of a mount namespace of its own, which is no chroot to the kernel",
            "nothing to undo: it ends with the process",
        )];
    }
    vec![
        step(
            "now",
            format!("newuidmap {pid} 0 UID 1; newgidmap {pid} 0 GID 1"),
            "maps the caller's ids, from outside, before it goes on; a map can be written once only",
            "nothing to undo: it ends with the namespace",
        ),
        look(
            format!("cat /proc/{pid}/uid_map /proc/{pid}/gid_map; grep -E 'Uid|Gid' /proc/{pid}/status"),
            "an empty map maps nothing",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::{Confidence, Incident};

    fn maker(root: &str, map: &str) -> Incident {
        let mut i = called("unshare", libc::EPERM, CLONE_NEWUSER);
        for (name, value) in [
            ("root folder", root),
            ("Uid", "1000 1000 1000 1000"),
            ("Gid", "5 5 5 5"),
            ("uid_map", map),
            ("gid_map", "0 0 4294967295"),
        ] {
            state(&mut i, name, value);
        }
        i
    }

    #[test]
    fn an_id_without_a_map_is_named() {
        let f = judge_with(&CAUSE, &maker("/", "")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "uid_map"));
        let f = judge_with(&CAUSE, &maker("/srv/old", "0 1000 1")).unwrap();
        assert_eq!(f.confidence, Confidence::Proven);
        assert!(f.sentence.contains("chrooted to /srv/old"));
    }

    #[test]
    fn a_mapped_caller_at_its_root_is_no_case_and_the_switch_comes_first() {
        assert!(judge_with(&CAUSE, &maker("/", "0 1000 1")).is_none());
        let mut i = maker("/", "");
        state(&mut i, "kernel.unprivileged_userns_clone", "0");
        assert_eq!(judge_with(&CAUSE, &i).unwrap().confidence, Confidence::Likely);
    }
}
