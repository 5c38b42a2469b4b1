//! A security module said no: AppArmor, SELinux, Landlock, a BPF program.

use super::case::landlock;
use super::case::modes::path;
use super::case::rights::{cite, identity, module_stands};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "security-module",
    title: "a security module refuses it",
    about: "\
EACCES or EPERM although mode, capabilities and mount allow it: after all of these the kernel asks the security modules. \
Engines confine containers by AppArmor (docker-default denies mount, writes below /proc/sys and /sys, and ptrace of other \
profiles) or by SELinux (container_t may touch only files labelled container_file_t: a bind mount without :z or :Z is \
refused). The denial is in the kernel's log, if anywhere: apparmor=\"DENIED\", avc: denied.

A process may also confine itself and its children by Landlock (sandboxed decoders and daemons, Firefox, pacman, \
Suricata, systemd's LandlockRestrict…), which has no label, no file in /proc, and no log before 6.15: root is not exempt, and \
nothing on the file shows it. Opening, starting or changing a file outside of what its domain allows is EACCES; rename(2) and \
link(2) from one folder to another are EXDEV, \"Invalid cross-device link\", on one and the same mount, where the domain does \
not allow it for both (LANDLOCK_ACCESS_FS_REFER; kernels before 5.19 never do); and whoever is in a domain about files may not \
mount at all (EPERM).",
    shows_as: &[
        ("rename", "EXDEV"),
        ("renameat2", "EXDEV"),
        ("linkat", "EXDEV"),
        ("openat", "EACCES"),
        ("mount", "EACCES"),
        ("execve", "EACCES"),
        ("ptrace", "EACCES"),
        ("any", "EPERM"),
    ],
    deciders: &[
        "apparmor_file_open",
        "apparmor_sb_mount",
        "apparmor_capable",
        "apparmor_ptrace_access_check",
        "apparmor_path_mkdir",
        "aa_path_perm",
        "aa_file_perm",
        "selinux_file_open",
        "selinux_inode_permission",
        "avc_has_perm",
        "hook_file_open",
        "hook_path_mkdir",
        "hook_path_unlink",
        "hook_path_rename",
        "hook_ptrace_access_check",
        "hook_socket_connect",
        "hook_socket_bind",
        "current_check_access_path",
        "current_check_refer_path",
        "hook_path_link",
        "hook_sb_mount",
        "bpf_lsm_file_open",
        "tomoyo_file_open",
        "smack_inode_permission",
    ],
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens a file that a Landlock domain of its own does not allow, or renames one into another folder",
        risk: "none: the domain ends with the child",
        variants: &["landlock", "rename"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/LSM/index.html",
        "https://docs.docker.com/engine/security/apparmor/",
        "security/apparmor/lsm.c, security/selinux/hooks.c, security/landlock/fs.c",
    ],
};

/// The prefixes of modules' own functions, and the modules.
const MODULES: &[(&str, &str)] = &[
    ("apparmor_", "AppArmor"),
    ("aa_", "AppArmor"),
    ("selinux_", "SELinux"),
    ("avc_", "SELinux"),
    ("smack_", "Smack"),
    ("smk_", "Smack"),
    ("tomoyo_", "TOMOYO"),
    ("hook_", "Landlock"),
    ("current_check_access_", "Landlock"),
    ("current_check_refer_", "Landlock"),
    ("bpf_lsm_", "a BPF program"),
    ("loadpin_", "LoadPin"),
    ("ima_", "IMA"),
    ("safesetid_", "SafeSetID"),
];

/// `ima_` and `aa_` functions that only look; `yama_`, `lockdown_` and `cap_` have causes of their own.
fn module_of(function: &str) -> Option<&'static str> {
    MODULES.iter().find(|(prefix, _)| function.starts_with(prefix)).map(|(_, module)| *module)
}

/// A module's function that was seen to refuse with this errno.
fn seen(case: &Case<'_>, errno: Errno) -> Option<(String, &'static str)> {
    let path = case.path?;
    let decider = path.decider.as_deref().filter(|_| path.decider_method.as_deref() != Some("catalogue"));
    let by_return =
        path.returns.iter().rev().filter(|r| r.value == -i64::from(errno.0)).map(|r| r.function.as_str());
    decider.into_iter().chain(by_return).find_map(|f| module_of(f).map(|module| (f.to_owned(), module)))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (name, errno) = case.failure().syscall()?;
    let moved = errno == Errno(libc::EXDEV) && landlock::MOVES.contains(&name);
    if !moved && ![Errno::EACCES, Errno::EPERM].contains(&errno) {
        return None;
    }
    let label = identity(case).map(|who| who.label.as_str()).filter(|label| !label.is_empty());
    let denial = case.state("security denial");
    let verdict = seen(case, errno);
    if verdict.is_none() && denial.is_none() {
        return landlock::judge(case).or_else(|| by_label(case, label?));
    }
    let module = verdict.as_ref().map(|(_, module)| *module);
    let by_log = |value: &str| if value.contains("apparmor") { "AppArmor" } else { "SELinux" };
    let module = module.or_else(|| Some(by_log(&denial?.value)))?;
    let mut evidence: Vec<String> =
        verdict.map(|(function, _)| format!("{function}() refused it")).into_iter().collect();
    evidence.extend(denial.map(|d| format!("kernel log: {}", d.value)));
    Some(proof(case, Confidence::Proven, module, label).because(evidence).because(module_stands(case)))
}

/// Confined by a rule set that enforces; whether it was asked, and said no, was not seen.
fn by_label(case: &Case<'_>, label: &str) -> Option<Proof> {
    let (_, errno) = case.failure().syscall()?;
    if errno == Errno(libc::EXDEV) || !(label.contains("(enforce)") || label.contains(':')) {
        return None;
    }
    let module = if label.contains(':') { "SELinux" } else { "AppArmor" };
    let mut proof = proof(case, Confidence::Possible, module, Some(label)).because(module_stands(case));
    proof.missing.push(
        "the module's own verdict: its line in the kernel's log, or its function's return value".into(),
    );
    Some(proof)
}

fn proof(case: &Case<'_>, confidence: Confidence, module: &str, label: Option<&str>) -> Proof {
    let name = case.failure().syscall().map_or("the call", |(name, _)| name);
    let as_what = label.map_or_else(String::new, |label| format!(" (it is confined as {label:?})"));
    Proof {
        confidence,
        sentence: format!(
            "{module} refused {name} of {} to {}{as_what}.",
            path(case),
            case.failure().task.comm
        ),
        knob: Knob {
            kind: KnobKind::Lsm,
            name: module.to_lowercase(),
            path: format!("/proc/{}/attr/current", case.failure().task.pid),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: cite(case),
        missing: vec![],
    }
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let (command, effect) = match proof.knob.name.as_str() {
        "apparmor" => (
            "docker run --security-opt apparmor=unconfined …",
            "to confirm it: no profile at all; for good load a profile of your own that allows it (apparmor_parser -r) and \
             name it there, in Kubernetes securityContext.appArmorProfile",
        ),
        "selinux" => (
            "docker run -v HOST:PATH:z … (or :Z for this container alone)",
            "relabels the host's files as container_file_t: never do it to /home or /etc; ausearch -m avc shows the denial",
        ),
        "landlock" => (
            "let the program that restricts itself allow it (landlock_add_rule: the path, and LANDLOCK_ACCESS_FS_REFER to move \
             files), or switch its sandbox off",
            "a domain cannot be widened from outside, nor seen: its program's documentation says what it allows; since 6.15 \
             the kernel's audit log has lines with domain= and blockers=",
        ),
        _ => ("look into the module's own policy and log", "it refused, and no capability overrules it"),
    };
    vec![Remedy {
        when: "now".into(),
        command: command.into(),
        effect: effect.into(),
        undo: "start it as before".into(),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, judge_with, state, valued, with_object};
    use crate::model::{Fact, Path, Returned};

    #[test]
    fn a_module_s_function_or_its_log_line_proves_it() {
        let mut incident = by_user(with_object("openat", Errno::EACCES, file("/x", 0o644)), 0, u64::MAX);
        let returns = vec![Returned { function: "hook_file_open".into(), value: -13 }];
        let path = Path { functions: vec!["__x64_sys_openat".into()], returns, ..Path::default() };
        let f = CAUSE.judge(&Case { incident: &incident, path: Some(&path) }).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("landlock", Confidence::Proven));
        incident.facts.push(state(
            "security denial",
            "",
            "audit: apparmor=\"DENIED\" operation=\"open\" pid=7",
        ));
        let f = judge_with(&CAUSE, &incident).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("apparmor", Confidence::Proven));
    }

    /// In a Landlock domain, or not, as the probe saw it.
    fn landlocked(call: &str, errno: i32, is: u64, mode: u32) -> Option<Confidence> {
        let mut i = by_user(with_object(call, Errno(errno), file("/x", mode)), 0, u64::MAX);
        i.failure.readings =
            valued(call, Errno(errno), &[], &[("in a Landlock domain", is)], vec![]).failure.readings;
        judge_with(&CAUSE, &i).map(|f| f.confidence)
    }

    #[test]
    fn a_landlock_domain_is_likely_where_the_mode_allows_it() {
        assert_eq!(landlocked("openat", libc::EACCES, 1, 0o644), Some(Confidence::Likely));
        assert_eq!(landlocked("openat", libc::EACCES, 0, 0o644), None);
        assert_eq!(landlocked("mount", libc::EPERM, 1, 0o644), Some(Confidence::Likely));
        assert_eq!(landlocked("chown", libc::EPERM, 1, 0o644), None, "Landlock has no say in it");
        assert_eq!(landlocked("openat", libc::EPERM, 1, 0o644), None, "it says EACCES there");
    }

    #[test]
    fn a_label_alone_is_only_possible_and_without_any_it_is_nothing() {
        let mut incident = by_user(with_object("openat", Errno::EACCES, file("/x", 0o644)), 0, u64::MAX);
        assert_eq!(judge_with(&CAUSE, &incident), None);
        for fact in &mut incident.facts {
            if let Fact::Identity(who) = fact {
                who.label = "docker-default (enforce)".into();
            }
        }
        assert_eq!(judge_with(&CAUSE, &incident).unwrap().confidence, Confidence::Possible);
    }
}
