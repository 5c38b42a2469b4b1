//! trace.dat, version 7: options that say where the sections are, each of which may be packed
//! (trace-cmd.dat.v7(5)).

use super::TraceDatError;
use super::contents::{self, Buffer, Contents, Cpu};
use super::input::{Input, LONGEST_PART};
use super::packing::Packing;
use crate::capture::ring_buffer::{symbols::Symbols, words::Words};
use std::collections::HashMap;
use std::fs::File;
use std::io::Cursor;
use std::os::unix::fs::FileExt;

/// Options: the section they tell the place of has the same number.
const DONE: u16 = 0;
const BUFFER: u16 = 3;
const HEADER_INFO: u16 = 16;
const FTRACE_EVENTS: u16 = 17;
const KALLSYMS: u16 = 19;
const CMDLINES: u16 = 21;
const BUFFER_TEXT: u16 = 22;

/// Section header: number, flags, description, length.
const HEADER: usize = 16;
const PACKED: u16 = 1;
/// Lists of options that follow each other.
const MOST_LISTS: usize = 10_000;
/// Processors in one buffer's option.
const MOST_CPUS: u32 = 16_384;

struct Sections<'a> {
    file: &'a File,
    words: Words,
    packing: Packing,
}

/// What the options say.
#[derive(Default)]
struct Places {
    sections: HashMap<u16, u64>,
    /// Place of the section; the buffer.
    buffers: Vec<(u64, Buffer)>,
    has_text: bool,
}

/// `options` is where the first list of options is.
pub(super) fn read(
    file: &File,
    mut words: Words,
    packing: Packing,
    options: u64,
) -> Result<Contents, TraceDatError> {
    let sections = Sections { file, words, packing };
    let places = sections.places(options)?;
    let section = |id| match places.sections.get(&id) {
        Some(offset) => Ok(Some(Input::new(Cursor::new(sections.section(*offset, id)?), words, ""))),
        None => Ok(None),
    };
    let Some(mut header) = section(HEADER_INFO)? else {
        return Err(TraceDatError::Cut { part: "header_page" });
    };
    let header = contents::header_info(&mut header)?;
    let formats = section(FTRACE_EVENTS)?.map_or(Ok(Vec::new()), |mut s| contents::ftrace_events(&mut s))?;
    let symbols = section(KALLSYMS)?.map_or(Ok(Symbols::default()), |mut s| contents::symbols(&mut s))?;
    let comms = section(CMDLINES)?.map_or(Ok(HashMap::new()), |mut s| contents::comms(&mut s))?;
    let mut buffers = Vec::new();
    for (offset, mut buffer) in places.buffers {
        let (_, flags, _) = sections.header(offset)?;
        buffer.packing = if flags & PACKED != 0 { packing } else { Packing::None };
        buffers.push(buffer);
    }
    if buffers.is_empty() && places.has_text {
        return Err(TraceDatError::Text);
    }
    words.long = header.commit.size;
    Ok(Contents { words, header, formats, symbols, comms, buffers })
}

impl Sections<'_> {
    /// Number, flags, and length.
    fn header(&self, offset: u64) -> Result<(u16, u16, u64), TraceDatError> {
        let mut bytes = [0; HEADER];
        self.fill(&mut bytes, offset)?;
        let mut input = Input::new(&bytes[..], self.words, "the head of a section");
        let (id, flags) = (input.u16()?, input.u16()?);
        input.u32()?;
        Ok((id, flags, input.u64()?))
    }

    fn fill(&self, bytes: &mut [u8], offset: u64) -> Result<(), TraceDatError> {
        self.file.read_exact_at(bytes, offset).map_err(|source| match source.kind() {
            std::io::ErrorKind::UnexpectedEof => TraceDatError::Cut { part: "a section" },
            _ => TraceDatError::Read { part: "a section", source },
        })
    }

    /// A section's bytes, unpacked.
    fn section(&self, offset: u64, expected: u16) -> Result<Vec<u8>, TraceDatError> {
        let wrong = |what: String| TraceDatError::Wrong { part: "a section", what };
        let (id, flags, length) = self.header(offset)?;
        if id != expected {
            return Err(wrong(format!("at {offset} section {expected} is promised, and {id} is there")));
        }
        let rest = self.file.metadata().map_or(0, |file| file.len()).saturating_sub(offset + HEADER as u64);
        if length > rest {
            return Err(TraceDatError::Cut { part: "a section" });
        }
        if length > LONGEST_PART {
            return Err(wrong(format!("{length} bytes long")));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes, offset + HEADER as u64)?;
        if flags & PACKED == 0 {
            return Ok(bytes);
        }
        let mut input = Input::new(&bytes[..], self.words, "a packed section");
        let (packed, whole) = (input.u32()?, input.u32()?);
        if u64::from(whole) > LONGEST_PART {
            return Err(input.wrong(format!("{whole} bytes long")));
        }
        let packed = input.block(packed.into())?;
        let mut unpacked = Vec::new();
        self.packing.unpack(&packed, whole as usize, &mut unpacked).map_err(wrong)?;
        Ok(unpacked)
    }

    fn places(&self, mut offset: u64) -> Result<Places, TraceDatError> {
        let mut places = Places::default();
        for _ in 0..MOST_LISTS {
            let list = self.section(offset, DONE)?;
            match self.options(&list, &mut places)? {
                0 => return Ok(places),
                next => offset = next,
            }
        }
        Err(TraceDatError::Wrong { part: "the options", what: "lists without an end".to_owned() })
    }

    /// The place of the next list, 0 behind the last.
    fn options(&self, list: &[u8], places: &mut Places) -> Result<u64, TraceDatError> {
        let mut input = Input::new(list, self.words, "the options");
        loop {
            let (id, length) = (input.u16()?, input.u32()?);
            let option = input.block(length.into())?;
            let mut option = Input::new(&option[..], self.words, "an option");
            match id {
                DONE => return option.u64(),
                HEADER_INFO | FTRACE_EVENTS | KALLSYMS | CMDLINES => {
                    places.sections.insert(id, option.u64()?);
                }
                BUFFER => places.buffers.push(buffer(&mut option)?),
                BUFFER_TEXT => places.has_text = true,
                _ => {}
            }
        }
    }
}

fn buffer(option: &mut Input<&[u8]>) -> Result<(u64, Buffer), TraceDatError> {
    let section = option.part("a buffer's option").u64()?;
    // Of the instance, and of its clock.
    option.name()?;
    option.name()?;
    let (page_size, cpus) = (option.u32()? as usize, option.u32()?);
    let cpu = |_| Ok(Cpu { cpu: option.u32()?, offset: option.u64()?, length: option.u64()? });
    let cpus = (0..cpus.min(MOST_CPUS)).map(cpu).collect::<Result<_, _>>()?;
    Ok((section, Buffer { page_size, packing: Packing::None, cpus }))
}
