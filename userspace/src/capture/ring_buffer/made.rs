//! Pages made for tests, as the kernel makes them.

use super::format::{Field, HeaderPage};
use super::page::Shape;
use super::words::Words;

pub(in crate::capture) const PAGE: usize = 4096;

pub(in crate::capture) fn shape(words: Words) -> Shape {
    let header = HeaderPage {
        timestamp: Field { offset: 0, size: 8 },
        commit: Field { offset: 8, size: words.long },
        data: Field { offset: 8 + words.long, size: PAGE - 8 - words.long },
    };
    Shape { words, header, size: PAGE }
}

#[derive(Debug, Clone)]
pub(in crate::capture) struct Page {
    words: Words,
    time: u64,
    data: Vec<u8>,
    lost: Option<Option<u64>>,
}

impl Page {
    pub(in crate::capture) fn new(words: Words, time: u64) -> Self {
        Self { words, time, data: Vec::new(), lost: None }
    }

    fn u32(&mut self, number: u32) {
        let bytes = if self.words.big_endian { number.to_be_bytes() } else { number.to_le_bytes() };
        self.data.extend(bytes);
    }

    fn head(&mut self, kind: u32, delta: u64) {
        let delta = delta as u32 & ((1 << 27) - 1);
        self.u32(if self.words.big_endian { kind << 27 | delta } else { delta << 5 | kind });
    }

    pub(in crate::capture) fn event(mut self, delta: u64, bytes: &[u8]) -> Self {
        if bytes.len() <= 28 * 4 {
            self.head(bytes.len() as u32 / 4, delta);
        } else {
            self.head(0, delta);
            self.u32(bytes.len() as u32 + 4);
        }
        self.data.extend(bytes);
        self
    }

    pub(in crate::capture) fn extend(mut self, delta: u64) -> Self {
        self.head(30, delta);
        self.u32((delta >> 27) as u32);
        self
    }

    pub(in crate::capture) fn stamp(mut self, time: u64) -> Self {
        self.head(31, time);
        self.u32((time >> 27) as u32);
        self
    }

    /// An event that was taken back: `length` counts all but the first word.
    pub(in crate::capture) fn discarded(mut self, delta: u64, length: u32) -> Self {
        self.head(29, delta);
        self.u32(length);
        self.data.extend(vec![0xee; length as usize - 4]);
        self
    }

    pub(in crate::capture) fn padding(mut self) -> Self {
        self.head(29, 0);
        self.data.extend([0xee; 8]);
        self
    }

    pub(in crate::capture) fn lost(mut self, count: Option<u64>) -> Self {
        self.lost = Some(count);
        self
    }

    pub(in crate::capture) fn bytes(self) -> Vec<u8> {
        let number = |value: u64, size: usize| {
            if self.words.big_endian {
                value.to_be_bytes()[8 - size..].to_vec()
            } else {
                value.to_le_bytes()[..size].to_vec()
            }
        };
        let flags = match self.lost {
            None => 0,
            Some(None) => 1 << 31,
            Some(Some(_)) => 3 << 30,
        };
        let mut page = number(self.time, 8);
        page.extend(number(self.data.len() as u64 | flags, self.words.long));
        page.extend(&self.data);
        if let Some(Some(count)) = self.lost {
            page.extend(number(count, self.words.long));
        }
        assert!(page.len() <= PAGE, "a test's page is too full");
        page.resize(PAGE, 0);
        page
    }
}
