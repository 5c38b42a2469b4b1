//! Sparse files in pax archives: the three formats that GNU tar writes, "Storing Sparse Files" in its manual.
//!
//! 0.0 lists pieces as `GNU.sparse.offset` and `GNU.sparse.numbytes`, 0.1 in one header `GNU.sparse.map`, 1.0
//! in front of the file's data. (The older GNU format, without pax, is the tar crate's business.)

use std::io::{self, Read};

/// A file with more pieces is a mistake or a bomb.
const MAX_PIECES: u64 = 1_000_000;
/// Data and map are padded to blocks of this size.
const BLOCK: usize = 512;

/// What extended headers say about a sparse file.
#[derive(Debug, Default)]
pub(super) struct Headers {
    seen: bool,
    map_in_data: bool,
    pieces: Vec<(u64, u64)>,
    offset: Option<u64>,
    size: Option<u64>,
    /// The file's real name, where the archive shows another.
    pub(super) name: Option<Vec<u8>>,
}

impl Headers {
    /// One header, without `GNU.sparse.`.
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) -> Result<(), String> {
        self.seen = true;
        let number = || {
            let text = std::str::from_utf8(value).ok();
            text.and_then(|text| text.trim().parse::<u64>().ok()).ok_or("its sparse header is no number")
        };
        match key {
            b"major" => self.map_in_data = number()? >= 1,
            b"size" | b"realsize" => self.size = Some(number()?),
            b"name" => self.name = Some(value.to_vec()),
            b"offset" => self.offset = Some(number()?),
            b"numbytes" => {
                let offset = self.offset.take().ok_or("its sparse map has a length without offset")?;
                self.pieces.push((offset, number()?));
            }
            b"map" => {
                let text = std::str::from_utf8(value).map_err(|e| e.to_string())?;
                let numbers = text.split(',').map(str::parse).collect::<Result<Vec<u64>, _>>();
                let numbers = numbers.map_err(|e| format!("its sparse map: {e}"))?;
                self.pieces = numbers.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            }
            _ => {}
        }
        Ok(())
    }

    /// The whole file behind `packed`, with its length; `None` when it is not sparse.
    pub(super) fn expand<R: Read>(self, mut packed: R) -> Result<Option<(Expanded<R>, u64)>, String> {
        if !self.seen {
            return Ok(None);
        }
        let size = self.size.ok_or("its sparse headers give no size")?;
        let pieces = match self.map_in_data {
            true => read_map(&mut packed)?,
            false => self.pieces,
        };
        let mut end = 0;
        for (offset, length) in &pieces {
            let stop = offset.checked_add(*length).filter(|stop| *stop <= size);
            if *offset < end || stop.is_none() {
                return Err("the pieces of its sparse map do not fit the file".to_owned());
            }
            end = stop.unwrap_or_default();
        }
        Ok(Some((Expanded { packed, pieces: pieces.into_iter().collect(), at: 0, size }, size)))
    }
}

/// The map in front of the data: decimal numbers on lines of their own, the first says how many pieces follow.
fn read_map(packed: &mut dyn Read) -> Result<Vec<(u64, u64)>, String> {
    let mut lines = Lines { packed, block: [0; BLOCK], at: BLOCK };
    let count = lines.number()?;
    if count > MAX_PIECES {
        return Err(format!("its sparse map has more than {MAX_PIECES} pieces"));
    }
    (0..count).map(|_| Ok((lines.number()?, lines.number()?))).collect()
}

struct Lines<'a> {
    packed: &'a mut dyn Read,
    block: [u8; BLOCK],
    at: usize,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<u64, String> {
        let mut value: u64 = 0;
        loop {
            if self.at == BLOCK {
                self.packed.read_exact(&mut self.block).map_err(|e| format!("its sparse map: {e}"))?;
                self.at = 0;
            }
            let byte = self.block[self.at];
            self.at += 1;
            match byte {
                b'\n' => return Ok(value),
                b'0'..=b'9' => {
                    let next = value.checked_mul(10).and_then(|v| v.checked_add(u64::from(byte - b'0')));
                    value = next.ok_or("its sparse map has a number that is too large")?;
                }
                _ => return Err("its sparse map is damaged".to_owned()),
            }
        }
    }
}

/// The file with its holes as zeroes.
pub(super) struct Expanded<R> {
    packed: R,
    pieces: std::collections::VecDeque<(u64, u64)>,
    at: u64,
    size: u64,
}

impl<R: Read> Read for Expanded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.pieces.front().is_some_and(|(offset, length)| self.at >= offset + length) {
            self.pieces.pop_front();
        }
        let most = |left: u64| usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let count = match self.pieces.front() {
            Some((offset, length)) if self.at >= *offset => {
                let most = most(offset + length - self.at);
                self.packed.read(&mut buffer[..most])?
            }
            next => {
                let most = most(next.map_or(self.size, |(offset, _)| *offset) - self.at);
                buffer[..most].fill(0);
                most
            }
        };
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(headers: &[(&str, &str)], packed: &[u8]) -> Result<Vec<u8>, String> {
        let mut sparse = Headers::default();
        for (key, value) in headers {
            sparse.take(key.as_bytes(), value.as_bytes())?;
        }
        let (mut file, size) = sparse.expand(packed)?.unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).map_err(|e| e.to_string())?;
        assert!(content.len() as u64 <= size);
        Ok(content)
    }

    #[test]
    fn all_three_formats_give_the_same_file() {
        let whole = b"ab\0\0\0\0cd\0\0";
        let old = [("size", "10"), ("offset", "0"), ("numbytes", "2"), ("offset", "6"), ("numbytes", "2")];
        assert_eq!(expand(&old, b"abcd").unwrap(), whole);
        assert_eq!(expand(&[("map", "0,2,6,2"), ("size", "10")], b"abcd").unwrap(), whole);
        let mut packed = b"2\n0\n2\n6\n2\n".to_vec();
        packed.resize(512, 0);
        packed.extend_from_slice(b"abcd");
        let new = [("major", "1"), ("minor", "0"), ("realsize", "10"), ("name", "x")];
        assert_eq!(expand(&new, &packed).unwrap(), whole);
    }

    #[test]
    fn maps_that_lie_are_refused() {
        for bad in ["0,2,1,2", "9,2", "18446744073709551615,2", "x", "4,1,0,1"] {
            assert!(expand(&[("map", bad), ("size", "10")], b"abcd").is_err(), "{bad}");
        }
        assert!(expand(&[("map", "0,2")], b"ab").is_err(), "no size");
        assert!(expand(&[("major", "1"), ("size", "9")], &[b'9'; 512]).is_err());
        assert!(expand(&[("major", "1"), ("size", "9")], b"1\n").is_err());
        assert_eq!(
            expand(&[("map", "0,4"), ("size", "10")], b"ab").unwrap(),
            b"ab",
            "ends early, as its data"
        );
    }
}
