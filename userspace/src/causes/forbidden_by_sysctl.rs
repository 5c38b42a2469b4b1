//! A switch of the whole machine forbids a call, whoever makes it.

use super::case::rights::{Holds, Scope, holds, seccomp_stands};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::model::{Confidence, Knob, KnobKind, Remedy};

pub(super) static CAUSE: Cause = Cause {
    slug: "forbidden-by-sysctl",
    title: "a switch of the machine forbids it",
    about: "\
Some calls are switched off for everybody, by hardening guides or distributions, and say EPERM or EIO as if a \
privilege were missing: kernel.modules_disabled (no module is loaded until the next boot), kernel.kexec_load_disabled, \
dev.tty.legacy_tiocsti. The switches belong to the host; a container sees them, and \
cannot turn them.",
    shows_as: &[("finit_module", "EPERM"), ("kexec_load", "EPERM"), ("ioctl", "EIO")],
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
}

const SWITCHES: &[Switch] = &[
    Switch {
        name: "kernel.modules_disabled",
        calls: &["init_module", "finit_module", "delete_module"],
        errno: libc::EPERM,
        forbids: |case, value| value != 0 && holds(case, "CAP_SYS_MODULE", Scope::First) != Holds::No,
    },
    Switch {
        name: "kernel.kexec_load_disabled",
        calls: &["kexec_load", "kexec_file_load"],
        errno: libc::EPERM,
        forbids: |case, value| value != 0 && holds(case, "CAP_SYS_BOOT", Scope::First) != Holds::No,
    },
    Switch {
        name: "dev.tty.legacy_tiocsti",
        calls: &["ioctl"],
        errno: libc::EIO,
        forbids: |case, value| value == 0 && case.failure().number_arg("op") == Some(0x5412),
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
        sentence: format!(
            "{} is {value}, which forbids {name} here to everybody, root included.",
            switch.name
        ),
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
    if ["kernel.modules_disabled", "kernel.kexec_load_disabled"].contains(&name.as_str()) {
        return vec![Remedy {
            when: "for good".into(),
            command: format!("take {name} out of /etc/sysctl.d and boot again"),
            effect: "it cannot be turned back while the kernel runs; load what is needed before it is set"
                .into(),
            undo: format!("sysctl -w {name}={now}"),
        }];
    }
    let other = if name == "dev.tty.legacy_tiocsti" { "1" } else { "0" };
    vec![Remedy {
        when: "now".into(),
        command: format!("sysctl -w {name}={other}"),
        effect: "on the host, for all containers: an attack that the switch stops is possible again".into(),
        undo: format!("sysctl -w {name}={now}"),
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::testing::{by_user, file, judge_with, state, with_object};
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
}
