//! iptables asks for a table that the kernel does not have.

use super::case::claim::{self, cite_state, knob, step};
use super::case::switch::FILTER;
use super::{Case, Cause, Fault, Proof};
use crate::model::{Errno, KnobKind, Remedy, network};

const DECIDERS: &[&str] = &[
    "xt_find_table_lock",
    "xt_request_find_table_lock",
    "get_info",
    "get_entries",
    "nf_getsockopt",
    "nf_setsockopt",
    "nf_sockopt",
];
const CALLERS: &[&str] = &[
    "do_ipt_get_ctl",
    "do_ip6t_get_ctl",
    "do_ipt_set_ctl",
    "do_ip6t_set_ctl",
    "ip_getsockopt",
    "ipv6_getsockopt",
    "ip_setsockopt",
    "ipv6_setsockopt",
    "raw_getsockopt",
    "rawv6_getsockopt",
    "do_ip_getsockopt",
    "do_ipv6_getsockopt",
    "sock_common_getsockopt",
    "do_sock_getsockopt",
    "__sys_getsockopt",
];
/// `IPT_BASE_CTL` (linux/netfilter_ipv4/ip_tables.h): four requests of iptables from there on.
const FIRST: i32 = 64;
const LAST: i32 = 67;

pub(super) static CAUSE: Cause = Cause {
    slug: "iptables-table",
    title: "iptables asks for a table that the kernel does not have",
    about: "\
\"iptables: can't initialize iptables table `nat': Table does not exist (do you need to insmod?)\": iptables-legacy asks by \
getsockopt(2) for its table, and the kernel says ENOENT, \"No such file or directory\", where the table's module is not there \
(iptable_nat, iptable_filter, iptable_mangle), or ENOPROTOOPT, \"Protocol not available\", where ip_tables as a whole is not. The \
kernel loads them by itself for who may load modules on the host, which no container may: what the host does not use, because its \
own iptables is the one of nf_tables, is missing in every container with an old image (docker in docker, VPNs, service meshes).",
    shows_as: &[("getsockopt", "ENOENT"), ("getsockopt", "ENOPROTOOPT"), ("setsockopt", "ENOPROTOOPT")],
    deciders: &["xt_find_table_lock", "xt_request_find_table_lock", "nf_getsockopt"],
    reads: &[],
    rivals: &[FILTER],
    explain,
    remedy,
    fault: Fault::Action {
        about: "asks for a table that no kernel has, in a network namespace of its own",
        risk: "none",
        variants: &["table"],
    },
    see: &[
        "iptables(8), iptables-nft(8)",
        "net/netfilter/x_tables.c: xt_find_table_lock(); net/netfilter/nf_sockopt.c: nf_getsockopt()",
    ],
};

fn explain(case: &Case<'_>) -> Option<Proof> {
    let (_, errno) = case.failure().syscall()?;
    let none = Errno(libc::ENOPROTOOPT);
    case.denied(&["getsockopt", "setsockopt"], Errno::ENOENT)
        .or_else(|| case.denied(&["getsockopt", "setsockopt"], none))?;
    let number = |name| case.failure().number_arg(name).map(|n| n as i32);
    let (level, option) = (number("level")?, number("optname")?);
    let six = level == libc::IPPROTO_IPV6;
    if !(six || level == libc::IPPROTO_IP) || !(FIRST..=LAST).contains(&option) {
        return None;
    }
    let (there, name) = (case.state(network::TABLES), case.state(network::TABLE).map(|s| s.value.as_str()));
    // The numbers are iptables' own, and of another one of the four it would say something else.
    let has = name.zip(there).map(|(name, all)| all.value.split_whitespace().any(|t| t == name));
    let state = Some(has != Some(true));
    let weighed = claim::weigh(case, DECIDERS, CALLERS, state)?;
    let all = if six { "ip6_tables" } else { "ip_tables" };
    let (module, sentence) = match (errno == none, name) {
        (true, _) => {
            (all.to_string(), format!("This kernel has no {all}: iptables-legacy cannot work with it."))
        }
        (false, Some(name)) => {
            let module = format!("{}_{name}", if six { "ip6table" } else { "iptable" });
            (
                module.clone(),
                format!(
                    "There is no iptables table {name} in the network namespace: the module {module} is not loaded."
                ),
            )
        }
        (false, None) => (
            "iptable_*".into(),
            "The iptables table that was asked for is not there: its module is not loaded.".into(),
        ),
    };
    let knob = knob(KnobKind::Other, &module, "/proc/modules");
    Some(weighed.proof(case, DECIDERS, sentence, knob).because(cite_state(case, network::TABLES)))
}

fn remedy(_: &Case<'_>, proof: &Proof) -> Vec<Remedy> {
    let module = &proof.knob.name;
    vec![
        step(
            "now",
            format!("modprobe {module}"),
            "on the host; the table is there at once in all network namespaces",
            format!("modprobe -r {module}"),
        ),
        step(
            "for good",
            "use iptables-nft in the image (update-alternatives --set iptables /usr/sbin/iptables-nft)",
            "it needs nf_tables only, as the host's own does; rules of both kinds side by side are hard to follow",
            "update-alternatives --set iptables /usr/sbin/iptables-legacy",
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::causes::case::net_testing::Scene;
    use crate::causes::case::net_testing::scene;

    fn asked(errno: i32, level: u64, option: u64) -> Scene {
        scene("getsockopt", errno)
            .socket(libc::AF_INET, libc::SOCK_RAW)
            .number("level", level)
            .number("optname", option)
    }

    #[test]
    fn the_module_of_the_table_is_named() {
        let f = asked(libc::ENOENT, 0, 64)
            .state(network::TABLE, "nat")
            .state(network::TABLES, "filter")
            .judge(&CAUSE)
            .unwrap();
        assert_eq!(f.knob.name, "iptable_nat");
        let f = asked(libc::ENOPROTOOPT, 41, 64).judge(&CAUSE).unwrap();
        assert_eq!(f.knob.name, "ip6_tables");
        let there =
            asked(libc::ENOENT, 0, 64).state(network::TABLE, "nat").state(network::TABLES, "nat filter");
        assert!(there.judge(&CAUSE).is_none(), "it is there");
    }

    #[test]
    fn other_options_are_not_claimed() {
        assert!(asked(libc::ENOPROTOOPT, 0, 99).judge(&CAUSE).is_none());
        assert!(asked(libc::ENOPROTOOPT, 6, 64).judge(&CAUSE).is_none());
        assert!(asked(libc::EPERM, 0, 64).judge(&CAUSE).is_none());
    }
}
