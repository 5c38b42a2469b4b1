//! TCP was to use a congestion control algorithm that the kernel does not have.

use super::case::claim::{self, cite_state, knob, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, network};

const DECIDERS: &[&str] = &["tcp_set_congestion_control", "tcp_ca_find_autoload"];
const CALLERS: &[&str] = &[
    "do_tcp_setsockopt",
    "tcp_setsockopt",
    "sock_common_setsockopt",
    "do_sock_setsockopt",
    "__sys_setsockopt",
    "__x64_sys_setsockopt",
    "mptcp_setsockopt",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "congestion-control",
    title: "the kernel does not have this congestion control algorithm",
    about: "\
setsockopt(2) with TCP_CONGESTION fails with ENOENT, \"No such file or directory\", and no file is involved: \
tcp_set_congestion_control() in net/ipv4/tcp_cong.c finds no algorithm of the name (bbr, dctcp, htcp) among those that are built in \
or loaded. It loads the module tcp_NAME itself only for who has CAP_NET_ADMIN, which containers mostly lack, so that the same \
program works on the host, and in containers from then on. Writing net.ipv4.tcp_congestion_control fails the same way.",
    shows_as: &[("setsockopt", "ENOENT"), ("write", "ENOENT")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for an algorithm that no kernel has",
        risk: "none",
        variants: &["unknown"],
    },
    see: &[
        "tcp(7), TCP_CONGESTION",
        "net/ipv4/tcp_cong.c: tcp_set_congestion_control(), tcp_ca_find_autoload()",
    ],
};

/// Writing the sysctl asks for an algorithm as well (`proc_tcp_congestion_control()`, net/ipv4/sysctl_net_ipv4.c).
fn written(case: &Case<'_>) -> Option<Proof> {
    const FILE: &str = "/net/ipv4/tcp_congestion_control";
    case.denied(&["write", "pwrite64"], Errno::ENOENT)?;
    let word = case.state("written word").filter(|s| s.of.ends_with(FILE))?;
    let weighed = claim::weigh(
        case,
        &["proc_tcp_congestion_control", "tcp_set_default_congestion_control"],
        CALLERS,
        Some(true),
    )?;
    let sentence = format!(
        "{} sets {} for TCP, and the kernel has no algorithm of the name.",
        case.failure().task.comm,
        word.value
    );
    let knob = knob(
        KnobKind::Sysctl,
        "net.ipv4.tcp_congestion_control",
        "/proc/sys/net/ipv4/tcp_congestion_control",
    );
    Some(weighed.proof(case, DECIDERS, sentence, knob))
}

fn explain(case: &Case<'_>) -> Option<Proof> {
    if let Some(proof) = written(case) {
        return Some(proof);
    }
    case.denied(&["setsockopt"], Errno::ENOENT)?;
    let number = |name| case.failure().number_arg(name).map(|n| n as i32);
    if (number("level")?, number("optname")?) != (libc::IPPROTO_TCP, libc::TCP_CONGESTION) {
        return None;
    }
    let name = case.failure().option().map(|bytes| {
        String::from_utf8_lossy(bytes.split(|b| *b == 0).next().unwrap_or_default()).into_owned()
    });
    let name = name.filter(|name| !name.is_empty());
    let there = case.state(network::CONGESTION);
    let state = name
        .as_deref()
        .zip(there)
        .map(|(name, all)| !all.value.split_whitespace().any(|known| known == name));
    let weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    let shown = name.clone().unwrap_or_else(|| "an algorithm".into());
    let sentence = format!(
        "{} wants {shown} for its TCP connection, and the kernel has none of the name: {}.",
        case.failure().task.comm,
        there.map_or("what it has was not read", |s| s.value.as_str())
    );
    let knob =
        knob(KnobKind::Sysctl, network::CONGESTION, "/proc/sys/net/ipv4/tcp_available_congestion_control");
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(cite_state(case, network::CONGESTION)))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let name =
        case.failure().option().map(|bytes| String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned());
    let name = name
        .filter(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
        .unwrap_or_else(|| "NAME".into());
    vec![
        step(
            "now",
            format!("modprobe tcp_{name}"),
            "on the host; containers have it at once",
            format!("modprobe -r tcp_{name}"),
        ),
        step(
            "for good",
            format!("echo tcp_{name} > /etc/modules-load.d/tcp_{name}.conf"),
            "from the next boot on; who lacks CAP_NET_ADMIN may choose it only when net.ipv4.tcp_allowed_congestion_control names it",
            format!("rm /etc/modules-load.d/tcp_{name}.conf"),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::{ArgValue, Confidence};

    fn asked(errno: i32, name: &str, there: &str) -> Option<Confidence> {
        let scene = scene("setsockopt", errno).tcp().number("level", 6).number("optname", 13);
        let scene = scene.arg("optval", ArgValue::Bytes(format!("{name}\0").into_bytes()));
        scene.state(network::CONGESTION, there).decided("tcp_set_congestion_control").confidence(&CAUSE)
    }

    #[test]
    fn a_name_that_is_not_in_the_list_is_proven_or_likely_and_one_that_is_is_not() {
        assert!(asked(libc::ENOENT, "bbr", "reno cubic") >= Some(Confidence::Likely));
        assert_eq!(asked(libc::ENOENT, "cubic", "reno cubic"), None);
        assert_eq!(asked(libc::EPERM, "bbr", "reno cubic"), None);
    }

    #[test]
    fn the_sysctl_takes_known_names_only() {
        use crate::causes::case::testing::{judge_with, state, valued};
        let written = |file: &str| {
            let mut i = valued("write", Errno::ENOENT, &[("fd", 3)], &[], vec![]);
            i.facts.push(state("written word", file, "bbr"));
            judge_with(&CAUSE, &i).map(|f| f.knob.name)
        };
        let name = Some("net.ipv4.tcp_congestion_control".to_string());
        assert_eq!(written("/proc/sys/net/ipv4/tcp_congestion_control"), name);
        assert_eq!(written("/proc/sys/net/ipv4/ip_forward"), None);
    }

    #[test]
    fn another_option_is_not_claimed() {
        let other = scene("setsockopt", libc::ENOENT).tcp().number("level", 6).number("optname", 31);
        assert!(other.judge(&CAUSE).is_none());
    }
}
