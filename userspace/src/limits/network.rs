//! Limits of the network: ports, tables, queues and buffers.

use super::{Ceiling, Holder, Limit, Usage, read::Root};
use crate::model::KnobKind;
use std::io;

const fn sysctl(id: &'static str, file: &'static str, title: &'static str, unit: &'static str) -> Limit {
    Limit {
        id,
        title,
        kind: KnobKind::Sysctl,
        ceiling: Ceiling::Sysctl(file),
        unit,
        counted_per: "network namespace",
        usage: Usage::Hidden,
        default: 0,
        since: "2.6",
        see: "",
    }
}

/// The ports that the kernel gives to sockets which ask for none. Its ceiling is what lies between both ends, less
/// `net.ipv4.ip_local_reserved_ports`.
pub static LOCAL_PORTS: Limit = Limit {
    default: 28_232,
    counted_per: "network namespace; for TCP per destination as well",
    see: "Documentation/networking/ip-sysctl.rst, ip_local_port_range; net/ipv4/inet_hashtables.c, __inet_hash_connect()",
    ..sysctl(
        "net.ipv4.ip_local_port_range",
        "net/ipv4/ip_local_port_range",
        "local ports of one destination",
        "ports",
    )
};

/// The first port that needs no CAP_NET_BIND_SERVICE. No amount: what is below is refused.
pub static PORT_START: Limit = Limit {
    default: 1024,
    since: "4.11",
    see: "Documentation/networking/ip-sysctl.rst, ip_unprivileged_port_start; net/ipv4/af_inet.c, __inet_bind()",
    ..sysctl(
        "net.ipv4.ip_unprivileged_port_start",
        "net/ipv4/ip_unprivileged_port_start",
        "the first port that everybody may bind to",
        "port",
    )
};

/// Entries of the table of neighbours, one for all network namespaces (`neigh_alloc()`, net/core/neighbour.c).
pub static NEIGHBOURS: Limit = Limit {
    default: 1024,
    counted_per: "machine",
    usage: Usage::Read(neighbours),
    see: "arp(7), gc_thresh3; net/core/neighbour.c, neigh_alloc()",
    ..sysctl(
        "net.ipv4.neigh.default.gc_thresh3",
        "net/ipv4/neigh/default/gc_thresh3",
        "neighbours (ARP entries) of the whole machine",
        "entries",
    )
};

/// The same for IPv6.
pub static NEIGHBOURS_V6: Limit = Limit {
    default: 1024,
    counted_per: "machine",
    usage: Usage::Read(neighbours_v6),
    see: "net/core/neighbour.c, neigh_alloc()",
    ..sysctl(
        "net.ipv6.neigh.default.gc_thresh3",
        "net/ipv6/neigh/default/gc_thresh3",
        "IPv6 neighbours of the whole machine",
        "entries",
    )
};

/// Tracked connections. The ceiling is the machine's, the count each namespace's (`__nf_conntrack_alloc()`).
pub static CONNTRACK: Limit = Limit {
    default: 65_536,
    usage: Usage::Read(conntrack),
    see: "Documentation/networking/nf_conntrack-sysctl.rst; net/netfilter/nf_conntrack_core.c, __nf_conntrack_alloc()",
    ..sysctl(
        "net.netfilter.nf_conntrack_max",
        "net/netfilter/nf_conntrack_max",
        "connections that the firewall tracks",
        "connections",
    )
};

/// Messages that wait in the queue of a local datagram socket; it is taken over when the socket is made.
pub static DGRAM_QUEUE: Limit = Limit {
    default: 10,
    counted_per: "socket",
    see: "Documentation/networking/ip-sysctl.rst, max_dgram_qlen; net/unix/af_unix.c, unix_recvq_full()",
    ..sysctl(
        "net.unix.max_dgram_qlen",
        "net/unix/max_dgram_qlen",
        "messages in the queue of a unix socket",
        "messages",
    )
};

/// Multicast groups of one socket (`__ip_mc_join_group()`, net/ipv4/igmp.c).
pub static MEMBERSHIPS: Limit = Limit {
    default: 20,
    counted_per: "socket",
    see: "Documentation/networking/ip-sysctl.rst, igmp_max_memberships; net/ipv4/igmp.c, __ip_mc_join_group()",
    ..sysctl(
        "net.ipv4.igmp_max_memberships",
        "net/ipv4/igmp_max_memberships",
        "multicast groups of one socket",
        "groups",
    )
};

/// Options, filters and control data of one socket (`sock_kmalloc()`, net/core/sock.c).
pub static OPTMEM: Limit = Limit {
    default: 20_480,
    counted_per: "socket",
    see: "Documentation/admin-guide/sysctl/net.rst, optmem_max; net/core/sock.c, sock_kmalloc()",
    ..sysctl(
        "net.core.optmem_max",
        "net/core/optmem_max",
        "memory of options and control data of one socket",
        "bytes",
    )
};

/// `SO_SNDBUF` of one socket; `net.core.wmem_max` is the most it can be set to.
pub static SNDBUF: Limit = Limit {
    id: "SO_SNDBUF",
    title: "bytes that one socket may have on their way",
    kind: KnobKind::Other,
    ceiling: Ceiling::Fixed(212_992),
    unit: "bytes",
    counted_per: "socket",
    usage: Usage::Hidden,
    default: 212_992,
    since: "2.0",
    see: "socket(7), SO_SNDBUF; net/core/sock.c, sock_alloc_send_pskb()",
};

/// Connections that wait for accept(2): the second argument of listen(2), no more than `net.core.somaxconn`.
pub static ACCEPT_QUEUE: Limit = Limit {
    id: "listen backlog",
    title: "connections that wait for accept",
    kind: KnobKind::Other,
    ceiling: Ceiling::Fixed(4096),
    unit: "connections",
    counted_per: "listening socket",
    usage: Usage::Hidden,
    default: 4096,
    since: "2.0",
    see: "listen(2); net/unix/af_unix.c, unix_stream_connect(); include/net/sock.h, sk_acceptq_is_full()",
};

/// The most that listen(2) grants.
pub static SOMAXCONN: Limit = Limit {
    default: 4096,
    see: "listen(2); Documentation/admin-guide/sysctl/net.rst, somaxconn",
    ..sysctl(
        "net.core.somaxconn",
        "net/core/somaxconn",
        "the longest queue of a listening socket",
        "connections",
    )
};

/// Ports of one bridge: numbers of ten bits, of which 0 is none (`find_portno()`, net/bridge/br_if.c).
pub static BRIDGE_PORTS: Limit = Limit {
    id: "BR_MAX_PORTS",
    title: "ports of one bridge",
    kind: KnobKind::Other,
    ceiling: Ceiling::Fixed(1023),
    unit: "ports",
    counted_per: "bridge",
    usage: Usage::Read(bridges),
    default: 1023,
    since: "2.6",
    see: "net/bridge/br_private.h, BR_MAX_PORTS; net/bridge/br_if.c, find_portno()",
};

/// `entries` and `table_fulls` of `/proc/net/stat/NAME_cache`, hexadecimal, a line for each processor: the first
/// column is the same in all of them, the others are to be added (`neigh_stat_seq_show()`).
pub fn neighbour_table(root: &Root, file: &str) -> io::Result<(u64, u64)> {
    let text = std::fs::read_to_string(root.join(file))?;
    let mut lines = text.lines();
    let heads: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let column = heads.iter().position(|head| *head == "table_fulls");
    let (mut entries, mut full) = (0, 0);
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        let at = |index: usize| words.get(index).and_then(|hex| u64::from_str_radix(hex, 16).ok());
        entries = at(0).unwrap_or(entries);
        full += column.and_then(at).unwrap_or(0);
    }
    Ok((entries, full))
}

/// Where the table of neighbours is shown: to the first network namespace only, which is that of process 1.
pub const ARP_CACHE: &str = "proc/1/net/stat/arp_cache";
pub const NDISC_CACHE: &str = "proc/1/net/stat/ndisc_cache";

fn neighbours(root: &Root) -> io::Result<Vec<Holder>> {
    let usage = neighbour_table(root, ARP_CACHE)?.0;
    Ok(vec![Holder { name: String::new(), usage, ceiling: None }])
}

fn neighbours_v6(root: &Root) -> io::Result<Vec<Holder>> {
    let usage = neighbour_table(root, NDISC_CACHE)?.0;
    Ok(vec![Holder { name: String::new(), usage, ceiling: None }])
}

fn conntrack(root: &Root) -> io::Result<Vec<Holder>> {
    let usage = root.number("proc/sys/net/netfilter/nf_conntrack_count")?;
    Ok(vec![Holder { name: "this network namespace".into(), usage, ceiling: None }])
}

/// The bridges of this network namespace, the fullest first.
fn bridges(root: &Root) -> io::Result<Vec<Holder>> {
    let mut holders = Vec::new();
    for device in std::fs::read_dir(root.join("sys/class/net"))?.flatten() {
        let Ok(ports) = std::fs::read_dir(device.path().join("brif")) else { continue };
        let name = format!("bridge {}", device.file_name().to_string_lossy());
        holders.push(Holder { name, usage: ports.count() as u64, ceiling: None });
    }
    holders.sort_by_key(|holder| std::cmp::Reverse(holder.usage));
    Ok(holders)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_neighbours_is_added_up_over_processors() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("arp_cache"),
            "entries  allocs   table_fulls\n0000000a 00000001 00000002\n0000000a 00000001 00000003\n",
        )
        .unwrap();
        assert_eq!(neighbour_table(&Root::at(dir.path()), "arp_cache").unwrap(), (10, 5));
    }
}
