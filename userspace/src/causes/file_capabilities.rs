//! A program whose file wants a capability that the container may never have.

use super::case::claim::{cite_state, knob, look, step, weigh};
use super::case::rights::{CAPABILITIES, object};
use super::case::switch::FILTER;
use super::case::{Case, remedies};
use super::{Cause, Fault, Proof};
use crate::model::{Errno, Fact, Finding, KnobKind, Remedy};

const DECIDERS: &[&str] = &[
    "cap_bprm_creds_from_file",
    "bprm_caps_from_vfs_caps",
    "get_file_caps",
    "security_bprm_creds_from_file",
];
const CALLERS: &[&str] = &[
    "bprm_creds_from_file",
    "begin_new_exec",
    "load_elf_binary",
    "search_binary_handler",
    "exec_binprm",
    "bprm_execve",
    "do_execveat_common",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "file-capabilities",
    title: "the program's file wants a capability that is not in the bounding set",
    about: "\
\"exec /coredns: operation not permitted\", \"ping: operation not permitted\": execve(2) says EPERM although the file may be \
read and executed by everybody, and root fares no better. The file has capabilities (setcap, getcap) with the effective bit, which \
means that the program would not know how to do without; when one of them is not in the task's bounding set the kernel rather \
starts nothing: bprm_caps_from_vfs_caps() in security/commoncap.c.

It surprises after `docker run --cap-drop ALL` and drop: [ALL] in Kubernetes, where images carry the attribute unseen: \
cap_net_bind_service on coredns, nginx or caddy, cap_net_raw on ping, cap_ipc_lock on vault. With no_new_privs, or on a nosuid \
mount, no call fails: the program starts without them, and is refused later.",
    shows_as: &[("execve", "EPERM"), ("execveat", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "gives a program a capability, takes that out of its own bounding set, and starts it",
        risk: "none: the program lies on a tmpfs in a mount namespace of its own",
        variants: &["bounding"],
    },
    see: &[
        "capabilities(7), File capabilities; Safety checking for capability-dumb binaries",
        "security/commoncap.c: bprm_caps_from_vfs_caps(), get_file_caps()",
    ],
};

/// Permitted, inheritable, and whether the effective bit is set.
fn sets(case: &Case<'_>, name: &str) -> Option<(u64, u64, bool)> {
    let mut words = case.state(name)?.value.split(' ');
    let mut set = || u64::from_str_radix(words.next()?, 16).ok();
    Some((set()?, set()?, set()? == 1))
}

/// Those of the file that the task cannot get: `(permitted & bounding) | (inheritable of both)`.
fn lacking(case: &Case<'_>) -> Option<u64> {
    let (permitted, inheritable, effective) = sets(case, "file capabilities")?;
    let bounding = case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Identity(who) => Some(who.bounding),
        _ => None,
    })?;
    let own = case.state("CapInh").and_then(|s| u64::from_str_radix(&s.value, 16).ok())?;
    // On a nosuid mount files have none (`mnt_may_suid()`).
    let flags = object(case).and_then(|o| o.mount.as_ref()).map_or("", |m| m.flags.as_str());
    let counts = effective && !flags.split(',').any(|flag| flag == "nosuid");
    Some(if counts { permitted & !((permitted & bounding) | (inheritable & own)) } else { 0 })
}

fn names(set: u64) -> Vec<&'static str> {
    CAPABILITIES.iter().enumerate().filter(|(at, _)| set >> at & 1 == 1).map(|(_, name)| *name).collect()
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(&["execve", "execveat"], Errno::EPERM)?;
    let file = case.state("file capabilities")?.of.clone();
    let lacking = lacking(case);
    let weighed = weigh(case, DECIDERS, CALLERS, lacking.map(|set| set != 0))?;
    let wanted = names(lacking.or_else(|| Some(sets(case, "file capabilities")?.0)).unwrap_or(0));
    let sentence = format!(
        "{file} has {} as file capabilities with the effective bit, and the bounding set of {} lacks them: it is not started.",
        wanted.join(", "),
        case.failure().task.comm
    );
    let name = wanted.first().copied().unwrap_or("file capabilities");
    let lines = ["file capabilities", "CapInh"].into_iter().filter_map(|name| cite_state(case, name));
    let bounding = case.incident.facts.iter().find_map(|fact| match fact {
        Fact::Identity(who) => Some(format!("the bounding set is {:016x}", who.bounding)),
        _ => None,
    });
    let path = format!("security.capability of {file}");
    let proof = weighed.proof(case, DECIDERS, sentence, knob(KnobKind::Capability, name, path));
    Some(proof.because(lines.chain(bounding)))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let file = case.state("file capabilities").map_or("FILE", |s| s.of.as_str());
    let mut all = remedies::capability(
        &proof.knob.name,
        "the capability is in the bounding set, and the file has its way",
    );
    all.push(step(
        "or",
        format!("setcap -r {file}"),
        "in the image: the program starts, and does without what it wanted (a port below 1024, raw sockets)",
        "setcap with what getcap showed before",
    ));
    all.push(look(
        format!("getcap {file}; grep CapBnd /proc/PID/status"),
        "what the file wants, and what may be had",
    ));
    all
}

/// Where a program was refused for want of a capability that its own file has: why that had no effect.
pub(super) fn amend(case: &Case<'_>, finding: &mut Finding) {
    const NAME: &str = "file capabilities of the program";
    let Some(bit) = CAPABILITIES.iter().position(|name| *name == finding.knob.name) else { return };
    let Some((permitted, ..)) = sets(case, NAME).filter(|(permitted, ..)| permitted >> bit & 1 == 1) else {
        return;
    };
    let promised = case.incident.facts.iter().any(|fact| match fact {
        Fact::Identity(who) => who.no_new_privs == Some(true),
        _ => false,
    });
    let nosuid = case.value("nosuid of the program") == Some(1);
    let (why, way) = match (promised, nosuid) {
        (true, _) => (
            "it was started under no_new_privs",
            "docker run without --security-opt no-new-privileges; allowPrivilegeEscalation: true in Kubernetes",
        ),
        (false, true) => ("it lies on a nosuid mount", "move the program to a mount without nosuid"),
        (false, false) => return,
    };
    let file = case.state(NAME).map_or("the program", |s| s.of.as_str());
    finding.evidence.push(format!(
        "{file} has {} as a file capability, which had no effect: {why}",
        names(permitted & 1 << bit).join(", ")
    ));
    finding
        .remedy
        .insert(0, step("now", way, "the capabilities of the program's file take effect", "as before"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, judge_with, state, with_object};
    use crate::model::{Confidence, Incident};

    const RAW: u64 = 1 << 13;

    fn started(attribute: &str, bounding: u64, flags: &str) -> Incident {
        let mut object = file("/usr/bin/ping", 0o755);
        if let Some(mount) = &mut object.mount {
            mount.flags = flags.into();
        }
        let mut i = by_user(with_object("execve", Errno::EPERM, object), 1000, 0);
        for fact in &mut i.facts {
            if let Fact::Identity(who) = fact {
                who.bounding = bounding;
            }
        }
        i.facts.push(state("file capabilities", "/usr/bin/ping", attribute));
        i.facts.push(state("CapInh", "caller", "0000000000000000"));
        i
    }

    #[test]
    fn a_capability_outside_of_the_bounding_set_is_proven() {
        let f = judge_with(&CAUSE, &started("0000000000002000 0000000000000000 1", 0, "rw")).unwrap();
        assert_eq!((f.confidence, f.knob.name.as_str()), (Confidence::Proven, "CAP_NET_RAW"));
    }

    #[test]
    fn what_may_be_had_or_does_not_count_is_not_claimed() {
        let claimed =
            |text: &str, bounding, flags: &str| judge_with(&CAUSE, &started(text, bounding, flags)).is_some();
        assert!(!claimed("0000000000002000 0000000000000000 1", RAW, "rw"));
        assert!(
            !claimed("0000000000002000 0000000000000000 0", 0, "rw"),
            "without the effective bit it starts"
        );
        assert!(!claimed("0000000000002000 0000000000000000 1", 0, "rw,nosuid"));
        let plain = with_object("execve", Errno::EPERM, file("/usr/bin/ping", 0o755));
        assert!(judge_with(&CAUSE, &plain).is_none(), "no attribute");
    }

    #[test]
    fn an_attribute_without_effect_is_told_where_it_is_missed() {
        let mut i = by_user(with_object("socket", Errno::EPERM, file("/", 0o755)), 1000, 0);
        i.facts.push(state(
            "file capabilities of the program",
            "/bin/ping",
            "0000000000002000 0000000000000000 1",
        ));
        i.facts.push(state("nosuid of the program", "/bin/ping", "1"));
        let case = Case { incident: &i, path: None };
        let mut finding =
            judge_with(&CAUSE, &started("0000000000002000 0000000000000000 1", 0, "rw")).unwrap();
        let before = finding.remedy.len();
        amend(&case, &mut finding);
        assert_eq!(finding.remedy.len(), before + 1);
        assert!(finding.evidence.iter().any(|line| line.contains("nosuid mount")), "{:?}", finding.evidence);
    }
}
