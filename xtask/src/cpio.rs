//! Writes the archive format of an initramfs ("newc"): what the kernel unpacks into its first root file system.

use std::collections::BTreeSet;
use std::io::{self, Write};

const MAGIC: &str = "070701";
const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const TYPE_LINK: u32 = 0o120_000;
const TYPE_CHARACTER: u32 = 0o020_000;

/// An archive under way. Parent folders are added by themselves.
pub(crate) struct Archive<W: Write> {
    out: W,
    next_inode: u32,
    folders: BTreeSet<String>,
}

struct Entry<'a> {
    path: &'a str,
    mode: u32,
    device: (u32, u32),
    contents: &'a [u8],
}

impl<W: Write> Archive<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, next_inode: 1, folders: BTreeSet::new() }
    }

    pub(crate) fn folder(&mut self, path: &str) -> io::Result<()> {
        let path = relative(path);
        if path.is_empty() || !self.folders.insert(path.to_owned()) {
            return Ok(());
        }
        self.parents(path)?;
        self.entry(&Entry { path, mode: TYPE_DIRECTORY | 0o755, device: (0, 0), contents: &[] })
    }

    pub(crate) fn file(&mut self, path: &str, permissions: u32, contents: &[u8]) -> io::Result<()> {
        let path = relative(path);
        self.parents(path)?;
        self.entry(&Entry { path, mode: TYPE_FILE | permissions, device: (0, 0), contents })
    }

    pub(crate) fn link(&mut self, path: &str, target: &str) -> io::Result<()> {
        let path = relative(path);
        self.parents(path)?;
        self.entry(&Entry { path, mode: TYPE_LINK | 0o777, device: (0, 0), contents: target.as_bytes() })
    }

    pub(crate) fn character_device(&mut self, path: &str, major: u32, minor: u32) -> io::Result<()> {
        let path = relative(path);
        self.parents(path)?;
        self.entry(&Entry { path, mode: TYPE_CHARACTER | 0o600, device: (major, minor), contents: &[] })
    }

    /// Writes the trailer and hands the writer back.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.next_inode = 0;
        self.entry(&Entry { path: "TRAILER!!!", mode: 0, device: (0, 0), contents: &[] })?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn parents(&mut self, path: &str) -> io::Result<()> {
        match path.rsplit_once('/') {
            Some((parent, _)) => self.folder(parent),
            None => Ok(()),
        }
    }

    /// The header's thirteen fields are eight hexadecimal digits each; name and contents are padded to four bytes.
    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let size = u32::try_from(entry.contents.len()).map_err(|_| {
            io::Error::new(io::ErrorKind::FileTooLarge, "a file in an initramfs is under 4 GiB")
        })?;
        let name_size = entry.path.len() as u32 + 1;
        let links = 1;
        let inode = self.next_inode;
        self.next_inode += 1;
        write!(self.out, "{MAGIC}")?;
        let fields =
            [inode, entry.mode, 0, 0, links, 0, size, 0, 0, entry.device.0, entry.device.1, name_size, 0];
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        const HEADER: usize = MAGIC.len() + 13 * 8;
        self.out.write_all(entry.path.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(HEADER + name_size as usize)?;
        self.out.write_all(entry.contents)?;
        self.pad(entry.contents.len())
    }

    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}

/// Names in the archive are relative to the root.
fn relative(path: &str) -> &str {
    path.trim_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (name, mode, contents) of each entry, read back by the format's rules.
    fn read_back(bytes: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let (mut at, mut found) = (0, Vec::new());
        while at < bytes.len() {
            let field = |number: usize| {
                let start = at + 6 + number * 8;
                u32::from_str_radix(std::str::from_utf8(&bytes[start..start + 8]).unwrap(), 16).unwrap()
            };
            assert_eq!(&bytes[at..at + 6], MAGIC.as_bytes(), "at {at}");
            let (mode, size, name_size) = (field(1), field(6) as usize, field(11) as usize);
            let name = String::from_utf8(bytes[at + 110..at + 110 + name_size - 1].to_vec()).unwrap();
            let data = at + (110 + name_size).next_multiple_of(4);
            found.push((name, mode, bytes[data..data + size].to_vec()));
            at = data + size.next_multiple_of(4);
        }
        found
    }

    #[test]
    fn entries_come_back_as_written() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/bin/tool", 0o755, b"12345").unwrap();
        archive.link("/bin/sh", "tool").unwrap();
        archive.character_device("/dev/console", 5, 1).unwrap();
        let entries = read_back(&archive.finish().unwrap());
        let names: Vec<&str> = entries.iter().map(|entry| entry.0.as_str()).collect();
        assert_eq!(names, ["bin", "bin/tool", "bin/sh", "dev", "dev/console", "TRAILER!!!"]);
        assert_eq!((entries[1].1, entries[1].2.as_slice()), (0o100_755, &b"12345"[..]));
        assert_eq!((entries[2].1, entries[2].2.as_slice()), (0o120_777, &b"tool"[..]));
    }

    #[test]
    fn a_folder_is_written_once_and_before_its_files() {
        let mut archive = Archive::new(Vec::new());
        archive.file("/a/b/one", 0o644, b"").unwrap();
        archive.folder("/a/b/").unwrap();
        archive.file("/a/b/two", 0o644, b"x").unwrap();
        let names: Vec<String> = read_back(&archive.finish().unwrap()).into_iter().map(|e| e.0).collect();
        assert_eq!(names, ["a", "a/b", "a/b/one", "a/b/two", "TRAILER!!!"]);
    }
}
