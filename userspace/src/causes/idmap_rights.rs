//! A map of ids that its writer may not write.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::ids::{self, CAP_SETFCAP, CAP_SETGID, CAP_SETUID};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Errno, FIRST_USER_NAMESPACE, KnobKind, Remedy};

const FILES: &[&str] = &["uid_map", "gid_map", "projid_map", "setgroups"];
const DECIDERS: &[&str] = &[
    "map_write",
    "new_idmap_permitted",
    "proc_setgroups_write",
    "proc_uid_map_write",
    "proc_gid_map_write",
    "proc_projid_map_write",
];
const CALLERS: &[&str] = &[
    "vfs_write",
    "new_sync_write",
    "ns_capable",
    "file_ns_capable",
    "cap_capable",
    "security_capable",
    "verify_root_map",
    "ns_capable_common",
];

/// `PROC_SUPER_MAGIC` (linux/magic.h).
const PROC: u64 = 0x9fa0;

pub(super) static CAUSE: Cause = Cause {
    slug: "idmap-rights",
    title: "the writer may not write this map of ids",
    about: "\
A write to uid_map, gid_map or setgroups of a user namespace fails with EPERM. map_write() and new_idmap_permitted() in
kernel/user_namespace.c let anybody map one single id, its own; every other map (a range, a second line, another's id)
takes CAP_SETUID or CAP_SETGID *in the parent user namespace*, which newuidmap and newgidmap have for the ranges of
/etc/subuid and /etc/subgid. Even for the own group, setgroups must say `deny` first, so that nobody drops a group that
keeps them out of a file. A map is written once; ids that the parent itself does not map cannot be passed on; mapping
the parent's root needs CAP_SETFCAP since 5.12; and after gid_map it is too late for setgroups.

It surprises in rootless containers whose newuidmap lost its file capability (copied, on nosuid, in an image), and inside
containers where the outer map is too small for the range that the tool asks for.",
    shows_as: &[("write", "EPERM")],
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
        about: "maps a range as a user without capabilities, or writes a map twice",
        risk: "none: only this process is refused something",
        variants: &["range", "twice"],
    },
    see: &["user_namespaces(7), Defining user and group ID mappings: writing to uid_map and gid_map", "newuidmap(1), subuid(5)", "kernel/user_namespace.c: map_write(), new_idmap_permitted()"],
};

/// Why, in words, and what would have to change.
struct Trouble {
    why: String,
    kind: KnobKind,
    name: &'static str,
    certain: bool,
}

fn sure(why: &str, kind: KnobKind, name: &'static str) -> Option<Trouble> {
    Some(Trouble { why: why.into(), kind, name, certain: true })
}

/// What setgroups says can only be taken back before the groups are mapped.
fn setgroups(written: &str, now: &str) -> Option<Trouble> {
    match (written, now) {
        ("allow", "deny") => {
            sure("setgroups says deny already, which cannot be taken back", KnobKind::File, "setgroups")
        }
        ("deny", "allow") => {
            sure("gid_map is written already, and setgroups must come before", KnobKind::File, "setgroups")
        }
        _ => None,
    }
}

fn trouble(case: &Case<'_>, file: &str, text: Option<&str>) -> Option<Trouble> {
    let state = |name: &str| case.state(name).map(|s| s.value.as_str());
    if file == "setgroups" {
        return setgroups(text?.trim(), state("target setgroups")?);
    }
    let own = format!("target {file}");
    if state(&own).is_some_and(|map| !map.is_empty()) {
        return sure(
            "it was written before, and can be written once",
            KnobKind::File,
            "a map is written once",
        );
    }
    let ranges = ids::ranges(text.filter(|t| !t.ends_with('…'))?)?;
    let (capability, name) =
        if file == "uid_map" { (CAP_SETUID, "CAP_SETUID") } else { (CAP_SETGID, "CAP_SETGID") };
    let inside = matches!((state("target ns/user"), state("writer ns/user")), (Some(a), Some(b)) if a == b);
    // Whoever is inside has nothing to say in the parent.
    let privileged = if inside { Some(false) } else { ids::has(case, capability) };
    let line = if file == "uid_map" { "Uid" } else { "Gid" };
    let id = state(line).and_then(ids::effective);
    if privileged != Some(false) {
        // Since 5.12 the parent's root may be mapped only by who could give files capabilities there
        // (kernel/user_namespace.c verify_root_map()).
        let root = file == "uid_map" && ranges.iter().any(|(_, outside, _)| *outside == 0);
        if root && !inside && ids::has(case, CAP_SETFCAP) == Some(false) {
            return sure(
                "mapping the parent's root takes CAP_SETFCAP in the parent user namespace",
                KnobKind::Capability,
                "CAP_SETFCAP",
            );
        }
        // Then ids that the parent does not have are left, or no capability over the namespace.
        let parent = ids::own_map(case, if file == "uid_map" { "uid_map" } else { "gid_map" })?;
        let unmapped = ranges.iter().any(|(_, outside, _)| !ids::has_inside(&parent, *outside));
        return (unmapped && !inside).then(|| Trouble {
            why: "an id of the outside has no mapping in the parent user namespace".into(),
            kind: KnobKind::File,
            name: "uid_map of the parent",
            certain: true,
        });
    }
    let single = ranges.len() == 1 && ranges[0].2 == 1;
    if !single {
        return sure(
            &format!("only one's own id may be mapped without {name} in the parent user namespace"),
            KnobKind::Capability,
            name,
        );
    }
    if file == "gid_map" && state("target setgroups") == Some("allow") {
        return sure(
            "without CAP_SETGID in the parent user namespace setgroups must say deny before",
            KnobKind::File,
            "setgroups",
        );
    }
    let foreign = id.is_some_and(|id| id != ranges[0].1);
    foreign.then(|| Trouble {
        why: format!("the id of the outside is not the writer's own, and it has no {name} in the parent"),
        kind: KnobKind::Capability,
        name,
        // Ids of a nested namespace's parent are not those that diag sees.
        certain: case.failure().task.user_ns == Some(FIRST_USER_NAMESPACE),
    })
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["write", "pwrite64"], Errno::EPERM)?;
    let file = case.failure().file().filter(|f| f.magic == PROC && FILES.contains(&f.name.as_str()))?;
    let text = case.failure().text_arg("written");
    let trouble = trouble(case, &file.name, text);
    let state = trouble.as_ref().and_then(|t| t.certain.then_some(true));
    let weighed = weigh(case, DECIDERS, CALLERS, state)?;
    let who = &case.failure().task.comm;
    let (why, kind, name) = match trouble {
        Some(t) => (t.why, t.kind, t.name),
        None => (
            "it lacks a capability over that user namespace or its parent".into(),
            KnobKind::Capability,
            if file.name == "gid_map" { "CAP_SETGID" } else { "CAP_SETUID" },
        ),
    };
    let sentence = format!("{who} may not write this {}: {why}.", file.name);
    let lines = ["target uid_map", "target gid_map", "target setgroups", "CapEff", "Uid", "Gid"];
    let written = text.map(|t| format!("written at that instant: {t:?}"));
    let path = case.state("target setgroups").map_or("/proc/PID", |s| s.of.as_str());
    let proof = weighed.proof(case, DECIDERS, sentence, knob(kind, name, format!("{path}/{}", file.name)));
    Some(proof.because(written.into_iter().chain(lines.into_iter().filter_map(|n| cite_state(case, n)))))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    match proof.knob.name.as_str() {
        "setgroups" => vec![step(
            "now",
            "echo deny > /proc/PID/setgroups, then write gid_map (unshare --map-root-user does both)",
            "processes of that namespace cannot change their supplementary groups",
            "nothing to undo: it ends with the namespace",
        )],
        "a map is written once" => vec![step(
            "now",
            "make a new user namespace and write all ranges in one write",
            "nothing else: a map cannot be changed",
            "nothing to undo",
        )],
        _ => vec![
            step(
                "now",
                "newuidmap PID 0 1000 1 1 100000 65536; newgidmap PID 0 1000 1 1 100000 65536",
                "they have the capability and check /etc/subuid and /etc/subgid (package uidmap)",
                "nothing to undo: it ends with the namespace",
            ),
            look(
                "getcap /usr/bin/newuidmap /usr/bin/newgidmap; ls -l /usr/bin/new?idmap; grep . /etc/sub?id",
                "whether they have their capability and the user its ranges",
            ),
        ],
    }
}

#[cfg(test)]
#[path = "idmap_rights_tests.rs"]
mod tests;
