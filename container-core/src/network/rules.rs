//! How addresses are translated: the table of a store, as a function of its leases.

use std::net::Ipv4Addr;

use super::nft::Change;
use super::nft::expression::{Expression, Side};
use super::nft::{Chain, Hook};
use super::record::Record;
use crate::spec::Port;

/// conntrack's mark of a connection whose destination was translated, `ip_conntrack_status` in linux/netfilter.
const TRANSLATED: u32 = 1 << 5;
/// An address of the machine itself, rtnetlink(7).
const RTN_LOCAL: u32 = 2;

/// Put the table in place of what is there, in one transaction.
pub(super) fn replace(record: &Record) -> Vec<Change> {
    let mut changes = vec![
        // To delete what is not there would be an error: add, delete, add, as nft(8) does.
        Change::AddTable(record.bridge.clone()),
        Change::DeleteTable(record.bridge.clone()),
        Change::AddTable(record.bridge.clone()),
    ];
    for chain in CHAINS {
        changes.push(Change::AddChain(record.bridge.clone(), chain));
    }
    let mut rule = |chain: &Chain, what: String, expressions: Vec<Expression>| {
        changes.push(Change::AddRule { table: record.bridge.clone(), chain: chain.name, what, expressions });
    };
    let [guard, incoming, local, outgoing] = &CHAINS;
    let bridge = record.bridge.as_str();
    let loopback = (Ipv4Addr::new(127, 0, 0, 0), Ipv4Addr::new(255, 0, 0, 0));
    let subnet = (record.subnet.base, record.subnet.netmask());
    let from = |range| Expression::in_range(Side::Source, range);
    let to = |range| Expression::in_range(Side::Destination, range);

    // route_localnet would let containers speak to what listens on the machine's 127.0.0.1 only.
    let drop_strangers = [Expression::incoming(bridge, true), to(loopback), vec![Expression::Drop]];
    rule(guard, "containers to loopback".to_owned(), drop_strangers.concat());
    // What leaves the machine has its address.
    let way_out = [from(subnet), Expression::outgoing(bridge, false), vec![Expression::Masquerade]];
    rule(outgoing, "the way out".to_owned(), way_out.concat());
    // A container that reaches another by a published port, and the machine by its loopback: the answer must come back
    // through here.
    for (range, what) in [(subnet, "containers to published ports"), (loopback, "loopback to containers")] {
        let translated = Expression::connection_status(TRANSLATED);
        let hairpin =
            [from(range), Expression::outgoing(bridge, true), translated, vec![Expression::Masquerade]];
        rule(outgoing, what.to_owned(), hairpin.concat());
    }
    for (address, port) in record.ports() {
        for chain in [incoming, local] {
            rule(chain, port.to_string(), published(address, &port));
        }
    }
    changes
}

fn published(address: Ipv4Addr, port: &Port) -> Vec<Expression> {
    let machine = match port.address.filter(|address| !address.is_unspecified()) {
        Some(own) => Expression::in_range(Side::Destination, (own, Ipv4Addr::BROADCAST)),
        None => Expression::destination_is(RTN_LOCAL),
    };
    let destination = Expression::TranslateTo { address, port: port.container };
    [machine, Expression::port(port.protocol.number(), port.host), vec![destination]].concat()
}

/// Priorities are those that nft(8) calls raw, dstnat and srcnat.
const CHAINS: [Chain; 4] = [
    Chain { name: "guard", kind: "filter", hook: Hook::Prerouting, priority: -300 },
    Chain { name: "incoming", kind: "nat", hook: Hook::Prerouting, priority: -100 },
    Chain { name: "local", kind: "nat", hook: Hook::Output, priority: -100 },
    Chain { name: "outgoing", kind: "nat", hook: Hook::Postrouting, priority: 100 },
];
