//! Which kernel fields lead from a packet to the socket that receives it.

use super::offsets::Resolved;
use super::{Btf, Want};
use Want::{Int, Pointer, Text};
use diag_abi::NetlinkOffsets;

/// Acknowledgements of netlink.
pub const NETLINK: &str = "netlink answers";

type Row = (&'static str, &'static str, Want, fn(&mut NetlinkOffsets) -> &mut u32);

const FIELDS: &[Row] = &[
    ("sk_buff", "sk", Pointer("sock"), |o| &mut o.skb_sk),
    ("sk_buff", "data", Text, |o| &mut o.skb_data),
    ("sk_buff", "len", Int(4), |o| &mut o.skb_len),
    ("sock", "__sk_common.skc_family", Int(2), |o| &mut o.sock_family),
    ("sock", "sk_protocol", Int(2), |o| &mut o.sock_protocol),
    ("sock", "__sk_common.skc_net.net", Pointer("net"), |o| &mut o.sock_net),
    ("net", "ns.inum", Int(4), |o| &mut o.net_inum),
];

/// Looks up every field. The probe does nothing without one of them.
pub(super) fn resolve(btf: &Btf<'_>, resolved: &mut Resolved) {
    let mut offsets = NetlinkOffsets::NONE;
    for (structure, path, want, slot) in FIELDS {
        match btf.member(structure, path, *want) {
            Ok(offset) => *slot(&mut offsets) = offset,
            Err(why) if resolved.why_not(NETLINK).is_none() => {
                resolved.missing.push((NETLINK, why.to_string()));
            }
            Err(_) => {}
        }
    }
    resolved.netlink = offsets;
    // Since 5.13; without it the sentence is known to who asked for it in the acknowledgement.
    resolved.netlink_sentences = btf.tracepoint("netlink_extack").is_ok();
}

/// Every member that is looked up, for tests that hold it against another implementation.
pub fn looked_up() -> impl Iterator<Item = (&'static str, &'static str, Want)> {
    FIELDS.iter().map(|(structure, path, want, _)| (*structure, *path, *want))
}
