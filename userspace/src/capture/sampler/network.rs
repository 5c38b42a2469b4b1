//! The network namespace of a failed call on a socket: who holds a port, what the routing table says, how full
//! tables and queues are.
//!
//! What `/proc/sys/net` and netlink show depends on the network namespace of the thread that asks, so a thread
//! of its own enters the one of the call, asks, and ends.

mod links;
mod namespace;
mod routes;
mod sockets;
mod unix;

use super::{Look, Sampled, caller};
use crate::limits::{Limit, network as limits, read::Root};
use crate::model::{Fact, Failure, NetPlace, Reading, Socket, State, Taken, network as states};
use std::net::IpAddr;

/// A failure as the questions to its namespace see it.
struct Question<'a> {
    /// The machine's root, seen from a thread inside the namespace.
    root: &'a Root,
    failure: &'a Failure,
    call: &'a str,
    after: u64,
}

#[derive(Default)]
struct Answers {
    readings: Vec<Reading>,
    facts: Vec<Fact>,
}

const BIND: &[&str] = &["bind", "listen"];
const CONNECT: &[&str] = &["connect"];
const SEND: &[&str] = &["sendto", "sendmsg", "sendmmsg", "write", "writev"];
const REACH: &[&str] = &["connect", "sendto", "sendmsg", "sendmmsg"];

type Asker = fn(&Question<'_>, &mut Answers);

/// Which questions a call and an errno raise. 0 stands for any errno.
const ASKERS: &[(&[&str], &[i32], Asker)] = &[
    (BIND, &[libc::EADDRINUSE], sockets::holders),
    (
        &["bind", "listen", "connect", "sendto", "sendmsg", "sendmmsg"],
        &[libc::EADDRINUSE, libc::EADDRNOTAVAIL, libc::EAGAIN],
        sockets::ports,
    ),
    (&["bind", "connect", "sendto", "sendmsg"], &[libc::EADDRNOTAVAIL], addresses),
    (&["socket"], &[libc::EAFNOSUPPORT, libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT], protocols),
    (&["socket"], &[libc::EACCES], ping_groups),
    (&["socket"], &[libc::ENOPROTOOPT], multipath),
    (
        REACH,
        &[libc::ENETUNREACH, libc::EHOSTUNREACH, libc::EINVAL, libc::EACCES, libc::ENETDOWN],
        routes::ask,
    ),
    (REACH, &[libc::ENOBUFS, libc::EINVAL], neighbours),
    (
        &["connect", "sendto", "sendmsg", "recvfrom", "recvmsg", "read"],
        &[libc::ECONNREFUSED],
        sockets::listener,
    ),
    (CONNECT, &[libc::ETIMEDOUT, libc::EINPROGRESS], sockets::listener),
    (CONNECT, &[libc::ETIMEDOUT, libc::EINPROGRESS, libc::EPERM], firewall),
    (SEND, &[libc::EPERM], firewall),
    (&["setsockopt", "sendmsg", "sendto"], &[libc::ENOBUFS, libc::ENOMEM], option_memory),
    (&["setsockopt"], &[libc::ENOENT], congestion),
    (&["setsockopt"], &[libc::ENOBUFS], sources),
    (&["getsockopt", "setsockopt"], &[libc::ENOENT, libc::ENOPROTOOPT], tables),
    (
        &["bind", "connect", "sendto", "sendmsg"],
        &[libc::ECONNREFUSED, libc::EADDRINUSE, libc::EAGAIN, libc::EPROTOTYPE],
        unix::look,
    ),
];

pub(super) fn look(look: &Look<'_>, failure: &mut Failure, out: &mut Sampled) {
    at_instant(failure);
    let errno = look.errno.0;
    let askers: Vec<Asker> = ASKERS
        .iter()
        .filter(|(calls, errnos, _)| calls.contains(&look.call) && errnos.contains(&errno))
        .map(|row| row.2)
        .collect();
    // A descriptor that is no socket raises none of them.
    let is_socket = failure.task.net.is_some() || failure.socket().is_some();
    if askers.is_empty() || !is_socket {
        return;
    }
    let (after, call) = (look.after(failure), look.call);
    let asked = &*failure;
    let answers = namespace::inside(look.root, asked, |root| {
        let question = Question { root, failure: asked, call, after };
        let mut answers = Answers::default();
        for asker in askers {
            asker(&question, &mut answers);
        }
        answers
    });
    if let Some(answers) = answers {
        out.readings.extend(answers.readings);
        out.facts.extend(answers.facts);
    }
}

/// What a refused netlink request was about.
pub(super) fn refused_request(root: &Root, failure: &Failure, after: u64, out: &mut Sampled) {
    let answers = namespace::inside(root, failure, |root| {
        let mut answers = Answers::default();
        links::look(&Question { root, failure, call: "", after }, &mut answers);
        answers
    });
    if let Some(answers) = answers {
        out.readings.extend(answers.readings);
        out.facts.extend(answers.facts);
    }
}

/// What the probe read of the socket, as readings of limits.
fn at_instant(failure: &mut Failure) {
    let Some(socket) = failure.socket().cloned() else { return };
    let place = failure.task.net;
    let mut add = |limit: &Limit, usage: Option<u32>, ceiling: Option<u32>, adds: u64, source: &str| {
        let (Some(usage), Some(ceiling)) = (usage, ceiling) else { return };
        failure.readings.push(Reading {
            limit: limit.id.into(),
            scope: "the socket".into(),
            ceiling: Some(u64::from(ceiling)),
            usage: Some(u64::from(usage)),
            adds: Some(adds),
            hits: None,
            unit: limit.unit.into(),
            taken: Taken::AtInstant,
            source: source.into(),
        });
    };
    add(&limits::SNDBUF, socket.wmem, socket.sndbuf, 1, "sock.sk_wmem_alloc and .sk_sndbuf");
    groups(&socket, place, &mut add);
}

type Add<'a> = dyn FnMut(&Limit, Option<u32>, Option<u32>, u64, &str) + 'a;

fn groups(socket: &Socket, place: Option<NetPlace>, add: &mut Add<'_>) {
    let most = place.and_then(|p| p.memberships);
    if socket.memberships.is_some_and(|n| n > 0) {
        let source = "inet_sock.mc_list and net.ipv4.sysctl_igmp_max_memberships";
        add(&limits::MEMBERSHIPS, socket.memberships, most, 1, source);
    }
    if socket.peer_queue.is_some() {
        // unix_recvq_full(): more than the maximum, not as many.
        let most = socket.peer_queue_max.map(|n| n.saturating_add(1));
        add(
            &limits::DGRAM_QUEUE,
            socket.peer_queue,
            most,
            1,
            "the receiver's sk_receive_queue and sk_max_ack_backlog",
        );
    }
}

impl Question<'_> {
    fn text(&self, rel: &str) -> Option<String> {
        std::fs::read_to_string(self.root.join(rel)).ok()
    }

    /// A file of `/proc/net` of this namespace.
    fn net(&self, file: &str) -> Option<String> {
        self.text(&format!("proc/thread-self/net/{file}"))
    }

    fn sysctl(&self, name: &str) -> Option<String> {
        Some(self.text(&format!("proc/sys/{}", name.replace('.', "/")))?.trim().to_string())
    }

    fn scope(&self) -> String {
        match self.failure.task.net {
            Some(net) => format!("network namespace {}", net.net_ns),
            None => "the network namespace".into(),
        }
    }

    fn state(&self, name: &str, of: &str, value: impl Into<String>, source: &str) -> Fact {
        Fact::State(State {
            name: name.into(),
            of: of.into(),
            value: value.into(),
            source: source.into(),
            after_ns: self.after,
        })
    }

    fn reading(&self, limit: &Limit, usage: u64, ceiling: u64, hits: Option<u64>, source: &str) -> Reading {
        Reading {
            limit: limit.id.into(),
            scope: self.scope(),
            ceiling: Some(ceiling),
            usage: Some(usage),
            adds: Some(1),
            hits,
            unit: limit.unit.into(),
            taken: Taken::After { ns: self.after },
            source: source.into(),
        }
    }
}

/// Which addresses the namespace has, and the switches that matter for them.
fn addresses(q: &Question<'_>, out: &mut Answers) {
    for name in [
        states::IPV6_ALL,
        states::IPV6_LO,
        "net.ipv6.conf.default.disable_ipv6",
        "net.ipv4.ip_nonlocal_bind",
        "net.ipv6.ip_nonlocal_bind",
    ] {
        if let Some(value) = q.sysctl(name) {
            out.facts.push(q.state(name, &q.scope(), value, name));
        }
    }
    let Some((ip, _)) = q.failure.internet() else { return };
    let (own, source) = match ip {
        IpAddr::V4(_) => (routes::own_v4(&q.net("fib_trie").unwrap_or_default()), "/proc/net/fib_trie"),
        IpAddr::V6(_) => (routes::own_v6(&q.net("if_inet6").unwrap_or_default()), "/proc/net/if_inet6"),
    };
    // All of 127.0.0.0/8 is local where lo is up.
    let has = own.contains(&ip) || ip.is_loopback() && ip.is_ipv4() && own.iter().any(IpAddr::is_loopback);
    out.facts.push(q.state(states::LOCAL, &ip.to_string(), if has { "yes" } else { "no" }, source));
    if let IpAddr::V6(ip) = ip
        && let Some(state) = routes::state_v6(&q.net("if_inet6").unwrap_or_default(), ip)
    {
        out.facts.push(q.state(states::ADDRESS_STATE, &ip.to_string(), state, source));
    }
    let list: Vec<String> = own.iter().map(ToString::to_string).collect();
    let list = if list.is_empty() { "none".into() } else { list.join(", ") };
    out.facts.push(q.state(states::ADDRESSES, if ip.is_ipv4() { "IPv4" } else { "IPv6" }, list, source));
}

fn protocols(q: &Question<'_>, out: &mut Answers) {
    let text = q.net("protocols").unwrap_or_default();
    let names: Vec<&str> = text.lines().skip(1).filter_map(|l| l.split_whitespace().next()).collect();
    out.facts.push(q.state(states::FAMILIES, "", names.join(" "), "/proc/net/protocols"));
    let v6 = q.root.join("proc/sys/net/ipv6").exists();
    out.facts.push(q.state("IPv6 in this kernel", "", if v6 { "yes" } else { "no" }, "/proc/sys/net/ipv6"));
}

fn ping_groups(q: &Question<'_>, out: &mut Answers) {
    if let Some(range) = q.sysctl(states::PING_GROUPS) {
        out.facts.push(q.state(states::PING_GROUPS, &q.scope(), range, states::PING_GROUPS));
    }
}

/// Whether there is multipath TCP.
fn multipath(q: &Question<'_>, out: &mut Answers) {
    if let Some(switch) = q.sysctl(states::MPTCP) {
        out.facts.push(q.state(states::MPTCP, &q.scope(), switch, states::MPTCP));
    }
}

/// The algorithms that there are, for who asked for one by name.
fn congestion(q: &Question<'_>, out: &mut Answers) {
    if let Some(names) = q.sysctl(states::CONGESTION) {
        out.facts.push(q.state(states::CONGESTION, &q.scope(), names, states::CONGESTION));
    }
}

/// How many sources one group of a socket may have.
fn sources(q: &Question<'_>, out: &mut Answers) {
    for name in [states::MAX_MSF, states::MAX_MSF_V6] {
        out.facts.extend(q.sysctl(name).map(|value| q.state(name, &q.scope(), value, name)));
    }
}

/// The tables of the older iptables that are there, and the one that was asked for: `struct ipt_getinfo` and
/// `struct ipt_replace` (linux/netfilter_ipv4/ip_tables.h) begin with its name.
fn tables(q: &Question<'_>, out: &mut Answers) {
    let number = |name: &str| q.failure.number_arg(name);
    let file = match (number("level"), number("optname")) {
        (Some(0), Some(64..=67)) => "ip_tables_names",
        (Some(41), Some(64..=67)) => "ip6_tables_names",
        _ => return,
    };
    let there = q.net(file).map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    out.facts.push(q.state(
        states::TABLES,
        &q.scope(),
        there.unwrap_or_default(),
        &format!("/proc/net/{file}"),
    ));
    let task = q.root.join(format!("proc/{}", q.failure.task.pid));
    let name = number("optval").and_then(|at| caller::name::<32>(&task, at, b"_-"));
    out.facts.extend(name.map(|name| q.state(states::TABLE, "", name, "the caller's buffer")));
}

/// The table is the machine's, and so are its ceilings and its counters.
fn neighbours(q: &Question<'_>, out: &mut Answers) {
    let first = Root::clone(q.root);
    for (limit, file) in
        [(&limits::NEIGHBOURS, limits::ARP_CACHE), (&limits::NEIGHBOURS_V6, limits::NDISC_CACHE)]
    {
        let v6 = limit.id == limits::NEIGHBOURS_V6.id;
        if q.failure.internet().is_some_and(|(ip, _)| ip.is_ipv6() != v6) {
            continue;
        }
        let Ok((entries, full)) = limits::neighbour_table(&first, file) else { continue };
        // Only the first namespace has this file.
        let Some(most) = namespace::first(q.root, limit.path()) else { continue };
        let mut reading = q.reading(limit, entries, most, Some(full), &format!("/{file}, {}", limit.path()));
        reading.scope = "the machine".into();
        out.readings.push(reading);
    }
}

fn firewall(q: &Question<'_>, out: &mut Answers) {
    let number = |name: &str| q.sysctl(name).and_then(|text| text.parse::<u64>().ok());
    if let (Some(count), Some(most)) =
        (number("net.netfilter.nf_conntrack_count"), number(limits::CONNTRACK.id))
    {
        let drops = q.net("stat/nf_conntrack").map(|text| dropped(&text));
        let source = "net.netfilter.nf_conntrack_count and nf_conntrack_max, /proc/net/stat/nf_conntrack";
        // 0 is no limit.
        let most = if most == 0 { u64::MAX } else { most };
        out.readings.push(q.reading(&limits::CONNTRACK, count, most, drops, source));
    }
    let tables = ["ip_tables_names", "ip6_tables_names"].map(|file| q.net(file).unwrap_or_default()).concat();
    let legacy: Vec<String> = tables.lines().map(|table| format!("iptables {table}")).collect();
    let chains = routes::chains().unwrap_or_default();
    let all = [legacy, chains].concat();
    let words = if all.is_empty() { "none".into() } else { all.join(", ") };
    out.facts.push(q.state(states::FIREWALL, &q.scope(), words, "netfilter's own lists"));
}

/// `drop` and `early_drop` are hexadecimal, a line for each processor (nf_conntrack_standalone.c `ct_cpu_seq_show()`).
fn dropped(text: &str) -> u64 {
    let mut lines = text.lines();
    let heads: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let Some(column) = heads.iter().position(|head| *head == "drop") else { return 0 };
    lines.filter_map(|l| u64::from_str_radix(l.split_whitespace().nth(column)?, 16).ok()).sum()
}

/// Before 6.7 the ceiling was the machine's and is shown in the first namespace only.
fn option_memory(q: &Question<'_>, out: &mut Answers) {
    let own = q.sysctl(limits::OPTMEM.id).and_then(|text| text.parse().ok());
    let most = own.or_else(|| namespace::first(q.root, limits::OPTMEM.path()));
    let used = q.failure.socket().and_then(|s| s.omem);
    if let (Some(most), Some(used)) = (most, used) {
        let mut reading = q.reading(
            &limits::OPTMEM,
            u64::from(used),
            most,
            None,
            "sock.sk_omem_alloc; net.core.optmem_max",
        );
        let asked = match q.call {
            "setsockopt" => q.failure.number_arg("optlen").unwrap_or(0),
            _ => q.failure.socket().map_or(0, |s| s.control),
        };
        reading.adds = Some(asked);
        out.readings.push(reading);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_added_up() {
        let text =
            "entries  clashres found drop early_drop\n00000004 0 0 0000000a 0\n00000004 0 0 00000001 0\n";
        assert_eq!(dropped(text), 11);
    }
}
