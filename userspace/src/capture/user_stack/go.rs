//! The names of a Go program's functions, which it needs to print a panic and so keeps when it is stripped: the table
//! `runtime.pclntab` (cmd/link/internal/ld/pcln.go, runtime/symtab.go `moduledata`), sorted by address.

use std::fs::File;
use std::os::unix::fs::FileExt;

pub(super) const SECTION: &str = ".gopclntab";

/// `pcHeader.magic` (internal/abi/symtab.go). Since 1.18 addresses in the table are relative to the code's start.
const GO_1_16: u32 = 0xffff_fffa;
const GO_1_18: u32 = 0xffff_fff0;
const GO_1_20: u32 = 0xffff_fff1;

/// Longer is no name of a function.
const MOST_NAME: usize = 512;

/// Where the table is in a file.
#[derive(Debug)]
pub(super) struct Place {
    /// In the file, and its length.
    start: u64,
    bytes: u64,
    relative: bool,
    functions: u64,
    /// The address that the table's are relative to.
    text: u64,
    /// From the table's start: names, and functions by address.
    names: u64,
    table: u64,
}

impl Place {
    /// `None`: a form that is not known, or one that names no place.
    pub(super) fn read(file: &File, start: u64, bytes: u64) -> Option<Self> {
        let mut head = [0; 72];
        file.read_exact_at(&mut head, start).ok()?;
        let [a, b, c, d, 0, 0, _, 8, ..] = head else { return None };
        let word = |index: usize| {
            let at = 8 + index * 8;
            head.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
        };
        // nfunc, nfiles, [textStart,] funcnameOffset, cuOffset, filetabOffset, pctabOffset, pclnOffset
        let (relative, text, names, table) = match u32::from_le_bytes([a, b, c, d]) {
            GO_1_16 => (false, 0, word(2)?, word(6)?),
            // Zero where the loader fills it in.
            GO_1_18 | GO_1_20 => (true, word(2).filter(|text| *text != 0)?, word(3)?, word(7)?),
            _ => return None,
        };
        Some(Self { start, bytes, relative, functions: word(0)?, text, names, table })
    }

    /// The function that holds an address: its name and where it begins.
    pub(super) fn find(&self, file: &File, address: u64) -> Option<(String, u64)> {
        let wanted = address.checked_sub(self.text)?;
        let (mut low, mut high) = (0, self.functions);
        // After the last function stands the end of the code.
        if wanted < self.entry(file, 0)?.0 || wanted >= self.entry(file, high)?.0 {
            return None;
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.entry(file, middle)?.0 <= wanted { low = middle } else { high = middle }
        }
        let (begin, function) = self.entry(file, low)?;
        // `_func`: the entry again, then the place of the name.
        let name_at = self.table + function + if self.relative { 4 } else { 8 };
        let name = u64::from(u32::from_le_bytes(self.bytes(file, name_at)?));
        Some((self.text_at(file, self.names + name)?, begin + self.text))
    }

    /// Address and place of one function's record.
    fn entry(&self, file: &File, index: u64) -> Option<(u64, u64)> {
        if self.relative {
            let pair = self.bytes::<8>(file, self.table.checked_add(index.checked_mul(8)?)?)?;
            let [address, function] = [0, 4].map(|at| {
                u64::from(u32::from_le_bytes([pair[at], pair[at + 1], pair[at + 2], pair[at + 3]]))
            });
            return Some((address, function));
        }
        let at = self.table.checked_add(index.checked_mul(16)?)?;
        let address = u64::from_le_bytes(self.bytes(file, at)?);
        // The end has no record.
        let function = self.bytes(file, at + 8).map_or(0, u64::from_le_bytes);
        Some((address, function))
    }

    fn bytes<const N: usize>(&self, file: &File, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        at.checked_add(N as u64).filter(|end| *end <= self.bytes)?;
        file.read_exact_at(&mut bytes, self.start + at).ok()?;
        Some(bytes)
    }

    fn text_at(&self, file: &File, at: u64) -> Option<String> {
        let mut bytes = [0; MOST_NAME];
        let most = self.bytes.checked_sub(at)?.min(MOST_NAME as u64) as usize;
        let read = file.read_at(&mut bytes[..most], self.start + at).ok()?;
        let end = bytes[..read].iter().position(|byte| *byte == 0)?;
        (end > 0).then(|| String::from_utf8_lossy(&bytes[..end]).into_owned())
    }
}
