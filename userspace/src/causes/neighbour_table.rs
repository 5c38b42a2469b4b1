//! The table of neighbours is full.

use super::case::ceiling::{Ceiling, Judged};
use super::case::net::{self, ENOBUFS, REACH};
use super::{Case, Cause, Fault, Proof};
use crate::limits::network::{NEIGHBOURS, NEIGHBOURS_V6};
use crate::model::{Confidence, Errno, Remedy, spaced};

const DECIDERS: &[&str] = &["neigh_alloc", "___neigh_create", "__neigh_create"];
/// The functions that make up the errno when there is no neighbour.
const CALLERS: &[&str] = &[
    "ip_finish_output2",
    "ip6_finish_output2",
    "__ip_finish_output",
    "ip_finish_output",
    "ip_output",
    "ip6_output",
    "ip_send_skb",
    "ip_push_pending_frames",
    "udp_send_skb",
    "udp_sendmsg",
    "udp_v6_send_skb",
    "raw_sendmsg",
    "neigh_output",
];
const V4: Ceiling = Ceiling { limit: &NEIGHBOURS, deciders: DECIDERS, callers: CALLERS };
const V6: Ceiling = Ceiling { limit: &NEIGHBOURS_V6, deciders: DECIDERS, callers: CALLERS };

pub(super) static CAUSE: Cause = Cause {
    slug: "neighbour-table",
    title: "the table of neighbours (ARP) is full",
    about: "\
sendto(2) fails with ENOBUFS, \"No buffer space available\" (EINVAL on 5.10), or packets just vanish, while the kernel
log says \"neighbour: arp_cache: neighbor table overflow!\". neigh_alloc() in net/core/neighbour.c finds
net.ipv4.neigh.default.gc_thresh3 entries (1024) and none that may go.

It surprises because the table is one for all network namespaces: a few hundred containers on a bridge or a large flat
pod network fill the machine's table, and a container sees only its own entries. UDP without IP_RECVERR hides the errno;
TCP connections hang.",
    shows_as: &[("sendto", "ENOBUFS"), ("sendto", "EINVAL"), ("sendmsg", "ENOBUFS"), ("connect", "ENOBUFS")],
    deciders: DECIDERS,
    reads: &[&NEIGHBOURS, &NEIGHBOURS_V6],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::None("the limit is the machine's: lowering it would cut every container off from its neighbours"),
    see: &["arp(7), gc_thresh3", "net/core/neighbour.c: neigh_alloc()", "net/ipv4/ip_output.c: ip_finish_output2()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let errno = [ENOBUFS, Errno::EINVAL].into_iter().find(|errno| case.denied(REACH, *errno).is_some())?;
    let (ip, _) = case.failure().internet()?;
    let ceiling: &'static Ceiling = if ip.is_ipv6() { &V6 } else { &V4 };
    let Judged { mut confidence, reached, mut missing } = ceiling.judge(case)?;
    let hits = case.reading(ceiling.limit).and_then(|r| r.hits);
    // EINVAL has many other reasons: without a full table it is nobody's guess.
    if reached.is_none() && (errno == Errno::EINVAL || hits == Some(0)) {
        return None;
    }
    let no_neighbour = case.verdict(&["ip_finish_output2", "ip6_finish_output2"]).is_some();
    if reached.is_some() && no_neighbour && confidence == Confidence::Likely {
        // That function says this errno for no other reason than a neighbour that could not be made.
        confidence = Confidence::Proven;
        missing.clear();
    }
    let sentence = match reached.and_then(|r| Some((r.usage?, r.ceiling?))) {
        Some((used, most)) => format!(
            "The machine's table of neighbours holds {} entries, and {} allows {}; {} cannot be added.",
            spaced(used),
            ceiling.limit.id,
            spaced(most),
            net::destination(case)
        ),
        None => format!("The table of neighbours had no room for {}.", net::destination(case)),
    };
    let judged = Judged { confidence, reached, missing };
    let mut proof = judged.proof(case, ceiling, sentence);
    if let Some(hits) = hits {
        proof.evidence.push(format!("the table was full {} times since boot (table_fulls)", spaced(hits)));
    }
    Some(proof)
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let family = if proof.knob.name.contains("ipv6") { "ipv6" } else { "ipv4" };
    let old = proof.limit.unwrap_or(1024);
    let new = old.saturating_mul(4).max(4096);
    vec![
        net::remedy(
            "now",
            &format!("sysctl -w net.{family}.neigh.default.gc_thresh3={new}"),
            "for the whole machine, at once; each entry takes about half a kilobyte. Raise gc_thresh2 to half of it as well",
            &format!("sysctl -w net.{family}.neigh.default.gc_thresh3={old}"),
        ),
        net::remedy(
            "for good",
            &format!(
                "echo 'net.{family}.neigh.default.gc_thresh3 = {new}' > /etc/sysctl.d/90-neighbours.conf"
            ),
            "from the next boot on",
            "rm /etc/sysctl.d/90-neighbours.conf",
        ),
        net::remedy(
            "find the leak",
            "ip -s neigh | awk '{print $3}' | sort | uniq -c | sort -rn | head",
            "in each network namespace: which interface has most",
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

    fn table(used: u64, hits: u64) -> Reading {
        Reading { taken: Taken::After { ns: 1 }, hits: Some(hits), ..reading(&NEIGHBOURS, used, 1024) }
    }

    #[test]
    fn a_full_table_and_the_decider_prove_it() {
        let s = |errno| scene("sendto", errno).udp().to("10.0.0.9:53").reading(table(1024, 3));
        assert_eq!(s(libc::ENOBUFS).confidence(&CAUSE), Some(Confidence::Likely));
        let found = s(libc::ENOBUFS).decided("___neigh_create").judge(&CAUSE).unwrap();
        assert_eq!((found.confidence, found.limit), (Confidence::Proven, Some(1024)));
        assert_eq!(s(libc::EINVAL).decided("ip_finish_output2").confidence(&CAUSE), Some(Confidence::Proven));
    }

    #[test]
    fn a_table_with_room_or_a_bare_einval_is_not_claimed() {
        let s = |errno| scene("sendto", errno).udp().to("10.0.0.9:53");
        assert!(s(libc::ENOBUFS).reading(table(3, 0)).judge(&CAUSE).is_none());
        assert!(s(libc::EINVAL).judge(&CAUSE).is_none());
    }
}
