//! The firewall of the network namespace drops what is sent.

use super::case::net::{self, REACH};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::network::CONNTRACK;
use crate::model::{Confidence, Errno, Remedy, network};

const DECIDERS: &[&str] = &[
    "nf_hook_slow",
    "nft_do_chain",
    "ipt_do_table",
    "ip6t_do_table",
    "nft_do_chain_ipv4",
    "nft_do_chain_inet",
];

pub(super) static CAUSE: Cause = Cause {
    slug: "firewall-drop",
    title: "a firewall rule drops what is sent",
    about: "\
sendto(2), or connect(2) of a datagram socket's first message, fails with EPERM, \"Operation not permitted\". A rule in an
output or postrouting chain of the network namespace dropped the packet, and nf_hook_slow() in net/netfilter/core.c makes
EPERM of the drop. TCP hides it: the kernel sends again until the time is up.

It surprises because EPERM speaks of rights, and root has them all. Rules come from the engine, a network policy, a service
mesh's sidecar, or fail2ban on the host's network.",
    shows_as: &[("sendto", "EPERM"), ("sendmsg", "EPERM"), ("sendmmsg", "EPERM"), ("connect", "EPERM")],
    deciders: DECIDERS,
    reads: &[&CONNTRACK],
    rivals: &[Rival {
        name: "the table of tracked connections is full",
        ruled_out_by: "room in the table, read again, or no connection tracking at all",
        stands: |case| {
            let r = case.reading(&CONNTRACK)?;
            let tracked = case.returned("nf_conntrack_in").is_some_and(|verdict| verdict != 0);
            // Entries come and go between the drop and the reading.
            let near = r.usage.unwrap_or(0) + r.ceiling.unwrap_or(0) / 20 >= r.ceiling.unwrap_or(0);
            (near && !tracked).then(|| "the table of tracked connections was as good as full".into())
        },
    }],
    explain,
    remedy,
    fault: Fault::None("needs nft or iptables, which not every machine has"),
    see: &["nft(8)", "net/netfilter/core.c: nf_hook_slow()", "send(2)"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(REACH, Errno::EPERM)?;
    if !net::is_internet(case) {
        return None;
    }
    let chains = case.state(network::FIREWALL).map(|s| s.value.as_str());
    let dropped = case.returned("nf_hook_slow").is_some_and(|v| v < 0) || case.verdict(DECIDERS).is_some();
    if !dropped
        && (chains == Some("none") || case.decided_elsewhere(DECIDERS).is_some_and(|f| f.contains("bpf")))
    {
        return None;
    }
    let mut weight = net::weigh(
        case,
        DECIDERS,
        dropped.then_some(true),
        "what the rules did to this packet: nft monitor trace",
    )?;
    if !dropped && chains.is_some() {
        weight.confidence = Confidence::Likely;
    }
    let at = net::destination(case);
    let sentence = match chains.filter(|c| *c != "none") {
        Some(chains) => format!(
            "The firewall of this network namespace drops packets to {at} on their way out ({chains})."
        ),
        None => format!("The firewall of this network namespace drops packets to {at} on their way out."),
    };
    Some(weight.proof(sentence, net::other("firewall ruleset"), net::cite_all(case, &[network::FIREWALL])))
}

fn remedy(case: &Case<'_>, _: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n nft list ruleset"),
            "the rules; nsenter -t … -n iptables-save for the older kind",
            "reads only",
        ),
        net::remedy(
            "find the rule",
            &format!("nsenter -t {pid} -n nft monitor trace"),
            "after a rule `meta nftrace set 1` at the start of the output chain: prints each rule that a packet passes",
            "delete that rule again",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::reading;

    #[test]
    fn netfilter_s_verdict_proves_it() {
        let s = || {
            scene("sendto", libc::EPERM)
                .udp()
                .to("192.0.2.1:53")
                .state(network::FIREWALL, "nftables t o (output)")
        };
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Likely));
        assert_eq!(s().decided("nf_hook_slow").confidence(&CAUSE), Some(Confidence::Proven));
        let full = s().decided("nf_hook_slow").reading(reading(&CONNTRACK, 4, 4));
        assert_eq!(full.confidence(&CAUSE), Some(Confidence::Likely));
    }

    #[test]
    fn without_any_chain_it_is_something_else() {
        let s = scene("sendto", libc::EPERM).udp().to("192.0.2.1:53").state(network::FIREWALL, "none");
        assert!(s.judge(&CAUSE).is_none());
    }
}
