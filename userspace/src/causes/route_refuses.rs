//! A route says no: blackhole, unreachable, prohibit.

use super::case::net::{self, EHOSTUNREACH, REACH};
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, Knob, Remedy, network};

const DECIDERS: &[&str] = &["fib_table_lookup", "fib_rule_action", "fib4_rule_action", "fib6_rule_action"];

/// `fib_props` (net/ipv4/fib_semantics.c): the kind of route and what it makes a call say.
const KINDS: &[(&str, i32)] =
    &[("blackhole", libc::EINVAL), ("unreachable", libc::EHOSTUNREACH), ("prohibit", libc::EACCES)];

pub(super) static CAUSE: Cause = Cause {
    slug: "route-refuses",
    title: "a route of type blackhole, unreachable or prohibit refuses the destination",
    about: "\
connect(2) or sendto(2) fails at once with an errno that names no route: EINVAL, \"Invalid argument\", for a route
of type blackhole, EHOSTUNREACH for unreachable, EACCES for prohibit. The type is an entry of the routing table or of a
routing rule, and fib_table_lookup() in net/ipv4/fib_trie.c returns its errno (fib_props in fib_semantics.c).

It surprises because EINVAL looks like a mistake in the program. CNI plugins (Calico and others) put blackhole routes for
the address blocks of a node, and an address of a pod that ended falls into them; VPN clients use them as kill switch.",
    shows_as: &[
        ("connect", "EINVAL"),
        ("connect", "EHOSTUNREACH"),
        ("connect", "EACCES"),
        ("sendto", "EINVAL"),
        ("sendto", "EHOSTUNREACH"),
        ("sendto", "EACCES"),
    ],
    deciders: DECIDERS,
    reads: &[],
    rivals: &[],
    explain,
    remedy,
    fault: Fault::Action {
        about: "adds such a route in a network namespace of its own and connects to what it covers",
        risk: "none",
        variants: &["blackhole", "unreachable", "prohibit"],
    },
    see: &["ip-route(8), types of routes", "net/ipv4/fib_semantics.c: fib_props", "net/ipv4/fib_trie.c: fib_table_lookup()"],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (call, errno) = case.failure().syscall().filter(|(call, _)| REACH.contains(call))?;
    let kind = KINDS.iter().find(|(_, code)| Errno(*code) == errno)?.0;
    case.failure().internet()?;
    let entry = case.state(network::ENTRY).map(|s| s.value.to_lowercase());
    let answer = case.state(network::ROUTE).map(|s| s.value.as_str());
    let by_entry = entry.as_ref().is_some_and(|entry| entry.starts_with(kind));
    // The table answers with the errno (IPv4) or with the kind (IPv6).
    let by_answer = answer.map(|answer| answer == errno.name() || answer == kind);
    let state = match (by_answer, by_entry) {
        (Some(true), _) => Some(true),
        (None, true) => Some(true),
        (Some(false), _) => Some(false),
        (None, false) => None,
    };
    // EINVAL, EACCES and EHOSTUNREACH have too many other reasons for a guess.
    if state.is_none() && case.verdict(DECIDERS).is_none() {
        return None;
    }
    let weight = net::weigh(case, DECIDERS, state, "what the routing table says to the destination")?;
    let which = entry.filter(|_| by_entry).unwrap_or_else(|| format!("of type {kind}"));
    let sentence = format!(
        "A route ({which}) of this network namespace refuses {}; that is why {call} says {errno}.",
        net::destination(case)
    );
    let knob = Knob { path: "/proc/<pid>/net/fib_trie".into(), ..net::other("routing table") };
    Some(weight.proof(sentence, knob, net::cite_all(case, &[network::ROUTE, network::ENTRY])))
}

fn remedy(case: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let pid = case.failure().task.pid;
    let word = KINDS.iter().map(|k| k.0).find(|k| proof.sentence.contains(k)).unwrap_or("blackhole");
    vec![
        net::remedy(
            "now",
            &format!("nsenter -t {pid} -n ip route show table all type {word}"),
            "shows them; `ip rule` shows rules that refuse",
            "reads only",
        ),
        net::remedy(
            "for good",
            &format!("nsenter -t {pid} -n ip route del {word} PREFIX"),
            "whoever made it may put it back; in a cluster ask first why the address has no more specific route: the pod is gone",
            &format!("nsenter -t {pid} -n ip route add {word} PREFIX"),
        ),
    ]
}

/// EHOSTUNREACH where the table has a route: somebody on the way, or nobody at the address.
pub(super) fn has_route(case: &Case<'_>) -> Option<bool> {
    let answer = &case.state(network::ROUTE)?.value;
    Some(*answer != EHOSTUNREACH.name() && answer != "unreachable")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::model::Confidence;

    #[test]
    fn each_kind_has_its_errno() {
        for (kind, errno) in KINDS {
            let s = scene("connect", *errno)
                .tcp()
                .to("192.0.2.1:80")
                .state(network::ROUTE, &Errno(*errno).name());
            let s = s.state(network::ENTRY, &format!("{} 192.0.2.0/24", kind.to_uppercase()));
            let found = s.judge(&CAUSE).unwrap();
            assert_eq!(found.confidence, Confidence::Proven);
            assert!(found.sentence.contains(&format!("{kind} 192.0.2.0/24")));
        }
    }

    #[test]
    fn a_table_that_lets_it_pass_refutes_it() {
        let s = || scene("connect", libc::EINVAL).tcp().to("192.0.2.1:80");
        assert!(s().state(network::ROUTE, "unicast").judge(&CAUSE).is_none());
        assert!(s().judge(&CAUSE).is_none());
        let local = scene("connect", libc::EINVAL).socket(libc::AF_UNIX, 1).path("/run/x");
        assert!(local.judge(&CAUSE).is_none());
    }
}
