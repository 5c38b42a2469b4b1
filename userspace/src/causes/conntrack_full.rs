//! The firewall cannot track another connection.

use super::case::ceiling::Ceiling;
use super::case::net::{self, REACH};
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::CONNTRACK;
use crate::model::{Confidence, Errno, Remedy, spaced};

/// In the tree it is `__nf_conntrack_alloc()` that finds no room; the drop becomes EPERM in `nf_hook_slow()`, which says
/// so for every drop.
const CEILING: Ceiling = Ceiling {
    limit: &CONNTRACK,
    deciders: &[
        "__nf_conntrack_alloc",
        "nf_conntrack_alloc",
        "init_conntrack",
        "resolve_normal_ct",
        "nf_conntrack_in",
    ],
    callers: &[
        "nf_hook_slow",
        "nf_hook",
        "__ip_local_out",
        "ip_local_out",
        "ip_send_skb",
        "__ip6_local_out",
        "ip6_local_out",
        "ip6_send_skb",
        "udp_send_skb",
        "udp_v6_send_skb",
        "udp_sendmsg",
        "ping_v4_sendmsg",
        "raw_sendmsg",
        "ip_push_pending_frames",
    ],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "conntrack-full",
    title: "the table of tracked connections is full (nf_conntrack_max)",
    about: "\
sendto(2) fails with EPERM, \"Operation not permitted\", and TCP connections hang; the kernel log says
\"nf_conntrack: table full, dropping packet\". Each new connection of a network namespace whose firewall looks at
connection states (NAT, ct state, kube-proxy) needs an entry, and __nf_conntrack_alloc() in
net/netfilter/nf_conntrack_core.c drops the packet when there are net.netfilter.nf_conntrack_max of them.

It surprises because EPERM speaks of rights. The ceiling is the machine's and applies to each network namespace's own
count; entries of ended connections stay for minutes, those of established ones up to five days.",
    shows_as: &[("sendto", "EPERM"), ("sendmsg", "EPERM"), ("connect", "EPERM")],
    deciders: CEILING.deciders,
    reads: &[&CONNTRACK],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("the ceiling is the machine's: lowering it would drop new connections of all containers"),
    see: &[
        "https://docs.kernel.org/networking/nf_conntrack-sysctl.html",
        "net/netfilter/nf_conntrack_core.c: __nf_conntrack_alloc()",
        "net/netfilter/core.c: nf_hook_slow()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    case.denied(REACH, Errno::EPERM)?;
    if !net::is_internet(case) {
        return None;
    }
    let mut judged = CEILING.judge(case)?;
    // Without a full table a drop is the ruleset's.
    judged.reached?;
    let by_netfilter =
        case.verdict(&["nf_hook_slow"]).is_some() || case.returned("nf_hook_slow").is_some_and(|v| v < 0);
    let tracked = case.returned("nf_conntrack_in").map(|verdict| verdict == 0);
    match (by_netfilter, tracked) {
        // NF_DROP is 0: connection tracking itself dropped it.
        (_, Some(true)) => {
            judged.confidence = Confidence::Proven;
            judged.missing.clear();
        }
        // It let the packet pass, and something behind it dropped it.
        (_, Some(false)) => return None,
        (true, None)
            if judged.confidence == Confidence::Likely
                && !case.passed_through(&["nft_do_chain", "ipt_do_table"]) =>
        {
            judged.confidence = Confidence::Proven;
            judged.missing.clear();
        }
        _ => {}
    }
    let (used, most) = judged.reached.and_then(|r| Some((r.usage?, r.ceiling?)))?;
    let sentence = format!(
        "This network namespace tracks {} connections, and net.netfilter.nf_conntrack_max allows {}: packets of new ones \
         are dropped.",
        spaced(used),
        spaced(most)
    );
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let old = proof.limit.unwrap_or(65_536);
    let new = old.saturating_mul(2).max(131_072);
    vec![
        net::remedy(
            "now",
            &format!("sysctl -w net.netfilter.nf_conntrack_max={new}"),
            "for the whole machine, at once; an entry takes about 300 bytes. kube-proxy sets it again when it starts (--conntrack-max-per-core)",
            &format!("sysctl -w net.netfilter.nf_conntrack_max={old}"),
        ),
        net::remedy(
            "for good",
            &format!("echo 'net.netfilter.nf_conntrack_max = {new}' > /etc/sysctl.d/90-conntrack.conf"),
            "from the next boot on, once the module is loaded",
            "rm /etc/sysctl.d/90-conntrack.conf",
        ),
        net::remedy(
            "find the leak",
            "conntrack -L -o extended | awk '{print $3, $4, $6}' | sort | uniq -c | sort -rn | head",
            "which protocol, state and source has most; shorter nf_conntrack_tcp_timeout_* help against dead ones",
            "reads only",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::reading;
    use crate::model::{Reading, Taken};

    fn table(used: u64) -> Reading {
        Reading { taken: Taken::After { ns: 1 }, ..reading(&CONNTRACK, used, 4) }
    }

    #[test]
    fn a_full_table_is_likely_and_with_netfilter_s_verdict_proven() {
        let s = || scene("sendto", libc::EPERM).udp().to("127.0.0.1:9").reading(table(4));
        assert_eq!(s().confidence(&CAUSE), Some(Confidence::Likely));
        let found = s().decided("nf_hook_slow").judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.knob.name.as_str()), (Confidence::Proven, CONNTRACK.id));
    }

    #[test]
    fn a_table_with_room_is_the_ruleset_s() {
        let s = || scene("sendto", libc::EPERM).udp().to("127.0.0.1:9");
        assert!(s().reading(table(1)).judge(&CAUSE).is_none());
        assert!(s().decided("nf_hook_slow").judge(&CAUSE).is_none());
    }
}
