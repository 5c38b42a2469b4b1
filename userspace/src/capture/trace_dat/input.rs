//! Reading what a file claims to hold: every length is checked against what is there and what is sane.

use super::TraceDatError;
use crate::capture::ring_buffer::words::Words;
use std::io::{self, Read};

/// The longest part that is held in memory: the symbols of a kernel with debug modules take a tenth of it.
pub(super) const LONGEST_PART: u64 = 256 << 20;
/// Names in headers.
const LONGEST_NAME: usize = 4096;

/// A reader of numbers, names and blocks.
pub(super) struct Input<R> {
    from: R,
    pub(super) words: Words,
    /// What is being read, for errors.
    part: &'static str,
}

impl<R: Read> Input<R> {
    pub(super) fn new(from: R, words: Words, part: &'static str) -> Self {
        Self { from, words, part }
    }

    pub(super) fn part(&mut self, part: &'static str) -> &mut Self {
        self.part = part;
        self
    }

    pub(super) fn source_mut(&mut self) -> &mut R {
        &mut self.from
    }

    pub(super) fn failed(&self, error: io::Error) -> TraceDatError {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => TraceDatError::Cut { part: self.part },
            _ => TraceDatError::Read { part: self.part, source: error },
        }
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> TraceDatError {
        TraceDatError::Wrong { part: self.part, what: what.into() }
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N], TraceDatError> {
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes).map_err(|error| self.failed(error))?;
        Ok(bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16, TraceDatError> {
        let bytes = self.bytes()?;
        Ok(if self.words.big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(super) fn u32(&mut self) -> Result<u32, TraceDatError> {
        let bytes = self.bytes()?;
        Ok(if self.words.big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    pub(super) fn u64(&mut self) -> Result<u64, TraceDatError> {
        let bytes = self.bytes()?;
        Ok(if self.words.big_endian { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    /// Text up to a zero.
    pub(super) fn name(&mut self) -> Result<String, TraceDatError> {
        let mut name = Vec::new();
        loop {
            match self.bytes::<1>()?[0] {
                0 => return Ok(String::from_utf8_lossy(&name).into_owned()),
                _ if name.len() >= LONGEST_NAME => return Err(self.wrong("a name without an end")),
                byte => name.push(byte),
            }
        }
    }

    /// Exactly `length` bytes. Grows as they come, so that a false length costs no memory.
    pub(super) fn block(&mut self, length: u64) -> Result<Vec<u8>, TraceDatError> {
        if length > LONGEST_PART {
            return Err(self.wrong(format!("it claims to be {length} bytes long")));
        }
        let mut bytes = Vec::new();
        let read = self.from.by_ref().take(length).read_to_end(&mut bytes).map_err(|e| self.failed(e))?;
        if (read as u64) < length {
            return Err(TraceDatError::Cut { part: self.part });
        }
        Ok(bytes)
    }

    pub(super) fn text(&mut self, length: u64) -> Result<String, TraceDatError> {
        Ok(String::from_utf8(self.block(length)?)
            .unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into_owned()))
    }

    pub(super) fn skip(&mut self, length: u64) -> Result<(), TraceDatError> {
        let skipped = io::copy(&mut self.from.by_ref().take(length), &mut io::sink());
        match skipped.map_err(|error| self.failed(error))? {
            all if all == length => Ok(()),
            _ => Err(TraceDatError::Cut { part: self.part }),
        }
    }
}
