//! Options and control data of one socket take more memory than they may.

use super::case::ceiling::Ceiling;
use super::case::net::{self, ENOBUFS};
use super::{Case, Cause, Fault, Proof, Rival};
use crate::limits::network::OPTMEM;
use crate::model::{Errno, Remedy, spaced};

const CEILING: Ceiling = Ceiling {
    limit: &OPTMEM,
    deciders: &["sock_kmalloc", "sk_filter_charge", "__sk_filter_charge", "sock_kmemdup", "sock_omalloc"],
    callers: &[
        "____sys_sendmsg",
        "___sys_sendmsg",
        "__sys_sendmsg",
        "__sk_attach_prog",
        "sk_attach_filter",
        "sk_attach_bpf",
        "do_ip_setsockopt",
        "do_ipv6_setsockopt",
        "ip_mc_join_group",
        "__ip_mc_join_group",
        "__ipv6_sock_mc_join",
        "ipv6_sock_mc_join",
        "ip_mc_msfilter",
        "ip_mc_source",
        "do_sock_setsockopt",
        "sk_setsockopt",
        "sock_setsockopt",
        "reuseport_attach_prog",
    ],
};

pub(super) static CAUSE: Cause = Cause {
    slug: "optmem-max",
    title: "options, filters or control data of one socket exceed net.core.optmem_max",
    about: "\
setsockopt(2) fails with ENOMEM, \"Cannot allocate memory\", or ENOBUFS, \"No buffer space available\"; sendmsg(2) with
much control data with ENOBUFS. Socket filters, multicast memberships, IPv6 extension headers and control messages are
paid from one purse of the socket, and sock_kmalloc() in net/core/sock.c (sk_filter_charge() in net/core/filter.c) lets it
hold net.core.optmem_max bytes: 20 480, 131 072 since 6.8.

It surprises because memory is free, and because a program works until its filter or its list of groups grows. Before
6.7 the sysctl is the machine's and not shown in containers.",
    shows_as: &[("setsockopt", "ENOMEM"), ("setsockopt", "ENOBUFS"), ("sendmsg", "ENOBUFS")],
    deciders: CEILING.deciders,
    reads: &[&OPTMEM],
    rivals: &[Rival {
        name: "net.ipv4.igmp_max_memberships",
        ruled_out_by: "an option that joins no group, or fewer groups than may be",
        stands: |case| {
            case.reading(&crate::limits::network::MEMBERSHIPS)
                .filter(|r| r.exceeded() == Some(true))
                .map(|_| "the socket is in as many groups as it may be as well".into())
        },
    }],
    explain,
    remedy,
    fault: Fault::Action {
        about: "sends a message whose control data is longer than any such limit",
        risk: "none",
        variants: &["control"],
    },
    see: &[
        "https://docs.kernel.org/admin-guide/sysctl/net.html#optmem-max",
        "net/core/sock.c: sock_kmalloc()",
        "net/core/filter.c: sk_filter_charge()",
        "net/socket.c: ____sys_sendmsg()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let fits = case.denied(&["setsockopt"], Errno::ENOMEM).is_some()
        || case.denied(&["setsockopt", "sendmsg", "sendmmsg"], ENOBUFS).is_some();
    let control = case.failure().socket().is_some_and(|s| s.control > 0);
    if !fits || case.failure().syscall()?.0 != "setsockopt" && !control {
        return None;
    }
    let judged = CEILING.judge(case)?;
    let sentence = match judged.reached.and_then(|r| Some((r.usage?, r.adds?, r.ceiling?))) {
        Some((used, adds, most)) => format!(
            "The socket has {} bytes of options and filters, this call brings {} more, and net.core.optmem_max allows {}.",
            spaced(used),
            spaced(adds),
            spaced(most)
        ),
        None => {
            "The options, filters or control data of the socket take more than net.core.optmem_max.".into()
        }
    };
    Some(judged.proof(case, &CEILING, sentence))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let old = proof.limit.unwrap_or(20_480);
    let new = old.saturating_mul(4).max(131_072);
    vec![
        net::remedy(
            "now",
            &format!("sysctl -w net.core.optmem_max={new}"),
            "for the whole machine (for one network namespace since 6.7), at once",
            &format!("sysctl -w net.core.optmem_max={old}"),
        ),
        net::remedy(
            "for good",
            &format!("echo 'net.core.optmem_max = {new}' > /etc/sysctl.d/90-optmem.conf"),
            "from the next boot on",
            "rm /etc/sysctl.d/90-optmem.conf",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::scene;
    use crate::causes::case::testing::reading;
    use crate::model::{Confidence, Reading, Taken};

    fn purse(adds: u64) -> Reading {
        Reading { taken: Taken::After { ns: 1 }, adds: Some(adds), ..reading(&OPTMEM, 0, 20_480) }
    }

    #[test]
    fn a_purse_that_is_too_small_is_proven_by_the_decider() {
        let s = || scene("setsockopt", libc::ENOMEM).udp().number("level", 1).number("optname", 26);
        assert_eq!(
            s().reading(purse(30_000)).decided("sk_filter_charge").confidence(&CAUSE),
            Some(Confidence::Proven)
        );
        assert_eq!(s().reading(purse(30_000)).confidence(&CAUSE), Some(Confidence::Likely));
    }

    #[test]
    fn a_plain_message_is_not_claimed() {
        let s = scene("sendmsg", libc::ENOBUFS).udp().reading(purse(30_000));
        assert!(s.judge(&CAUSE).is_none());
    }
}
