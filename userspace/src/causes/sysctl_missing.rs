//! A sysctl that is to be set, and is not there.

use super::case::claim::step;
use super::case::rights::object;
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Confidence, Errno, Knob, KnobKind, ObjectKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "sysctl-missing",
    title: "there is no such sysctl here",
    about: "\
Setting a sysctl fails with ENOENT, \"No such file or directory\" (\"sysctl: cannot stat /proc/sys/net/bridge/…\", \"open \
/proc/sys/…: no such file or directory\" of runc): its file below /proc/sys is not there. Files come with what they are about: \
net.bridge.* with the module br_netfilter, net.netfilter.nf_conntrack_* with nf_conntrack, net.ipv4.vs.* with ip_vs, \
net.ipv4.conf.NAME with the interface of that name, net.ipv6.* with IPv6. Many of net.* are those of one network namespace and \
some exist in the first one only; a name may be newer than the kernel, or gone from it, or kernel.* of a distribution.

It surprises because the same line works on another host, or on this one outside of containers.",
    shows_as: &[("openat", "ENOENT"), ("open", "ENOENT"), ("newfstatat", "ENOENT")],
    deciders: &["proc_sys_lookup"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "opens a sysctl of an interface that is not there for writing",
        risk: "none: nothing is set",
        variants: &["interface"],
    },
    see: &["proc_sys(5), sysctl(8)", "fs/proc/proc_sysctl.c: proc_sys_lookup()", "https://docs.kernel.org/admin-guide/sysctl/"],
};

/// (what the name begins with, where it comes from, what brings it).
const ORIGINS: &[(&str, &str, &str)] = &[
    ("net/bridge/", "the module br_netfilter", "modprobe br_netfilter"),
    ("net/netfilter/nf_conntrack", "the module nf_conntrack", "modprobe nf_conntrack"),
    ("net/nf_conntrack_max", "the module nf_conntrack", "modprobe nf_conntrack"),
    ("net/ipv4/vs/", "the module ip_vs", "modprobe ip_vs"),
    ("net/sctp/", "the module sctp", "modprobe sctp"),
    ("net/mpls/", "the module mpls_router", "modprobe mpls_router"),
    ("net/rds/", "the module rds", "modprobe rds"),
    ("sunrpc/", "the module sunrpc", "modprobe sunrpc"),
    ("fs/nfs/", "the module nfs", "modprobe nfs"),
    ("dev/cdrom/", "the module cdrom", "modprobe cdrom"),
    ("kernel/yama/", "the security module Yama", ""),
    ("kernel/apparmor", "AppArmor, as Ubuntu builds it", ""),
    ("kernel/unprivileged_userns_clone", "a patch of Debian and Arch", ""),
];

/// Folders with a folder for each interface.
const BY_INTERFACE: &[&str] =
    &["net/ipv4/conf/", "net/ipv6/conf/", "net/ipv4/neigh/", "net/ipv6/neigh/", "net/mpls/conf/"];
const WRITES: u64 = 3;

fn interface(name: &str) -> Option<&str> {
    BY_INTERFACE.iter().find_map(|folder| name.strip_prefix(folder))?.split('/').next()
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    let stats = case.denied(&["stat", "newfstatat", "statx"], Errno::ENOENT).is_some();
    // Programs read switches that may not be there for luck (crypto.fips_enabled); who writes one wants it.
    let writes = case.denied(&["open", "openat", "openat2"], Errno::ENOENT).is_some()
        && case.failure().number_arg("flags").is_some_and(|flags| flags & WRITES != 0);
    if !stats && !writes {
        return None;
    }
    let path = case.failure().text_arg("pathname")?;
    let name = path.strip_prefix("/proc/sys/").filter(|name| !name.is_empty())?;
    let kind = object(case).map(|o| o.kind);
    let confidence = match kind {
        Some(ObjectKind::Absent | ObjectKind::NoWay) => Confidence::Proven,
        None if writes => Confidence::Likely,
        None => Confidence::Possible,
        Some(_) => return None,
    };
    let dotted = name.replace('/', ".");
    let why = match (interface(name), ORIGINS.iter().find(|(begin, ..)| name.starts_with(begin))) {
        (Some(interface), _) => format!("no interface {interface} is in its network namespace"),
        (_, Some((_, from, _))) => format!("it comes with {from}"),
        _ if name.starts_with("net/ipv6/") => "it comes with IPv6, or is no sysctl of this kernel".into(),
        _ if name.starts_with("net/") => {
            "no module has brought it, it exists in the first network namespace only, or this kernel has none of the name".into()
        }
        _ => "this kernel has none of the name".into(),
    };
    let missing = match confidence {
        Confidence::Proven => vec![],
        _ => vec!["what lay at the path: the process was gone before it could be looked up".to_string()],
    };
    Some(Proof {
        confidence,
        sentence: format!(
            "There is no sysctl {dotted} where {} looked for it: {why}.",
            case.failure().task.comm
        ),
        knob: Knob { kind: KnobKind::Sysctl, name: dotted, path: path.into() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence: object(case)
            .map(|o| {
                format!("{} ms after it {} was not there, seen from the task", o.after_ns / 1_000_000, o.path)
            })
            .into_iter()
            .collect(),
        missing,
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let name = proof.knob.path.strip_prefix("/proc/sys/").unwrap_or_default();
    if let Some(interface) = interface(name) {
        return vec![step(
            "now",
            format!("nsenter -t {} -n ip link", case.failure().task.pid),
            "the interfaces that are there; set the sysctl after the interface is made, or as net.ipv4.conf.default before",
            format!("nothing to undo; {interface} is made by the engine or CNI plugin"),
        )];
    }
    let module = ORIGINS.iter().find(|(begin, ..)| name.starts_with(begin)).map(|(.., command)| *command);
    match module {
        Some(command) if !command.is_empty() => vec![
            step(
                "now",
                command,
                "on the host: a container cannot load it",
                command.replace("modprobe", "modprobe -r"),
            ),
            step(
                "for good",
                format!(
                    "echo {} > /etc/modules-load.d/containers.conf",
                    command.trim_start_matches("modprobe ")
                ),
                "from the next boot on, before sysctl.d is read",
                "rm /etc/modules-load.d/containers.conf",
            ),
        ],
        _ => vec![step(
            "find it",
            format!(
                "sysctl -a 2>/dev/null | grep {}",
                proof.knob.name.rsplit('.').next().unwrap_or_default()
            ),
            "on the host: the name as this kernel has it, if any; what only the host has is set there, not with --sysctl",
            "reads only",
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{file, judge_with, set_args, with_object};
    use crate::model::{Incident, PathObject};

    fn opened(path: &str, flags: u64, kind: ObjectKind) -> Incident {
        let mut i = with_object("openat", Errno::ENOENT, PathObject { kind, ..file(path, 0o555) });
        set_args(&mut i, &[("pathname", path)], &[("flags", flags)]);
        i
    }

    #[test]
    fn what_brings_it_is_named() {
        let bridge = "/proc/sys/net/bridge/bridge-nf-call-iptables";
        let f = judge_with(&CAUSE, &opened(bridge, 1, ObjectKind::NoWay)).unwrap();
        assert_eq!(
            (f.confidence, f.knob.name.as_str()),
            (Confidence::Proven, "net.bridge.bridge-nf-call-iptables")
        );
        assert_eq!(f.remedy[0].command, "modprobe br_netfilter");
        let f = judge_with(&CAUSE, &opened("/proc/sys/net/ipv4/conf/eth7/forwarding", 2, ObjectKind::NoWay))
            .unwrap();
        assert!(f.sentence.contains("no interface eth7"), "{}", f.sentence);
    }

    #[test]
    fn a_question_and_other_files_are_not_claimed() {
        let fips = "/proc/sys/crypto/fips_enabled";
        assert_eq!(judge_with(&CAUSE, &opened(fips, 0, ObjectKind::NoWay)), None);
        assert_eq!(judge_with(&CAUSE, &opened("/etc/x", 1, ObjectKind::Absent)), None);
        assert_eq!(judge_with(&CAUSE, &opened("/proc/sys/kernel/panic", 1, ObjectKind::Regular)), None);
    }
}
