//! What rules are made of: each expression loads something into a register, compares it, or acts.

use std::net::Ipv4Addr;

use super::message::Attributes;

/// A part of a rule. All values pass through register 1, an address and a port through 1 and 2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::network) enum Expression {
    /// Bytes of the packet: from the network header (1) or the transport header (2).
    Payload {
        base: u32,
        offset: u32,
        length: u32,
    },
    /// A property of the packet, `enum nft_meta_keys`.
    Meta(u32),
    /// The state of its connection, `enum nft_ct_keys`.
    Connection(u32),
    /// The kind of its destination's address, as the routing table knows it.
    DestinationKind,
    /// Bits of the register that stay.
    Mask(Vec<u8>),
    /// Go on only if the register is equal, or is not.
    Compare {
        equal: bool,
        value: Vec<u8>,
    },
    /// Lead it to this address and port.
    TranslateTo {
        address: Ipv4Addr,
        port: u16,
    },
    /// Give it the machine's own address.
    Masquerade,
    Drop,
}

/// Which address of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::network) enum Side {
    Source,
    Destination,
}

const META_IN_NAME: u32 = 6;
const META_OUT_NAME: u32 = 7;
const META_PROTOCOL: u32 = 16;
const CT_STATUS: u32 = 2;

impl Expression {
    /// The address lies in that range (address, mask). Offsets are those of the IPv4 header.
    pub(in crate::network) fn in_range(side: Side, (base, mask): (Ipv4Addr, Ipv4Addr)) -> Vec<Expression> {
        let offset = if side == Side::Source { 12 } else { 16 };
        vec![
            Expression::Payload { base: 1, offset, length: 4 },
            Expression::Mask(mask.octets().to_vec()),
            Expression::Compare { equal: true, value: base.octets().to_vec() },
        ]
    }

    pub(in crate::network) fn incoming(device: &str, equal: bool) -> Vec<Expression> {
        vec![Expression::Meta(META_IN_NAME), Expression::Compare { equal, value: padded(device) }]
    }

    pub(in crate::network) fn outgoing(device: &str, equal: bool) -> Vec<Expression> {
        vec![Expression::Meta(META_OUT_NAME), Expression::Compare { equal, value: padded(device) }]
    }

    /// Any of these bits is set.
    pub(in crate::network) fn connection_status(bits: u32) -> Vec<Expression> {
        vec![
            Expression::Connection(CT_STATUS),
            Expression::Mask(bits.to_ne_bytes().to_vec()),
            Expression::Compare { equal: false, value: vec![0; 4] },
        ]
    }

    pub(in crate::network) fn destination_is(kind: u32) -> Vec<Expression> {
        let value = kind.to_ne_bytes().to_vec();
        vec![Expression::DestinationKind, Expression::Compare { equal: true, value }]
    }

    /// The destination port; tcp(7) and udp(7) have it at the same place.
    pub(in crate::network) fn port(protocol: u8, port: u16) -> Vec<Expression> {
        vec![
            Expression::Meta(META_PROTOCOL),
            Expression::Compare { equal: true, value: vec![protocol] },
            Expression::Payload { base: 2, offset: 2, length: 2 },
            Expression::Compare { equal: true, value: port.to_be_bytes().to_vec() },
        ]
    }

    /// The element of a rule's list, behind those of `preparation`.
    pub(super) fn encode(&self) -> Attributes {
        let new = Attributes::default;
        let value = |bytes: &[u8]| new().bytes(1, bytes);
        match self {
            Expression::Payload { base, offset, length } => {
                let data = new().number(1, 1).number(2, *base).number(3, *offset).number(4, *length);
                named("payload", data)
            }
            Expression::Meta(key) => named("meta", new().number(1, 1).number(2, *key)),
            Expression::Connection(key) => named("ct", new().number(1, 1).number(2, *key)),
            // Result 3 is the address type, flag 2 the destination.
            Expression::DestinationKind => named("fib", new().number(1, 1).number(2, 3).number(3, 2)),
            Expression::Mask(mask) => {
                let length = mask.len() as u32;
                let data = new().number(1, 1).number(2, 1).number(3, length).nested(4, value(mask));
                named("bitwise", data.nested(5, value(&vec![0; mask.len()])))
            }
            Expression::Compare { equal, value: bytes } => {
                named("cmp", new().number(1, 1).number(2, u32::from(!equal)).nested(3, value(bytes)))
            }
            Expression::TranslateTo { .. } => {
                named("nat", new().number(1, 1).number(2, 2).number(3, 1).number(5, 2))
            }
            Expression::Masquerade => named("masq", new()),
            Expression::Drop => {
                // Register 0 is the verdict, code 0 NF_DROP.
                named("immediate", new().number(1, 0).nested(2, new().nested(2, new().number(1, 0))))
            }
        }
    }

    /// What has to be in the registers before it.
    pub(super) fn preparation(&self) -> Vec<Attributes> {
        let load = |register: u32, bytes: &[u8]| {
            let data = Attributes::default().bytes(1, bytes);
            named("immediate", Attributes::default().number(1, register).nested(2, data))
        };
        match self {
            Expression::TranslateTo { address, port } => {
                vec![load(1, &address.octets()), load(2, &port.to_be_bytes())]
            }
            _ => Vec::new(),
        }
    }
}

fn named(name: &str, data: Attributes) -> Attributes {
    Attributes::default().text(1, name).nested(2, data)
}

/// A device's name fills sixteen bytes.
fn padded(device: &str) -> Vec<u8> {
    let mut name = device.as_bytes().to_vec();
    name.resize(16, 0);
    name
}
