//! A BPF program of the cgroup refuses the call.

use super::case::net::{self};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Remedy};

const DECIDERS: &[&str] = &[
    "__cgroup_bpf_run_filter_sock_addr",
    "__cgroup_bpf_run_filter_sk",
    "__cgroup_bpf_run_filter_skb",
    "__cgroup_bpf_run_filter_setsockopt",
    "__cgroup_bpf_run_filter_getsockopt",
    "__cgroup_bpf_run_filter_sock_ops",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "cgroup-network-program",
    title: "a BPF program attached to the cgroup refuses the call",
    about: "\
socket(2), bind(2), connect(2), sendto(2) or setsockopt(2) fails with EPERM, \"Operation not permitted\".
__cgroup_bpf_run_filter_sock_addr() and its relatives in kernel/bpf/cgroup.c run the programs that are attached to the
task's cgroup and to all above it; one of them said no.

It surprises because neither capabilities nor firewall rules show it. systemd attaches such programs for IPAddressDeny=,
SocketBindDeny= and RestrictNetworkInterfaces=, Cilium for its services and policies.",
    shows_as: &[("connect", "EPERM"), ("bind", "EPERM"), ("sendto", "EPERM"), ("socket", "EPERM"), ("setsockopt", "EPERM")],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("needs a program of its own for every kernel"),
    see: &["systemd.resource-control(5), IPAddressDeny=, SocketBindDeny=", "kernel/bpf/cgroup.c", "bpf(2)"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let calls =
        ["socket", "bind", "connect", "sendto", "sendmsg", "sendmmsg", "setsockopt", "getsockopt", "listen"];
    let call = case.denied(&calls, Errno::EPERM)?;
    // Only its own verdict speaks for it: there is nothing to read.
    let verdict = case.verdict(DECIDERS)?;
    let sentence = format!(
        "A BPF program of the task's cgroup, or of one above it, refuses {call} ({}).",
        verdict.function
    );
    let weight = net::weigh(case, DECIDERS, None, "")?;
    Some(weight.proof(sentence, net::other("cgroup BPF program"), vec![]))
}

fn remedy(_: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    vec![net::remedy(
        "now",
        "bpftool cgroup tree",
        "lists programs by cgroup: connect4, bind4, egress …; then look at the unit or the network plugin that attached it",
        "reads only",
    )]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn only_its_own_verdict_speaks_for_it() {
        let s = || scene("connect", libc::EPERM).tcp().to("192.0.2.1:80");
        let found = s().decided("__cgroup_bpf_run_filter_sock_addr").judge(&CAUSE).unwrap();
        assert_eq!(found.confidence, Confidence::Proven);
        assert!(s().judge(&CAUSE).is_none());
        assert!(s().decided("nf_hook_slow").judge(&CAUSE).is_none());
    }
}
