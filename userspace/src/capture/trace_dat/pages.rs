//! One processor's pages, a few at a time: memory does not grow with the file.

use super::contents::Cpu;
use super::packing::Packing;
use crate::capture::ring_buffer::{
    merge::{Found, Run},
    page::{Cursor, Shape, Step},
};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Read at once where nothing is packed.
const BLOCK: usize = 64 * 1024;
/// The largest chunk that is unpacked; trace-cmd makes them of ten pages, and says so in its file.
const LONGEST_CHUNK: usize = 64 << 20;

pub(super) struct Pages<'a> {
    file: &'a File,
    shape: Shape,
    packing: Packing,
    cpu: u32,
    /// What of the file is not read yet.
    at: u64,
    end: u64,
    /// Chunks not read yet; the number is read with the first.
    chunks: Option<u32>,
    packed: Vec<u8>,
    block: Vec<u8>,
    /// Where the open page, and the one behind it, begin in the block.
    page: usize,
    next_page: usize,
    cursor: Cursor,
    /// Loss to be told with the next event.
    lost: u64,
    /// Something could not be read: the file is cut, or not what it says.
    pub(super) broken: Option<String>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(file: &'a File, shape: Shape, packing: Packing, cpu: Cpu) -> Self {
        let length = file.metadata().map_or(0, |file| file.len());
        let claimed = cpu.offset.saturating_add(cpu.length);
        let broken = (claimed > length).then(|| "the file ends before its time".to_owned());
        Self {
            file,
            shape,
            packing,
            cpu: cpu.cpu,
            at: cpu.offset,
            // The length of packed pages leaves out the number of chunks; that number says where they end.
            end: if packing == Packing::None { claimed.min(length) } else { length },
            chunks: None,
            packed: Vec::new(),
            block: Vec::new(),
            page: 0,
            next_page: 0,
            cursor: Cursor::default(),
            lost: 0,
            broken,
        }
    }

    /// Loss behind the last event.
    pub(super) fn lost_at_the_end(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    fn hole(&mut self, why: &str) {
        self.lost += 1;
        self.broken.get_or_insert_with(|| why.to_owned());
    }

    fn open_page(&mut self) -> bool {
        self.page = self.next_page;
        if self.page >= self.block.len() {
            (self.page, self.next_page) = (0, 0);
            self.cursor = Cursor::default();
            if let Err(error) = self.read_block() {
                self.hole(&error);
                // What follows cannot be found any more.
                (self.at, self.chunks) = (self.end, Some(0));
                self.block.clear();
            }
            if self.block.is_empty() {
                return false;
            }
        }
        self.next_page = (self.page + self.shape.size).min(self.block.len());
        match self.shape.open(&self.block[self.page..self.next_page]) {
            Some(opened) => {
                self.cursor = opened.cursor;
                self.lost += opened.lost;
                if opened.cut {
                    self.hole("a page is cut off");
                }
            }
            None => {
                self.cursor = Cursor::default();
                self.hole("a page is cut off");
            }
        }
        true
    }

    /// Empty at the end.
    fn read_block(&mut self) -> Result<(), String> {
        self.block.clear();
        match self.packing {
            Packing::None => {
                // Whole pages, and at the end of a cut file what is left.
                let pages = (BLOCK / self.shape.size).max(1) * self.shape.size;
                let length = (self.end.saturating_sub(self.at)).min(pages as u64);
                self.block.resize(length as usize, 0);
                self.file.read_exact_at(&mut self.block, self.at).map_err(said)?;
                self.at += length;
                Ok(())
            }
            _ => self.read_chunk(),
        }
    }

    fn number(&mut self) -> Result<u32, String> {
        if self.end.saturating_sub(self.at) < 4 {
            return Err("the file ends before its time".to_owned());
        }
        let mut bytes = [0; 4];
        self.file.read_exact_at(&mut bytes, self.at).map_err(said)?;
        self.at += 4;
        Ok(self.shape.words.u32_at(&bytes, 0).unwrap_or(0))
    }

    /// How many chunks, then of each its packed and its whole length.
    fn read_chunk(&mut self) -> Result<(), String> {
        let left = match self.chunks {
            Some(left) => left,
            None => self.number()?,
        };
        self.chunks = Some(left.saturating_sub(1));
        if left == 0 {
            return Ok(());
        }
        let (packed, whole) = (self.number()? as usize, self.number()? as usize);
        if packed as u64 > self.end.saturating_sub(self.at) {
            return Err("the file ends before its time".to_owned());
        }
        if packed > LONGEST_CHUNK || whole > LONGEST_CHUNK || whole == 0 {
            return Err(format!("a packed part claims to be {whole} bytes long"));
        }
        self.packed.resize(packed, 0);
        self.file.read_exact_at(&mut self.packed, self.at).map_err(said)?;
        self.at += packed as u64;
        self.packing.unpack(&self.packed, whole, &mut self.block)
    }
}

impl Run for Pages<'_> {
    fn cpu(&self) -> u32 {
        self.cpu
    }

    #[inline]
    fn event(&self, found: Found) -> &[u8] {
        self.block.get(self.page + found.start..self.page + found.end).unwrap_or_default()
    }

    #[inline]
    fn next(&mut self) -> Option<Found> {
        loop {
            let page = &self.block[self.page..self.next_page];
            match self.cursor.next(self.shape.words, page) {
                Step::Event { time, start, end } => {
                    return Some(Found { time, lost: std::mem::take(&mut self.lost), start, end });
                }
                Step::End => {}
                Step::Broken => self.hole("a page is not what the ring buffer writes"),
            }
            if !self.open_page() {
                return None;
            }
        }
    }
}

fn said(error: io::Error) -> String {
    error.to_string()
}
