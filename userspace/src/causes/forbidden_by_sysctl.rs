//! A switch of the whole machine forbids a call, whoever makes it.

use super::case::rights::{Holds, Scope, holds, identity, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "forbidden-by-sysctl",
    title: "a switch of the machine forbids it",
    about: "\
Some calls are switched off for everybody, by hardening guides or distributions, and say EPERM or EIO as if a \
privilege were missing: kernel.modules_disabled (no module is loaded until the next boot), kernel.kexec_load_disabled, \
dev.tty.legacy_tiocsti, fs.leases-enable and fs.dir-notify-enable (EINVAL from fcntl(2)), vm.hugetlb_shm_group (EPERM from \
shmget(2) with SHM_HUGETLB). The switches belong to the host; a container sees them, and \
cannot turn them. net.mptcp.enabled (ENOPROTOOPT, \"Protocol not available\", from socket(2) with IPPROTO_MPTCP) is the network \
namespace's.",
    shows_as: &[
        ("finit_module", "EPERM"),
        ("kexec_load", "EPERM"),
        ("ioctl", "EIO"),
        ("fcntl", "EINVAL"),
        ("shmget", "EPERM"),
        ("socket", "ENOPROTOOPT"),
    ],
    deciders: &["may_init_module", "kexec_load_check", "kexec_load_permitted", "tiocsti"],
    reads: &[],
    rivals: &[Rival {
        name: "a seccomp filter answered instead of the kernel",
        ruled_out_by: "no filters, filters that allow the call, or a kernel path of it",
        stands: seccomp_stands,
    }],
    explain,
    remedy,
    fault: Fault::None(
        "the switches are the whole machine's, and some cannot be turned back before it boots again",
    ),
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/kernel.html",
        "kernel/module/main.c: may_init_module(); drivers/tty/tty_io.c: tiocsti()",
    ],
};

struct Switch {
    name: &'static str,
    calls: &'static [&'static str],
    errno: i32,
    /// Whether this value, for this call, forbids it.
    forbids: fn(&Case<'_>, u64) -> bool,
    /// Whom.
    whom: &'static str,
    /// What would allow it; empty where it cannot be turned back.
    allows: &'static str,
}

const EVERYBODY: &str = "everybody, root included";
/// fcntl(2): F_SETLEASE, F_NOTIFY; shmget(2): SHM_HUGETLB.
const SETLEASE: u64 = 1024;
const NOTIFY: u64 = 1026;
const SHM_HUGETLB: u64 = 0o4000;
/// linux/in.h.
const IPPROTO_MPTCP: u64 = 262;

/// `can_do_hugetlb_shm()` (fs/hugetlbfs/inode.c); what RLIMIT_MEMLOCK allows is allowed besides.
fn no_huge_segments(case: &Case<'_>, group: u64) -> bool {
    let huge = case.failure().number_arg("shmflg").is_some_and(|flags| flags & SHM_HUGETLB != 0);
    let member = identity(case).map(|who| who.in_group(group as u32));
    huge && member == Some(false) && holds(case, "CAP_IPC_LOCK", Scope::First) == Holds::No
}

const SWITCHES: &[Switch] = &[
    Switch {
        name: "kernel.modules_disabled",
        calls: &["init_module", "finit_module", "delete_module"],
        errno: libc::EPERM,
        forbids: |case, value| value != 0 && holds(case, "CAP_SYS_MODULE", Scope::First) != Holds::No,
        whom: EVERYBODY,
        allows: "",
    },
    Switch {
        name: "kernel.kexec_load_disabled",
        calls: &["kexec_load", "kexec_file_load"],
        errno: libc::EPERM,
        forbids: |case, value| value != 0 && holds(case, "CAP_SYS_BOOT", Scope::First) != Holds::No,
        whom: EVERYBODY,
        allows: "",
    },
    Switch {
        name: "dev.tty.legacy_tiocsti",
        calls: &["ioctl"],
        errno: libc::EIO,
        forbids: |case, value| value == 0 && case.failure().number_arg("op") == Some(0x5412),
        whom: EVERYBODY,
        allows: "1",
    },
    Switch {
        name: "fs.leases-enable",
        calls: &["fcntl", "fcntl64"],
        errno: libc::EINVAL,
        forbids: |case, value| value == 0 && case.failure().number_arg("op") == Some(SETLEASE),
        whom: EVERYBODY,
        allows: "1",
    },
    Switch {
        name: "fs.dir-notify-enable",
        calls: &["fcntl", "fcntl64"],
        errno: libc::EINVAL,
        forbids: |case, value| value == 0 && case.failure().number_arg("op") == Some(NOTIFY),
        whom: EVERYBODY,
        allows: "1",
    },
    // mptcp_init_sock() (net/mptcp/protocol.c); of the network namespace.
    Switch {
        name: "net.mptcp.enabled",
        calls: &["socket"],
        errno: libc::ENOPROTOOPT,
        forbids: |case, value| value == 0 && case.failure().number_arg("protocol") == Some(IPPROTO_MPTCP),
        whom: "everybody in this network namespace",
        allows: "1",
    },
    Switch {
        name: "vm.hugetlb_shm_group",
        calls: &["shmget"],
        errno: libc::EPERM,
        forbids: no_huge_segments,
        whom: "all but the members of that group, those with CAP_IPC_LOCK, and those whose RLIMIT_MEMLOCK is large enough",
        allows: "GID",
    },
];

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (name, errno) = case.failure().syscall()?;
    let (switch, state, value) =
        SWITCHES.iter().filter(|s| s.calls.contains(&name) && s.errno == errno.0).find_map(|s| {
            let state = case.state(s.name)?;
            let value: u64 = state.value.parse().ok()?;
            (s.forbids)(case, value).then_some((s, state, value))
        })?;
    let mut evidence = vec![format!("{} = {value} ({})", switch.name, state.source)];
    evidence.extend(
        case.verdict(CAUSE.deciders).map(|v| format!("{} said no (found by {})", v.function, v.method)),
    );
    Some(Proof {
        confidence: Confidence::Proven,
        sentence: format!("{} is {value}, which forbids {name} here to {}.", switch.name, switch.whom),
        knob: Knob { kind: KnobKind::Sysctl, name: switch.name.into(), path: state.source.clone() },
        limit: None,
        usage: None,
        unit: String::new(),
        evidence,
        missing: vec![],
    })
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let name = &proof.knob.name;
    let now = case.state(name).map_or("OLD", |s| s.value.as_str());
    let allows = SWITCHES.iter().find(|s| s.name == name).map_or("", |s| s.allows);
    if allows.is_empty() {
        return vec![Remedy {
            when: "for good".into(),
            command: format!("take {name} out of /etc/sysctl.d and boot again"),
            effect: "it cannot be turned back while the kernel runs; load what is needed before it is set"
                .into(),
            undo: format!("sysctl -w {name}={now}"),
        }];
    }
    if name.starts_with("net.") {
        let pid = case.failure().task.pid;
        return vec![Remedy {
            when: "now".into(),
            command: format!("nsenter -t {pid} -n sysctl -w {name}={allows}"),
            effect: "for this network namespace (docker run --sysctl …); or ask for plain TCP, as clients do that fall back"
                .into(),
            undo: format!("nsenter -t {pid} -n sysctl -w {name}={now}"),
        }];
    }
    vec![Remedy {
        when: "now".into(),
        command: format!("sysctl -w {name}={allows}"),
        effect: "on the host, for all containers: what the switch protects from is possible again".into(),
        undo: format!("sysctl -w {name}={now}"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, incident, judge_with, set_args, state, with_object};
    use crate::model::Errno;

    #[test]
    fn modules_switched_off() {
        let mut incident =
            by_user(with_object("finit_module", Errno::EPERM, file("/m.ko", 0o644)), 0, u64::MAX);
        assert_eq!(judge_with(&CAUSE, &incident), None);
        incident.facts.push(state("kernel.modules_disabled", "", "1"));
        let f = judge_with(&CAUSE, &incident).unwrap();
        assert_eq!((f.knob.name.as_str(), f.confidence), ("kernel.modules_disabled", Confidence::Proven));
    }

    #[test]
    fn mptcp_switched_off_in_a_network_namespace() {
        let told = |protocol: u64, value: &str| {
            let mut i = by_user(incident("socket", Errno(libc::ENOPROTOOPT), vec![]), 0, u64::MAX);
            set_args(&mut i, &[], &[("domain", 2), ("type", 1), ("protocol", protocol)]);
            i.facts.push(state("net.mptcp.enabled", "", value));
            judge_with(&CAUSE, &i).map(|f| f.knob.name)
        };
        assert_eq!(told(IPPROTO_MPTCP, "0"), Some("net.mptcp.enabled".into()));
        assert_eq!((told(IPPROTO_MPTCP, "1"), told(6, "0")), (None, None));
    }

    #[test]
    fn leases_and_huge_segments() {
        let mut lease = incident("fcntl", Errno::EINVAL, vec![]);
        set_args(&mut lease, &[], &[("fd", 3), ("op", SETLEASE), ("arg", 0)]);
        lease.facts.push(state("fs.leases-enable", "", "1"));
        assert_eq!(judge_with(&CAUSE, &lease), None);
        lease.facts = vec![state("fs.leases-enable", "", "0")];
        assert_eq!(judge_with(&CAUSE, &lease).unwrap().knob.name, "fs.leases-enable");
        let segment = |flags, capabilities| {
            let mut i = by_user(incident("shmget", Errno::EPERM, vec![]), 1000, capabilities);
            set_args(&mut i, &[], &[("shmflg", flags)]);
            i.facts.push(state("vm.hugetlb_shm_group", "", "42"));
            judge_with(&CAUSE, &i).map(|f| (f.confidence, f.knob.name))
        };
        assert_eq!(segment(SHM_HUGETLB, 0), Some((Confidence::Proven, "vm.hugetlb_shm_group".into())));
        assert_eq!(segment(SHM_HUGETLB, u64::MAX), None);
        assert_eq!(segment(0, 0), None);
    }
}
