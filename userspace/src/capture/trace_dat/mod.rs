//! trace.dat, the binary files of trace-cmd(1), versions 6 and 7, to call trees.
//!
//! A file holds the pages of the kernel's ring buffer as they were, one run of them for each processor, and what is
//! needed to read them: formats, symbols, names of threads. The runs are read side by side, a block of each at
//! a time, and merged by time, so that a thread that moved in the middle of a call is followed.

mod contents;
mod input;
#[cfg(test)]
pub(super) mod made;
mod packing;
mod pages;
mod symbols;
#[cfg(test)]
mod tests;
mod version6;
mod version7;

use super::callgraph::{Body, Line, Parser, Task};
use super::ring_buffer::{
    calls::{Decoder, Record, What},
    page::Shape,
    words::Words,
};
use crate::model::Graph;
use contents::{Buffer, Contents};
use input::Input;
use packing::Packing;
use pages::{Found, Pages};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use symbols::Symbols;

/// How such a file begins (trace-cmd.dat(5)).
pub(super) const MAGIC: &[u8] = b"\x17\x08\x44tracing";

#[derive(Debug, thiserror::Error)]
pub enum TraceDatError {
    #[error("the file cannot be opened: {source}")]
    Open { source: io::Error },
    #[error("{part} cannot be read: {source}")]
    Read { part: &'static str, source: io::Error },
    #[error("the file ends within {part}: it was cut, or trace-cmd was killed before it had written it")]
    Cut { part: &'static str },
    #[error("{part} is not what trace-cmd writes: {what}")]
    Wrong { part: &'static str, what: String },
    #[error("file version {version}: 6 and 7 can be read (`trace-cmd convert` makes the one of the other)")]
    Version { version: String },
    #[error("it is packed with {name}; zlib and zstd can be read (`trace-cmd convert --compression none`)")]
    Packing { name: String },
    #[error("it holds the text of a latency tracer, and no function_graph")]
    Text,
    #[error("the kernel it was recorded on has no function_graph tracer")]
    NoTracer,
}

/// What was read, and what was not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Entries and exits of functions.
    pub events: u64,
    /// Events of which the kernel, or a hole in the file, tells that they are missing.
    pub lost: u64,
    /// Why a part of the file could not be read.
    pub broken: Option<String>,
    /// Functions have addresses, but no names.
    pub nameless: bool,
}

/// Hands every graph of the file to `sink` as soon as it is whole.
pub fn read(path: &Path, sink: &mut dyn FnMut(Graph)) -> Result<Summary, TraceDatError> {
    let file = File::open(path).map_err(|source| TraceDatError::Open { source })?;
    let again = file.try_clone().map_err(|source| TraceDatError::Open { source })?;
    let mut contents = open(&file, again)?;
    let decoder = Decoder::new(contents.words, &contents.formats).ok_or(TraceDatError::NoTracer)?;
    let mut summary = Summary { nameless: contents.symbols.is_empty(), ..Summary::default() };
    let comms = std::mem::take(&mut contents.comms);
    let mut named = |mut graph: Graph| {
        if let Some(comm) = comms.get(&graph.tid) {
            graph.comm.clone_from(comm);
        }
        sink(graph);
    };
    for buffer in std::mem::take(&mut contents.buffers) {
        let mut work = Work { decoder: &decoder, parser: Parser::default(), summary: &mut summary };
        let mut runs = runs(&file, &contents, &buffer)?;
        work.merge(&mut runs, &mut contents.symbols, &mut named);
    }
    Ok(summary)
}

fn open(file: &File, again: File) -> Result<Contents, TraceDatError> {
    // What the file says of itself comes first; until then numbers are not needed.
    let unknown = Words { big_endian: false, long: 8 };
    let mut input = Input::new(BufReader::new(again), unknown, "the beginning");
    let mut magic = [0; 10];
    magic.copy_from_slice(&input.bytes::<10>()?);
    if magic != *MAGIC {
        return Err(input.wrong("the mark of trace.dat is missing"));
    }
    let version = input.name()?;
    let [order, long] = input.bytes()?;
    input.words = Words { big_endian: order != 0, long: usize::from(long) };
    let _page_size = input.u32()?;
    match version.as_str() {
        "6" => version6::read(input),
        "7" => {
            let packing = Packing::named(&input.name()?)?;
            let _version = input.name()?;
            let options = input.u64()?;
            version7::read(file, input.words, packing, options)
        }
        _ => Err(TraceDatError::Version { version }),
    }
}

fn runs<'a>(file: &'a File, contents: &Contents, buffer: &Buffer) -> Result<Vec<Pages<'a>>, TraceDatError> {
    const SANE: std::ops::RangeInclusive<usize> = 512..=16 << 20;
    let header = contents.header;
    let size = match buffer.page_size {
        0 => header.data.offset + header.data.size,
        size => size,
    };
    if !SANE.contains(&size) {
        let what = format!("pages of {size} bytes");
        return Err(TraceDatError::Wrong { part: "header_page", what });
    }
    let shape = Shape { words: contents.words, header, size };
    let used = buffer.cpus.iter().filter(|cpu| cpu.length > 0);
    Ok(used.map(|cpu| Pages::new(file, shape, buffer.packing, *cpu)).collect())
}

struct Work<'a> {
    decoder: &'a Decoder,
    parser: Parser,
    summary: &'a mut Summary,
}

impl Work<'_> {
    /// Always the earliest event of all processors; of two at the same time the lower processor's.
    fn merge(&mut self, runs: &mut [Pages<'_>], symbols: &mut Symbols, sink: &mut dyn FnMut(Graph)) {
        let mut heads: Vec<Option<Found>> = runs.iter_mut().map(Pages::next).collect();
        let mut order: BinaryHeap<Reverse<(u64, usize)>> = heads
            .iter()
            .enumerate()
            .filter_map(|(run, found)| found.map(|found| Reverse((found.time, run))))
            .collect();
        while let Some(Reverse((_, run))) = order.pop() {
            // On with this run while no other has something earlier: most events come in long rows.
            let until = order.peek().map_or((u64::MAX, usize::MAX), |Reverse(next)| *next);
            let pages = &mut runs[run];
            while let Some(found) = heads[run] {
                if (found.time, run) > until {
                    order.push(Reverse((found.time, run)));
                    break;
                }
                self.lost(found.lost);
                if let Some(record) = self.decoder.decode(pages.event(found)) {
                    self.call(pages.cpu, found.time, record, symbols);
                }
                heads[run] = pages.next();
            }
            self.parser.take_each(sink);
        }
        for pages in runs {
            self.lost(pages.lost_at_the_end());
            if self.summary.broken.is_none() {
                self.summary.broken = pages.broken.take();
            }
        }
        self.parser.finish().into_iter().for_each(sink);
    }

    fn lost(&mut self, count: u64) {
        if count > 0 {
            self.summary.lost += count;
            self.parser.event(&Line::bare(None, Body::Lost { count: Some(count) }));
        }
    }

    #[inline]
    fn call(&mut self, cpu: u32, time: u64, record: Record, symbols: &mut Symbols) {
        self.summary.events += 1;
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
        let line = Line { time_ns: Some(time), cpu: Some(cpu), task: Some(task), context, body };
        self.parser.event(&line);
    }
}
