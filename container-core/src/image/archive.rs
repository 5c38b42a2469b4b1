//! Reading a root file system, or one layer of it, from a tar archive, plain or compressed.
//!
//! The `tar` crate parses; what an entry becomes is decided here, and what we cannot represent is refused with
//! its name rather than left out.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sha2::{Digest, Sha256};
use tar::EntryType;

use super::entry::{Entry, Kind, Xattrs};
use super::extract::Tree;
use super::layer::{Draft, NewLayer};
use super::{compression, sparse};
use crate::error::Error;
use crate::id::hex;

/// Most bytes an archive may unpack to, headers and padding included.
pub(super) const MAX_STREAM_BYTES: u64 = super::extract::MAX_BYTES + super::extract::MAX_BYTES / 8;

/// Fill `draft` from the archive at `path`.
pub(super) fn read(path: &Path, draft: Draft) -> Result<NewLayer, Error> {
    let file = File::open(path).map_err(Error::store("open", path))?;
    let refuse = |reason: String| Error::NotAnImage { path: path.to_owned(), reason };
    let raw = BufReader::with_capacity(256 * 1024, file);
    let unpacked = compression::decompressed(raw).and_then(|stream| unpack(stream, draft, Ending::Whole));
    let layer = unpacked.map_err(refuse)?;
    match layer.entries {
        0 => Err(refuse("the archive holds no entry".to_owned())),
        _ => Ok(layer),
    }
}

/// How an archive must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// On a block's border, as tar(5) has it: what ends elsewhere was cut off.
    Whole,
    /// Anywhere, for a digest vouches for the length: `umoci insert` ends its layers with the last file's last
    /// byte, and Go's reader, on which the other engines stand, accepts that.
    Vouched,
}

/// Fill `draft` from an uncompressed archive. The error is a reason.
pub(super) fn unpack<'a>(
    stream: Box<dyn Read + 'a>,
    draft: Draft,
    ending: Ending,
) -> Result<NewLayer, String> {
    let stream = Measured { inner: stream, hash: Sha256::new(), bytes: 0, ending, padding: None };
    let mut tree = Tree::open(&draft.tree()).map_err(|e| e.to_string())?;
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(not_tar)? {
        let mut entry = entry.map_err(not_tar)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        add(&mut tree, &mut entry).map_err(|reason| format!("entry {name:?}: {reason}"))?;
    }
    // The digest is over the whole stream: blocks after the last entry count too.
    let mut stream = archive.into_inner();
    io::copy(&mut stream, &mut io::sink()).map_err(|e| e.to_string())?;
    let (entries, bytes) = tree.finish()?;
    let digest = format!("sha256:{}", hex(&stream.hash.finalize()));
    Ok(NewLayer { draft, digest, bytes, entries })
}

pub(super) fn not_tar(error: io::Error) -> String {
    format!("it is no tar archive, or a damaged one: {error}")
}

fn add(tree: &mut Tree, entry: &mut tar::Entry<'_, Measured<'_>>) -> Result<(), String> {
    let header = entry.header();
    let entry_type = header.entry_type();
    if entry_type == EntryType::XGlobalHeader {
        // Defaults for later entries; tools put comments there (git archive), which are no part of an image.
        return Ok(());
    }
    let number = |what: &str, value: io::Result<u64>| value.map_err(|e| format!("its {what}: {e}"));
    let mode = header.mode().map_err(|e| format!("its mode: {e}"))?;
    let (uid, gid) = (number("owner", header.uid())?, number("group", header.gid())?);
    let mtime = (i64::try_from(number("time", header.mtime())?).unwrap_or(0), 0);
    let device = match entry_type.is_character_special() || entry_type.is_block_special() {
        true => device_number(header)?,
        false => (0, 0),
    };
    let mut path = entry.path_bytes().into_owned();
    let target = entry.link_name_bytes().map(|name| name.into_owned());
    let mut extended = Extended { uid, gid, mtime, ..Extended::default() };
    extended.read(entry)?;
    let Extended { uid, gid, mtime, xattrs, mut sparse } = extended;
    path = sparse.name.take().unwrap_or(path);
    let size = entry.size();
    let target = || target.clone().ok_or("it is a link without target");
    let mut expanded;
    let kind = match entry_type {
        // An old-style archive marks a folder by a slash at the end of a regular file's name.
        EntryType::Regular | EntryType::Continuous if size == 0 && path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
            match sparse.expand(&mut *entry)? {
                Some((file, size)) => {
                    expanded = file;
                    Kind::File(&mut expanded, size)
                }
                None => Kind::File(entry, size),
            }
        }
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(target()?),
        EntryType::Link => Kind::Hardlink(target()?),
        EntryType::Char => Kind::CharDevice(device.0, device.1),
        EntryType::Block => Kind::BlockDevice(device.0, device.1),
        EntryType::Fifo => Kind::Fifo,
        other => return Err(format!("entries of type {:?} are not known", char::from(other.as_byte()))),
    };
    let narrow = |what: &str, id: u64| u32::try_from(id).map_err(|_| format!("its {what} {id} is too large"));
    let (uid, gid) = (narrow("owner", uid)?, narrow("group", gid)?);
    tree.add(Entry { path, kind, mode, uid, gid, mtime, xattrs, layer: true })
}

fn device_number(header: &tar::Header) -> Result<(u64, u64), String> {
    let missing = || "it is a device without number".to_owned();
    let major = header.device_major().map_err(|e| e.to_string())?.ok_or_else(missing)?;
    let minor = header.device_minor().map_err(|e| e.to_string())?.ok_or_else(missing)?;
    Ok((major.into(), minor.into()))
}

/// What extended headers (pax, POSIX.1-2001) say more exactly than the plain one: large ids, fine times, extended
/// attributes, sparse files. The tar crate applies path, link target and size itself.
#[derive(Default)]
struct Extended {
    uid: u64,
    gid: u64,
    mtime: (i64, i64),
    xattrs: Xattrs,
    sparse: sparse::Headers,
}

impl Extended {
    fn read(&mut self, entry: &mut tar::Entry<'_, Measured<'_>>) -> Result<(), String> {
        let Some(extensions) = entry.pax_extensions().map_err(|e| e.to_string())? else { return Ok(()) };
        for extension in extensions {
            let extension = extension.map_err(|e| format!("its extended header: {e}"))?;
            let (key, value) = (extension.key_bytes(), extension.value_bytes());
            if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                self.xattrs.push((name.to_vec(), value.to_vec()));
            } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                self.sparse.take(key, value)?;
            } else {
                let text = String::from_utf8_lossy(value).into_owned();
                let bad = || format!("its extended header {:?} is {text:?}", String::from_utf8_lossy(key));
                match key {
                    b"uid" => self.uid = text.parse().map_err(|_| bad())?,
                    b"gid" => self.gid = text.parse().map_err(|_| bad())?,
                    b"mtime" => self.mtime = parse_time(&text).ok_or_else(bad)?,
                    _ => {}
                }
            }
        }
        Ok(())
    }
}

/// `1700000000.25`: seconds and a decimal fraction.
fn parse_time(text: &str) -> Option<(i64, i64)> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let (seconds, nanoseconds): (i64, i64) = (seconds.parse().ok()?, digits.parse().ok()?);
    Some(match text.starts_with('-') && nanoseconds > 0 {
        // A time before the epoch counts its fraction backwards.
        true => (seconds - 1, 1_000_000_000 - nanoseconds),
        false => (seconds, nanoseconds),
    })
}

/// The uncompressed stream, hashed and bounded on its way.
struct Measured<'a> {
    inner: Box<dyn Read + 'a>,
    hash: Sha256,
    bytes: u64,
    ending: Ending,
    /// Zeroes still to be given in place of those that the stream lacks, once it has ended. Not hashed.
    padding: Option<usize>,
}

/// tar(5): everything comes in blocks of this size.
const BLOCK: u64 = 512;

impl Measured<'_> {
    fn pad(&mut self, buffer: &mut [u8]) -> usize {
        let lacking = match self.ending {
            Ending::Whole => 0,
            Ending::Vouched => (BLOCK - self.bytes % BLOCK) as usize % BLOCK as usize,
        };
        let left = self.padding.get_or_insert(lacking);
        let count = buffer.len().min(*left);
        buffer[..count].fill(0);
        *left -= count;
        count
    }
}

impl Read for Measured<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        if count == 0 {
            return Ok(self.pad(buffer));
        }
        self.hash.update(&buffer[..count]);
        self.bytes += count as u64;
        if self.bytes > MAX_STREAM_BYTES {
            return Err(io::Error::other(format!("it unpacks to more than {MAX_STREAM_BYTES} bytes")));
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fine_times_are_understood() {
        assert_eq!(parse_time("12"), Some((12, 0)));
        assert_eq!(parse_time("12.25"), Some((12, 250_000_000)));
        assert_eq!(parse_time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(parse_time("x"), None);
    }
}
