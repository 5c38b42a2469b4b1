//! Messages and attributes as bytes: netlink(7), linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.

use nix::errno::Errno;

use super::Change;

// Kinds of messages. Those of nf_tables carry the subsystem's number in the upper byte.
const NLMSG_ERROR: u16 = 2;
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const SUBSYSTEM: u16 = 10;
const NEW_TABLE: u16 = SUBSYSTEM << 8;
const GET_TABLE: u16 = SUBSYSTEM << 8 | 1;
const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2;
const NEW_CHAIN: u16 = SUBSYSTEM << 8 | 3;
const NEW_RULE: u16 = SUBSYSTEM << 8 | 6;

const REQUEST: u16 = libc::NLM_F_REQUEST as u16;
const ACKNOWLEDGE: u16 = libc::NLM_F_ACK as u16;
const CREATE: u16 = libc::NLM_F_CREATE as u16;
const APPEND: u16 = libc::NLM_F_APPEND as u16;

const FAMILY_IP: u8 = 2;
const HEADER: usize = 16;
const NESTED: u16 = 1 << 15;

// Attributes of the messages.
const TABLE_NAME: u16 = 1;
const CHAIN_TABLE: u16 = 1;
const CHAIN_NAME: u16 = 3;
const CHAIN_HOOK: u16 = 4;
const CHAIN_TYPE: u16 = 7;
const HOOK_NUMBER: u16 = 1;
const HOOK_PRIORITY: u16 = 2;
const RULE_TABLE: u16 = 1;
const RULE_CHAIN: u16 = 2;
const RULE_EXPRESSIONS: u16 = 4;

/// A sequence of attributes.
#[derive(Debug, Default)]
pub(super) struct Attributes(Vec<u8>);

impl Attributes {
    pub(super) fn bytes(mut self, kind: u16, value: &[u8]) -> Attributes {
        self.0.extend(((value.len() + 4) as u16).to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        // Everything in netlink is aligned to four bytes.
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self
    }

    pub(super) fn text(self, kind: u16, text: &str) -> Attributes {
        self.bytes(kind, &[text.as_bytes(), &[0]].concat())
    }

    /// Numbers of nf_tables are in network byte order.
    pub(super) fn number(self, kind: u16, number: u32) -> Attributes {
        self.bytes(kind, &number.to_be_bytes())
    }

    pub(super) fn nested(self, kind: u16, inner: Attributes) -> Attributes {
        self.bytes(kind | NESTED, &inner.0)
    }
}

/// Messages between BATCH_BEGIN and BATCH_END.
pub(super) struct Batch {
    bytes: Vec<u8>,
    /// Where the last message of a change begins.
    last: usize,
    changes: u32,
}

impl Batch {
    pub(super) fn new() -> Batch {
        let mut batch = Batch { bytes: Vec::new(), last: 0, changes: 0 };
        // The subsystem is the "resource" of the batch.
        put(&mut batch.bytes, BATCH_BEGIN, REQUEST, 0, [0, 0, 0, SUBSYSTEM as u8], &Attributes::default());
        batch
    }

    pub(super) fn push(&mut self, change: &Change) {
        let (kind, flags, attributes) = encode(change);
        self.last = self.bytes.len();
        self.changes += 1;
        let family = [FAMILY_IP, 0, 0, 0];
        put(&mut self.bytes, kind, REQUEST | flags, self.changes, family, &attributes);
    }

    /// The bytes to send. The last change asks for an acknowledgement.
    pub(super) fn finish(mut self) -> Vec<u8> {
        let flags = &mut self.bytes[self.last + 6..self.last + 8];
        let asking = u16::from_ne_bytes([flags[0], flags[1]]) | ACKNOWLEDGE;
        flags.copy_from_slice(&asking.to_ne_bytes());
        let end = self.changes + 1;
        put(&mut self.bytes, BATCH_END, REQUEST, end, [0, 0, 0, SUBSYSTEM as u8], &Attributes::default());
        self.bytes
    }
}

/// Which change of a batch a sequence number stands for.
pub(super) fn change_of(sequence: u32) -> Option<usize> {
    (sequence as usize).checked_sub(1)
}

pub(super) fn get_table(table: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let attributes = Attributes::default().text(TABLE_NAME, table);
    put(&mut bytes, GET_TABLE, REQUEST | ACKNOWLEDGE, 1, [FAMILY_IP, 0, 0, 0], &attributes);
    bytes
}

fn encode(change: &Change) -> (u16, u16, Attributes) {
    let none = Attributes::default();
    match change {
        Change::AddTable(table) => (NEW_TABLE, CREATE, none.text(TABLE_NAME, table)),
        Change::DeleteTable(table) => (DELETE_TABLE, 0, none.text(TABLE_NAME, table)),
        Change::AddChain(table, chain) => {
            let hook = Attributes::default()
                .number(HOOK_NUMBER, chain.hook as u32)
                .number(HOOK_PRIORITY, chain.priority as u32);
            let attributes = none
                .text(CHAIN_TABLE, table)
                .text(CHAIN_NAME, chain.name)
                .nested(CHAIN_HOOK, hook)
                .text(CHAIN_TYPE, chain.kind);
            (NEW_CHAIN, CREATE, attributes)
        }
        Change::AddRule { table, chain, expressions, .. } => {
            const LIST_ELEMENT: u16 = 1;
            let list = expressions.iter().fold(Attributes::default(), |list, expression| {
                let all = expression.preparation().into_iter().chain([expression.encode()]);
                all.fold(list, |list, element| list.nested(LIST_ELEMENT, element))
            });
            let attributes =
                none.text(RULE_TABLE, table).text(RULE_CHAIN, chain).nested(RULE_EXPRESSIONS, list);
            (NEW_RULE, CREATE | APPEND, attributes)
        }
    }
}

/// Append one message: nlmsghdr, nfgenmsg, attributes.
fn put(bytes: &mut Vec<u8>, kind: u16, flags: u16, sequence: u32, head: [u8; 4], attributes: &Attributes) {
    let length = (HEADER + head.len() + attributes.0.len()) as u32;
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend(0u32.to_ne_bytes());
    bytes.extend(head);
    bytes.extend(&attributes.0);
}

/// The first acknowledgement in what was received: the sequence number it answers, and the refusal if it is one.
pub(in crate::network) fn acknowledgement(mut bytes: &[u8]) -> Option<(u32, Option<Errno>)> {
    while let Some(header) = bytes.first_chunk::<HEADER>() {
        let word =
            |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let kind = u16::from_ne_bytes([header[4], header[5]]);
        if kind == NLMSG_ERROR {
            let code = i32::from_ne_bytes(*bytes.get(HEADER..)?.first_chunk::<4>()?);
            return Some((word(8), (code != 0).then(|| Errno::from_raw(-code))));
        }
        bytes = bytes.get((word(0) as usize).max(HEADER).next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::expression::Expression;
    use super::*;

    #[test]
    fn a_batch_is_framed_numbered_and_asks_at_its_end() {
        let mut batch = Batch::new();
        batch.push(&Change::AddTable("t".into()));
        batch.push(&Change::AddRule {
            table: "t".into(),
            chain: "c",
            what: String::new(),
            expressions: vec![Expression::Masquerade],
        });
        let bytes = batch.finish();
        let (mut at, mut seen) = (0, Vec::new());
        while at < bytes.len() {
            let word = |from: usize| u32::from_ne_bytes(bytes[at + from..at + from + 4].try_into().unwrap());
            seen.push(((word(4) & 0xffff) as u16, word(8), word(4) >> 16 & u32::from(ACKNOWLEDGE) != 0));
            assert_eq!(word(0) % 4, 0);
            at += word(0) as usize;
        }
        assert_eq!(at, bytes.len());
        let expected =
            [(BATCH_BEGIN, 0, false), (NEW_TABLE, 1, false), (NEW_RULE, 2, true), (BATCH_END, 3, false)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn acknowledgements_are_found_behind_other_messages() {
        let mut bytes = get_table("t");
        assert_eq!(acknowledgement(&bytes), None);
        for code in [0, -libc::ENOENT] {
            let mut answer = Vec::new();
            put(&mut answer, NLMSG_ERROR, 0, 7, i32::to_ne_bytes(code), &Attributes::default());
            let both = [bytes.clone(), answer].concat();
            assert_eq!(acknowledgement(&both), Some((7, (code != 0).then_some(Errno::ENOENT))));
        }
        bytes.truncate(10);
        assert_eq!(acknowledgement(&bytes), None);
    }
}
