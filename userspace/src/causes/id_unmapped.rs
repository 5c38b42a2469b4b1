//! A user or group that the caller's user namespace does not have.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids;
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, KnobKind, Remedy};

/// Calls with the arguments that are users and groups.
const CALLS: &[(&[&str], &[&str], &[&str])] = &[
    (&["setuid", "setuid32", "setfsuid"], &["uid"], &[]),
    (&["setgid", "setgid32", "setfsgid"], &[], &["gid"]),
    (&["setreuid", "setreuid32"], &["ruid", "euid"], &[]),
    (&["setregid", "setregid32"], &[], &["rgid", "egid"]),
    (&["setresuid", "setresuid32"], &["ruid", "euid", "suid"], &[]),
    (&["setresgid", "setresgid32"], &[], &["rgid", "egid", "sgid"]),
    (&["chown", "lchown", "fchown", "fchownat", "chown32", "lchown32", "fchown32"], &["owner"], &["group"]),
    (&["setgroups", "setgroups32"], &[], &[]),
];

const DECIDERS: &[&str] = &[
    "__sys_setuid",
    "__sys_setgid",
    "__sys_setreuid",
    "__sys_setregid",
    "__sys_setresuid",
    "__sys_setresgid",
    "chown_common",
    "groups_from_user",
];
const CALLERS: &[&str] = &[
    "do_fchownat",
    "ksys_fchown",
    "vfs_fchown",
    "make_kuid",
    "make_kgid",
    "map_id_down",
    "map_id_range_down",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "id-unmapped",
    title: "the user or group has no mapping in the user namespace",
    about: "\
chown(2), setuid(2), setresgid(2) or setgroups(2) fails with EINVAL, \"Invalid argument\": make_kuid() or make_kgid()
finds no range of /proc/PID/uid_map or gid_map that holds the id. Inside a user namespace only mapped ids exist.

It is the classic failure of rootless pulls (\"lchown /etc/gshadow: invalid argument\"): a layer holds a file of group
42 and the user has no range in /etc/subgid, so that only its own id is mapped. It surprises because the same image
works as root, because EINVAL says nothing of ids, and because an entry added to /etc/subuid has no effect before the
engine makes a new user namespace (podman system migrate).",
    shows_as: &[
        ("lchown", "EINVAL"), ("chown", "EINVAL"), ("fchown", "EINVAL"), ("fchownat", "EINVAL"), ("setuid", "EINVAL"),
        ("setgid", "EINVAL"), ("setresuid", "EINVAL"), ("setresgid", "EINVAL"), ("setgroups", "EINVAL"),
    ],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter",
        ruled_out_by: "no filter is installed, a kernel path was seen, or the filters let the call pass",
        stands: ids::filter_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives a folder to a group that its user namespace does not map",
        risk: "none: only this process is refused something",
        variants: &["chown"],
    },
    see: &["user_namespaces(7)", "subuid(5), subgid(5)", "kernel/sys.c: __sys_setresuid(); fs/open.c: chown_common()"],
};

struct Unmapped {
    id: Option<u32>,
    file: &'static str,
    what: &'static str,
    /// `None` when the list or the map was not read.
    state: Option<bool>,
}

fn unmapped(case: &Case<'_>, users: &[&str], groups: &[&str]) -> Option<Unmapped> {
    let mut read = true;
    for (names, file, what) in [(users, "uid_map", "user"), (groups, "gid_map", "group")] {
        let Some(map) = ids::own_map(case, file) else {
            read &= names.is_empty();
            continue;
        };
        let missing = names
            .iter()
            .filter_map(|n| case.failure().number_arg(n))
            .find(|id| !ids::has_inside(&map, *id as u32));
        if let Some(id) = missing {
            return Some(Unmapped { id: Some(id as u32), file, what, state: Some(true) });
        }
    }
    if users.is_empty() && groups.is_empty() {
        return Some(Unmapped { id: None, file: "gid_map", what: "group", state: None });
    }
    let first = if users.is_empty() { ("gid_map", "group") } else { ("uid_map", "user") };
    (!read).then_some(Unmapped { id: None, file: first.0, what: first.1, state: None })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall()?;
    if errno != Errno::EINVAL {
        return None;
    }
    let (_, users, groups) = CALLS.iter().find(|row| row.0.contains(&call))?;
    let found = unmapped(case, users, groups)?;
    let weighed = weigh(case, DECIDERS, CALLERS, found.state)?;
    let who = &case.failure().task.comm;
    let id = found.id.map_or_else(|| format!("a {}", found.what), |id| format!("{} {id}", found.what));
    let sentence = format!("{who} gave {call} {id}, which has no mapping in its user namespace.");
    let knob = knob(KnobKind::File, found.file, format!("/proc/{}/{}", case.failure().task.pid, found.file));
    let lines = cite_state(case, found.file).into_iter();
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(lines))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (tool, file) = if proof.knob.name == "gid_map" {
        ("--add-subgids", "/etc/subgid")
    } else {
        ("--add-subuids", "/etc/subuid")
    };
    let mut out = vec![
        step(
            "for good",
            format!(
                "usermod {tool} 100000-165535 USER; podman system migrate (or restart the rootless daemon)"
            ),
            "gives the user 65536 ids that nobody else must have; a user namespace takes them up when it is made",
            format!("remove the line from {file}"),
        ),
        look(
            format!("cat /proc/{}/{}; grep USER {file}", case.failure().task.pid, proof.knob.name),
            "the ranges that are mapped, and those that could be",
        ),
    ];
    if case.failure().syscall().is_some_and(|(call, _)| call.contains("chown")) {
        out.insert(
            0,
            step(
                "now",
                "podman --storage-opt ignore_chown_errors=true pull …",
                "files keep the one mapped owner: enough for a single-user image",
                "pull again without it",
            ),
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::ids::testing::{arg, called, state};
    use crate::causes::case::testing::judge_with;
    use crate::model::{Confidence, Incident};

    fn chown(owner: u64, group: u64, map: &str) -> Incident {
        let mut i = called("lchown", libc::EINVAL, 0);
        arg(&mut i, "owner", owner);
        arg(&mut i, "group", group);
        state(&mut i, "uid_map", map);
        state(&mut i, "gid_map", map);
        i
    }

    #[test]
    fn the_id_without_a_range_is_named() {
        let f = judge_with(&CAUSE, &chown(0, 42, "0 1000 1")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "gid_map"));
        assert!(f.sentence.contains("group 42"), "{}", f.sentence);
    }

    #[test]
    fn mapped_ids_and_minus_one_are_no_case() {
        assert!(judge_with(&CAUSE, &chown(0, u64::MAX, "0 1000 1")).is_none());
        assert!(judge_with(&CAUSE, &chown(5, 42, "0 0 4294967295")).is_none());
        let mut i = called("setresuid", libc::EPERM, 0);
        state(&mut i, "uid_map", "0 1000 1");
        assert!(judge_with(&CAUSE, &i).is_none());
    }
}
