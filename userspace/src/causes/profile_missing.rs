//! The AppArmor profile, or SELinux context, that a task was to take does not exist.

use super::case::rights::{object, refused, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "profile-missing",
    title: "the security profile is not loaded",
    about: "\
An engine gives a container its AppArmor profile by writing \"exec NAME\" to /proc/self/attr/apparmor/exec. The kernel \
says ENOENT, \"No such file or directory\", when no profile of that name is loaded: after a reboot before the engine \
loaded docker-default, in a virtual machine of its own, or where apparmor_parser is missing. runc then reports \
\"unable to apply apparmor profile … no such file or directory\" as if a file were missing. For SELinux a context that the \
policy does not know is EINVAL.",
    shows_as: &[("write", "ENOENT"), ("write", "EINVAL")],
    deciders: &["aa_fqlookupn_profile", "fqlookupn_profile", "aa_change_profile", "security_context_to_sid"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a profile that no kernel has loaded",
        risk: "none: the child ends at once",
        variants: &["apparmor"],
    },
    see: &[
        "https://gitlab.com/apparmor/apparmor/-/wikis/home",
        "security/apparmor/domain.c: aa_change_profile(); security/apparmor/lsm.c: do_setattr()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = refused(case, &["write", "pwrite64"], &[libc::ENOENT, libc::EINVAL])?;
    let file = object(case)?;
    let whole = file.whole.as_deref().unwrap_or(&file.path);
    let (front, attribute) = whole.rsplit_once('/')?;
    let of_module = front.ends_with("/attr") || front.ends_with("/attr/apparmor");
    if !of_module || !["exec", "current", "sockcreate", "fscreate"].contains(&attribute) {
        return None;
    }
    let word = case.state("written word");
    let profile = word.and_then(|w| w.value.split_whitespace().last()).map(str::to_owned);
    let apparmor = front.ends_with("apparmor") || word.is_some_and(|w| w.value.starts_with("exec "));
    let mut missing = Vec::new();
    let confidence = match (errno.0, &profile) {
        // `aa_change_profile()` says ENOENT when there is no such label, and to nothing else.
        (libc::ENOENT, _) => Confidence::Proven,
        _ => {
            missing.push("whether the policy does not know the context, or the word is malformed".into());
            Confidence::Likely
        }
    };
    let name = profile.unwrap_or_else(|| "that name".into());
    let module = if apparmor || errno.0 == libc::ENOENT { "AppArmor profile" } else { "SELinux context" };
    Some(Proof {
        confidence,
        sentence: format!(
            "No {module} {name:?} is loaded; {} was to be confined by it.",
            case.failure().task.comm
        ),
        knob: Knob {
            kind: KnobKind::Lsm,
            name: module.into(),
            path: "/sys/kernel/security/apparmor/profiles".into(),
        },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: vec![format!("written to {whole}: {}", word.map_or("unread", |w| w.value.as_str()))],
        missing,
    })
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let name = case
        .state("written word")
        .and_then(|w| w.value.split_whitespace().last())
        .unwrap_or("NAME")
        .to_owned();
    vec![
        Remedy {
            when: "now".into(),
            command: format!("apparmor_parser -r -W /etc/apparmor.d/{name}"),
            effect: "loads the profile; docker-default is loaded by dockerd at its start (systemctl restart docker)".into(),
            undo: format!("apparmor_parser -R /etc/apparmor.d/{name}"),
        },
        Remedy {
            when: "for good".into(),
            command: "--security-opt apparmor=NAME with a profile that every host loads at boot".into(),
            effect: "on Kubernetes the node must have it before the pod is placed there".into(),
            undo: "start it without the option".into(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, state, with_object};
    use crate::model::Errno;

    #[test]
    fn a_profile_that_is_not_loaded_and_other_files_of_proc() {
        let mut incident = with_object("write", Errno::ENOENT, file("/proc/7/attr/apparmor/exec", 0o666));
        incident.facts.push(state("written word", "/proc/7/attr/apparmor/exec", "exec web-profile"));
        let f = judge_with(&CAUSE, &incident).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("AppArmor profile", Confidence::Proven));
        assert!(f.sentence.contains("\"web-profile\""));
        let other =
            with_object("write", Errno::ENOENT, file("/sys/fs/cgroup/x/cgroup.subtree_control", 0o644));
        assert_eq!(judge_with(&CAUSE, &other), None);
    }
}
