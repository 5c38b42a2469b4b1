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
#[cfg(test)]
mod tests;
mod version6;
mod version7;

use super::callgraph::Parser;
use super::ring_buffer::{
    calls::Decoder,
    feed,
    merge::{Merge, Run},
    page::Shape,
    symbols::Symbols,
    words::Words,
};
use crate::model::Graph;
use contents::{Buffer, Contents};
use input::Input;
use packing::Packing;
use pages::Pages;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;

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
        let mut runs = runs(&file, &contents, &buffer)?;
        merge(&decoder, &mut runs, &mut contents.symbols, &mut summary, &mut named);
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

fn merge(
    decoder: &Decoder,
    runs: &mut [Pages<'_>],
    symbols: &mut Symbols,
    summary: &mut Summary,
    sink: &mut dyn FnMut(Graph),
) {
    let mut parser = Parser::default();
    let mut merge = Merge::default();
    merge.look(runs);
    while merge.row(runs, u64::MAX, |pages, found| {
        summary.lost += found.lost;
        feed::loss(&mut parser, found.lost);
        if let Some(record) = decoder.decode(pages.event(found)) {
            summary.events += 1;
            feed::call(&mut parser, pages.cpu(), found.time, record, symbols);
        }
    }) {
        parser.take_each(sink);
    }
    for pages in runs {
        let lost = pages.lost_at_the_end();
        summary.lost += lost;
        feed::loss(&mut parser, lost);
        if summary.broken.is_none() {
            summary.broken = pages.broken.take();
        }
    }
    parser.finish().into_iter().for_each(sink);
}
