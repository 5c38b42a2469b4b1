//! trace.dat, version 6: one part after the other (trace-cmd.dat.v6(5)).

use super::TraceDatError;
use super::contents::{self, Buffer, Contents, Cpu};
use super::input::Input;
use super::packing::Packing;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Option BUFFER: where another trace instance's table of processors lies.
const BUFFER: u16 = 3;
/// Processors a kernel can have (CONFIG_NR_CPUS of x86 and arm64 ends at 8192).
const MOST_CPUS: u32 = 16_384;
const MOST_OPTIONS: u32 = 100_000;

/// Reads on behind the page size.
pub(super) fn read(mut input: Input<BufReader<File>>) -> Result<Contents, TraceDatError> {
    let header = contents::header_info(&mut input)?;
    input.words.long = header.commit.size;
    let formats = contents::ftrace_events(&mut input)?;
    contents::skip_events(&mut input)?;
    let symbols = contents::symbols(&mut input)?;
    let printk = input.part("the formats of trace_printk").u32()?;
    input.skip(printk.into())?;
    let comms = contents::comms(&mut input)?;
    let cpus = input.part("the number of processors").u32()?;
    if cpus > MOST_CPUS {
        return Err(input.wrong(format!("{cpus} processors")));
    }
    let (kind, instances) = options(&mut input)?;
    let mut buffers = vec![table(&mut input, &kind, cpus)?];
    for offset in instances {
        input.part("the table of an instance").seek(offset)?;
        let kind = input.bytes::<10>()?;
        buffers.push(table(&mut input, &kind, cpus)?);
    }
    Ok(Contents { words: input.words, header, formats, symbols, comms, buffers })
}

/// What follows the options, and where the tables of instances are.
fn options<R: Read>(input: &mut Input<R>) -> Result<([u8; 10], Vec<u64>), TraceDatError> {
    let kind = input.part("the options").bytes::<10>()?;
    if &kind != b"options  \0" {
        return Ok((kind, Vec::new()));
    }
    let mut instances = Vec::new();
    for _ in 0..MOST_OPTIONS {
        let id = input.u16()?;
        if id == 0 {
            return Ok((input.bytes()?, instances));
        }
        let length = input.u32()?;
        if id == BUFFER && length >= 8 {
            instances.push(input.u64()?);
            input.skip(u64::from(length) - 8)?;
        } else {
            input.skip(length.into())?;
        }
    }
    Err(input.wrong("options without an end"))
}

fn table<R: Read>(input: &mut Input<R>, kind: &[u8; 10], cpus: u32) -> Result<Buffer, TraceDatError> {
    match kind {
        b"flyrecord\0" => {}
        b"latency  \0" => return Err(TraceDatError::Text),
        _ => return Err(input.wrong("neither events nor text")),
    }
    input.part("the table of processors");
    let cpu = |cpu| Ok(Cpu { cpu, offset: input.u64()?, length: input.u64()? });
    let cpus = (0..cpus).map(cpu).collect::<Result<_, _>>()?;
    Ok(Buffer { page_size: 0, packing: Packing::None, cpus })
}

impl Input<BufReader<File>> {
    fn seek(&mut self, offset: u64) -> Result<(), TraceDatError> {
        self.source_mut().seek(SeekFrom::Start(offset)).map(drop).map_err(|error| self.failed(error))
    }
}
