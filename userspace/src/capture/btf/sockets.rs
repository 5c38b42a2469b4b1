//! Which kernel fields lead from a descriptor to its socket, and to the settings of its network namespace.

use super::offsets::Resolved;
use super::{Btf, Want};
use Want::{Array, Int, Pointer, Sized};
use diag_abi::SocketOffsets;

/// The socket behind a descriptor.
pub(crate) const SOCKETS: &str = "sockets";

type Row = (&'static str, &'static [(&'static str, Want)], fn(&mut SocketOffsets) -> &mut u32);

/// Without these nothing is said about a socket at all.
const NEEDED: &[Row] = &[
    ("file", &[("private_data", Sized(8))], |o| &mut o.file_private),
    ("file", &[("f_flags", Int(4))], |o| &mut o.file_flags),
    ("socket", &[("sk", Pointer("sock"))], |o| &mut o.socket_sk),
    ("sock", &[("__sk_common.skc_family", Int(2))], |o| &mut o.sk_family),
    ("sock", &[("__sk_common.skc_net.net", Pointer("net"))], |o| &mut o.sk_net),
    ("sock", &[("sk_type", Int(2))], |o| &mut o.sk_type),
    ("sock", &[("sk_protocol", Int(2))], |o| &mut o.sk_protocol),
    ("nsproxy", &[("net_ns", Pointer("net"))], |o| &mut o.nsproxy_net),
    ("net", &[("ns.inum", Int(4))], |o| &mut o.net_inum),
    ("net", &[("user_ns", Pointer("user_namespace"))], |o| &mut o.net_user_ns),
];

/// Each of these is a reading of its own, and left out where a kernel keeps it elsewhere.
const OPTIONAL: &[Row] = &[
    ("sock", &[("__sk_common.skc_state", Int(1))], |o| &mut o.sk_state),
    ("sock", &[("__sk_common.skc_num", Int(2))], |o| &mut o.sk_num),
    ("sock", &[("__sk_common.skc_rcv_saddr", Int(4))], |o| &mut o.sk_local),
    ("sock", &[("__sk_common.skc_bound_dev_if", Int(4))], |o| &mut o.sk_device),
    ("sock", &[("__sk_common.skc_flags", Int(8))], |o| &mut o.sk_flags),
    ("sock", &[("sk_err", Int(4))], |o| &mut o.sk_err),
    ("sock", &[("sk_sndbuf", Int(4))], |o| &mut o.sk_sndbuf),
    ("sock", &[("sk_rcvbuf", Int(4))], |o| &mut o.sk_rcvbuf),
    ("sock", &[("sk_wmem_alloc.refs.counter", Int(4))], |o| &mut o.sk_wmem),
    ("sock", &[("sk_backlog.rmem_alloc.counter", Int(4))], |o| &mut o.sk_rmem),
    ("sock", &[("sk_omem_alloc.counter", Int(4))], |o| &mut o.sk_omem),
    ("sock", &[("sk_ack_backlog", Int(4))], |o| &mut o.sk_queue),
    ("sock", &[("sk_max_ack_backlog", Int(4))], |o| &mut o.sk_queue_max),
    ("sock", &[("sk_receive_queue.qlen", Int(4))], |o| &mut o.sk_receive),
    ("unix_sock", &[("peer", Pointer("sock"))], |o| &mut o.unix_peer),
    ("inet_sock", &[("mc_list", Pointer("ip_mc_socklist"))], |o| &mut o.inet_groups),
    ("net", &[("ipv4.sysctl_ip_prot_sock", Int(4))], |o| &mut o.net_port_start),
    ("net", &[("unx.sysctl_max_dgram_qlen", Int(4))], |o| &mut o.net_dgram_qlen),
    ("net", &[("ipv4.sysctl_igmp_max_memberships", Int(4))], |o| &mut o.net_igmp),
    ("net", &[("core.sysctl_somaxconn", Int(4))], |o| &mut o.net_somaxconn),
    // A byte since 5.19; the low byte of the int before.
    ("net", &[("ipv4.sysctl_ip_nonlocal_bind", Int(1)), ("ipv4.sysctl_ip_nonlocal_bind", Int(4))], |o| {
        &mut o.net_nonlocal
    }),
];

pub(super) fn resolve(btf: &Btf<'_>, resolved: &mut Resolved) {
    let mut offsets = SocketOffsets::NONE;
    for row in NEEDED {
        if let Err(why) = find(btf, row, &mut offsets) {
            resolved.missing.push((SOCKETS, why));
            return;
        }
    }
    for row in OPTIONAL {
        // Absence is an answer here.
        let _ = find(btf, row, &mut offsets);
    }
    // Two ints up to 6.7, then one number (include/net/netns/ipv4.h).
    if let Ok(at) = btf.member("net", "ipv4.ip_local_ports.range", Array(4)) {
        (offsets.net_ports, offsets.ports_packed) = (at, 0);
    } else if let Ok(at) = btf.member("net", "ipv4.ip_local_ports.range", Int(4)) {
        (offsets.net_ports, offsets.ports_packed) = (at, 1);
    }
    resolved.sockets = offsets;
}

fn find(btf: &Btf<'_>, (structure, forms, slot): &Row, offsets: &mut SocketOffsets) -> Result<(), String> {
    let mut last = String::new();
    for (path, want) in *forms {
        match btf.member(structure, path, *want) {
            Ok(offset) => {
                *slot(offsets) = offset;
                return Ok(());
            }
            Err(error) => last = error.to_string(),
        }
    }
    Err(last)
}
