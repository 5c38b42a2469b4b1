//! Ways out that many causes share: a sysctl, a resource limit, a capability.

use super::Proof;
use crate::limits::Limit;
use crate::model::{Reading, Remedy};

fn remedy(when: &str, command: String, effect: &str, undo: String) -> Remedy {
    Remedy { when: when.into(), command, effect: effect.into(), undo }
}

/// Sets a sysctl, now and for good.
pub(in crate::causes) fn sysctl(name: &str, value: &str, before: Option<&str>, effect: &str) -> Vec<Remedy> {
    let file = format!("/etc/sysctl.d/90-{}.conf", name.replace(['.', '_'], "-"));
    let undo =
        before.map_or_else(|| format!("sysctl -w {name}=<as before>"), |v| format!("sysctl -w {name}={v}"));
    vec![
        remedy("now", format!("sysctl -w {name}={value}"), effect, undo),
        remedy(
            "for good",
            format!("echo '{name} = {value}' > {file}"),
            "from the next boot on",
            format!("rm {file}"),
        ),
    ]
}

/// Doubles the sysctl of a limit, or makes room for what was asked; and how to hear of it earlier.
pub(in crate::causes) fn double(limit: &Limit, proof: &Proof, effect: &str) -> Vec<Remedy> {
    let (old, used) = (proof.limit.unwrap_or(limit.default), proof.usage.unwrap_or(0));
    let to = old.saturating_mul(2).max(used.saturating_mul(2)).max(1).to_string();
    let mut all = sysctl(&proof.knob.name, &to, Some(&old.to_string()), effect);
    all.push(prevent(limit));
    all
}

/// Twice the limit, or twice what is used and was asked for where that is more: less would be refused again.
pub(in crate::causes) fn enough(reading: Option<&Reading>, proof: &Proof) -> u64 {
    let wanted = reading.map_or(0, |r| r.usage.unwrap_or(0).saturating_add(r.adds.unwrap_or(0)));
    proof.limit.unwrap_or(0).max(wanted).saturating_mul(2)
}

/// Hearing of it before it happens.
pub(in crate::causes) fn prevent(limit: &Limit) -> Remedy {
    remedy(
        "prevent",
        format!("diag check --require '{}:headroom=20%'", limit.id),
        "exit code 1 when less is left",
        "reads only".into(),
    )
}

/// A resource limit: `nofile` for engines, `-n` for the shell, `LimitNOFILE` for units.
pub(in crate::causes) fn rlimit(name: &str, option: &str, to: &str, effect: &str) -> Vec<Remedy> {
    let lower = name.to_lowercase();
    vec![
        remedy(
            "now",
            format!("prlimit --pid <pid> --{lower}={to}:{to}"),
            "for that process and what it starts from now on; above the hard limit it takes CAP_SYS_RESOURCE",
            format!("prlimit --pid <pid> --{lower}=<as before>"),
        ),
        remedy(
            "for good",
            format!("docker run --ulimit {lower}={to} … (shell: ulimit {option}; systemd: Limit{name}=)"),
            effect,
            "start it without the option".into(),
        ),
    ]
}

/// A capability for the container.
pub(in crate::causes) fn capability(name: &str, effect: &str) -> Vec<Remedy> {
    let short = name.strip_prefix("CAP_").unwrap_or(name);
    vec![remedy(
        "for good",
        format!("docker run --cap-add {short} … (Kubernetes: securityContext.capabilities.add)"),
        effect,
        format!("start it without --cap-add {short}"),
    )]
}

/// A step that only looks.
pub(in crate::causes) fn look(command: &str, effect: &str) -> Remedy {
    remedy("find the leak", command.into(), effect, "reads only".into())
}

/// A step of any kind.
pub(in crate::causes) fn step(when: &str, command: &str, effect: &str, undo: &str) -> Remedy {
    remedy(when, command.into(), effect, undo.into())
}
