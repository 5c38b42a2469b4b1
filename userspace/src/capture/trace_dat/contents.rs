//! What both versions of the file hold, whatever the way to it: formats, symbols, names of threads, and where
//! the pages lie.

use super::TraceDatError;
use super::input::Input;
use super::packing::Packing;
use crate::capture::ring_buffer::{
    format::{Format, HeaderPage},
    symbols::Symbols,
    words::Words,
};
use std::collections::HashMap;
use std::io::Read;

/// More of anything than a real file has.
const MANY: u32 = 1 << 20;
/// `format` files are a few kilobytes.
const LONGEST_FORMAT: u64 = 1 << 20;

pub(super) struct Contents {
    pub(super) words: Words,
    pub(super) header: HeaderPage,
    /// Those of the tracers (`events/ftrace`).
    pub(super) formats: Vec<Format>,
    pub(super) symbols: Symbols,
    pub(super) comms: HashMap<u32, String>,
    /// The top trace buffer first, then those of instances.
    pub(super) buffers: Vec<Buffer>,
}

/// One trace buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Buffer {
    /// Of a page; 0 where the file leaves it to the header page.
    pub(super) page_size: usize,
    pub(super) packing: Packing,
    pub(super) cpus: Vec<Cpu>,
}

/// Where one processor's pages lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cpu {
    pub(super) cpu: u32,
    pub(super) offset: u64,
    pub(super) length: u64,
}

/// `header_page`, and `header_event`, whose numbers have been the same since there are files.
pub(super) fn header_info<R: Read>(input: &mut Input<R>) -> Result<HeaderPage, TraceDatError> {
    input.part("header_page");
    if &input.bytes::<12>()? != b"header_page\0" {
        return Err(input.wrong("its mark is missing"));
    }
    let length = input.u64()?;
    let text = input.text(length)?;
    let Some(page) = HeaderPage::parse(&text) else {
        return Err(input.wrong("it does not say where time, length and events are"));
    };
    input.part("header_event");
    if &input.bytes::<13>()? != b"header_event\0" {
        return Err(input.wrong("its mark is missing"));
    }
    let length = input.u64()?;
    input.skip(length)?;
    Ok(page)
}

pub(super) fn ftrace_events<R: Read>(input: &mut Input<R>) -> Result<Vec<Format>, TraceDatError> {
    input.part("the formats of the tracers");
    let count = input.u32()?;
    let mut formats = Vec::new();
    for _ in 0..count.min(MANY) {
        let length = input.u64()?;
        if length > LONGEST_FORMAT {
            return Err(input.wrong(format!("a format of {length} bytes")));
        }
        formats.extend(Format::parse(&input.text(length)?));
    }
    Ok(formats)
}

/// Events of other systems say nothing about calls.
pub(super) fn skip_events<R: Read>(input: &mut Input<R>) -> Result<(), TraceDatError> {
    input.part("the formats of the events");
    let systems = input.u32()?;
    for _ in 0..systems.min(MANY) {
        input.name()?;
        let events = input.u32()?;
        for _ in 0..events.min(MANY) {
            let length = input.u64()?;
            input.skip(length)?;
        }
    }
    Ok(())
}

pub(super) fn symbols<R: Read>(input: &mut Input<R>) -> Result<Symbols, TraceDatError> {
    let length = input.part("kallsyms").u32()?;
    Ok(Symbols::parse(input.text(length.into())?))
}

/// `saved_cmdlines`: `1234 comm` a line.
pub(super) fn comms<R: Read>(input: &mut Input<R>) -> Result<HashMap<u32, String>, TraceDatError> {
    let length = input.part("the names of threads").u64()?;
    let text = input.text(length)?;
    let parse = |line: &str| {
        let (tid, comm) = line.trim_end_matches('\0').split_once(' ')?;
        // The kernel says this of those it did not note.
        (comm != "<...>").then_some((tid.parse().ok()?, comm.to_owned()))
    };
    Ok(text.lines().filter_map(parse).collect())
}
