//! Records in the shape of the lines that they would be printed as, so that one parser makes trees of both.

use super::calls::{Record, What};
use super::symbols::Symbols;
use crate::capture::callgraph::{Body, Line, Parser, Task};

/// A record in the shape of a line.
#[inline]
pub(in crate::capture) fn call(
    parser: &mut Parser,
    cpu: u32,
    time: u64,
    record: Record,
    symbols: &mut Symbols,
) {
    let hexadecimal;
    let name = match symbols.find(record.function) {
        Some(index) => symbols.name(index),
        None => {
            hexadecimal = format!("0x{:x}", record.function);
            &hexadecimal
        }
    };
    let task = Task { comm: "", tid: record.tid };
    let body = match record.what {
        What::Enter => Body::Enter { depth: record.depth, name },
        What::Exit { duration_ns, ret } => {
            Body::Exit { depth: record.depth, name: Some(name), duration_ns, ret }
        }
    };
    let context = record.context.max(u8::from(symbols.is_interrupt(record.function)));
    parser.event(&Line { time_ns: Some(time), cpu: Some(cpu), task: Some(task), context, body });
}

/// Events that are gone: which ones is unknown.
pub(in crate::capture) fn loss(parser: &mut Parser, count: u64) {
    if count > 0 {
        parser.event(&Line::bare(None, Body::Lost { count: Some(count) }));
    }
}
