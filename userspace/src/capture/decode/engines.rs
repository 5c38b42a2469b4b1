//! Records of engines' programs as they start.

use super::{Decoded, text};
use crate::capture::engines::{Process, programs};
use diag_abi::EngineStarted;

pub(super) fn started(record: &EngineStarted) -> Decoded {
    let read = record.text.get(..record.len as usize).unwrap_or(&record.text);
    let (words, environment) = read.split_at(read.len().min(record.words as usize));
    let process = Process {
        pid: record.pid,
        parent: record.ppid,
        comm: text(&record.comm),
        words: programs::words(words),
        host: programs::host(environment),
    };
    Decoded::EngineStarted { process, at_ns: record.header.time_ns }
}
