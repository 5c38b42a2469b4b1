//! Records of refused netlink requests.

use super::{Decoder, text};
use crate::capture::netlink;
use crate::model::{Errno, Failure, FailureKind, Netlink, Task};
use diag_abi::NetlinkAnswer;

impl Decoder {
    pub(super) fn netlink(&self, record: &NetlinkAnswer) -> Failure {
        let bytes = record.bytes.get(..record.len as usize).unwrap_or(&record.bytes);
        let answer = netlink::acknowledgement(bytes, record.protocol);
        let heard = record.sentence.get(..record.sentence_len as usize).unwrap_or(&record.sentence);
        let heard = Some(text(heard)).filter(|sentence| !sentence.is_empty());
        let readable = record.has_credentials != 0 && self.trust.credentials;
        let credentials = readable.then(|| super::credentials::of(&record.credentials, &self.trust));
        Failure {
            time: self.stamp(record.header.time_ns),
            task: Task { credentials, ..self.party(&record.who) },
            kind: FailureKind::Netlink(Netlink {
                protocol: netlink::protocol(record.protocol),
                request: netlink::request(record.protocol, record.message),
                errno: Errno(record.errno as i32),
                flags: answer.request_flags,
                message: answer.message.or(heard),
                interface: answer.interface,
                link_kind: answer.link_kind,
                index: answer.index,
                net_ns: (record.net_ns != 0).then_some(record.net_ns),
            }),
            readings: vec![],
        }
    }
}
