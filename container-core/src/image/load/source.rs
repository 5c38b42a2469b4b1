//! Where an image's files come from: a folder, or a tar archive that is read in place and never unpacked.
//!
//! An archive's index says where each file's bytes lie. So nothing of a hostile archive touches a file system
//! before it is known to be a layer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::Mode;
use tar::EntryType;

use crate::error::Error;
use crate::image::archive::{MAX_STREAM_BYTES, not_tar};
use crate::image::compression;
use crate::image::entry::parts;
use crate::image::layer::Draft;
use crate::store::Store;

/// An archive of images has a handful of files for every layer.
const MAX_FILES: usize = 100_000;
/// So many links may lead from a name to its file: older versions of docker link equal layers.
const MAX_LINKS: usize = 8;

/// Named files, to be read in any order.
pub(in crate::image) enum Source {
    Folder(OwnedFd),
    Archive {
        file: File,
        index: HashMap<Vec<u8>, Place>,
        /// Holds the unpacked stream of a compressed archive, and deletes it.
        _draft: Option<Draft>,
    },
}

/// What an archive has under a name.
#[derive(Debug)]
pub(in crate::image) enum Place {
    File { at: u64, size: u64 },
    Link(Vec<u8>),
}

/// A file of the source, being read.
pub(in crate::image) struct Reading {
    pub(in crate::image) size: u64,
    pub(in crate::image) content: Box<dyn Read>,
}

impl Source {
    pub(in crate::image) fn open(path: &Path, store: &Store) -> Result<Source, Error> {
        let refuse = |reason: String| Error::NotAnImage { path: path.to_owned(), reason };
        if path.is_dir() {
            return Source::folder(path);
        }
        let mut file = File::open(path).map_err(Error::store("open", path))?;
        let mut draft = None;
        if !is_plain(&mut file).map_err(Error::store("read", path))? {
            let place = Draft::new(store)?;
            file = unpacked(file, &place).map_err(refuse)?;
            draft = Some(place);
        }
        let index = index(&file).map_err(refuse)?;
        Ok(Source::Archive { file, index, _draft: draft })
    }

    pub(in crate::image) fn folder(path: &Path) -> Result<Source, Error> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let folder = open(path, flags, Mode::empty()).map_err(|e| Error::store("open", path)(e.into()))?;
        Ok(Source::Folder(folder))
    }

    /// Open the file `name`; `None` when there is none. The error is a reason.
    pub(in crate::image) fn file(&self, name: &str) -> Result<Option<Reading>, String> {
        match self {
            Source::Folder(top) => {
                let how = OpenHow::new()
                    .flags(OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)
                    .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_MAGICLINKS);
                let file = match openat2(top, name, how) {
                    Ok(file) => File::from(file),
                    Err(Errno::ENOENT | Errno::ENOTDIR) => return Ok(None),
                    Err(errno) => return Err(format!("{name}: {errno}")),
                };
                let metadata = file.metadata().map_err(|e| format!("{name}: {e}"))?;
                match metadata.is_file() {
                    true => Ok(Some(Reading { size: metadata.len(), content: Box::new(file) })),
                    false => Err(format!("{name} is no file")),
                }
            }
            Source::Archive { file, index, .. } => {
                let Some((at, size)) = find(index, name)? else { return Ok(None) };
                let file = file.try_clone().map_err(|e| e.to_string())?;
                Ok(Some(Reading { size, content: Box::new(Window { file, at, end: at + size }) }))
            }
        }
    }

    /// All of a small file.
    pub(in crate::image) fn small(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, String> {
        let Some(reading) = self.file(name)? else { return Ok(None) };
        if reading.size > most {
            return Err(format!("{name} has more than {most} bytes"));
        }
        let mut bytes = Vec::new();
        reading.content.take(most).read_to_end(&mut bytes).map_err(|e| format!("{name}: {e}"))?;
        Ok(Some(bytes))
    }
}

/// Whether the file can be read in place: not a pipe, not compressed.
fn is_plain(file: &mut File) -> io::Result<bool> {
    if !file.metadata()?.is_file() {
        return Ok(false);
    }
    // A plain archive starts with a file's name.
    let mut start = [0; 4];
    let count = file.read_at(&mut start, 0)?;
    file.seek(SeekFrom::Start(0))?;
    let magic: [&[u8]; 5] =
        [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd], &[0xfd, b'7', b'z'], b"BZh", b"P*M\x18"];
    Ok(!magic.iter().any(|magic| start[..count].starts_with(magic)))
}

/// The uncompressed stream in a file that has no name any more.
fn unpacked(file: File, draft: &Draft) -> Result<File, String> {
    let path = draft.tree().join("archive");
    let mut options = File::options();
    let mut whole = options.read(true).write(true).create_new(true).open(&path).map_err(|e| e.to_string())?;
    std::fs::remove_file(&path).map_err(|e| e.to_string())?;
    let stream = compression::decompressed(BufReader::with_capacity(256 * 1024, file))?;
    let copied = io::copy(&mut stream.take(MAX_STREAM_BYTES + 1), &mut whole).map_err(|e| e.to_string())?;
    if copied > MAX_STREAM_BYTES {
        return Err(format!("it unpacks to more than {MAX_STREAM_BYTES} bytes"));
    }
    whole.seek(SeekFrom::Start(0)).map_err(|e| e.to_string())?;
    Ok(whole)
}

fn index(file: &File) -> Result<HashMap<Vec<u8>, Place>, String> {
    let mut index = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek().map_err(not_tar)? {
        let entry = entry.map_err(not_tar)?;
        let path = entry.path_bytes();
        let name = parts(&path).ok_or("the archive has a name with \"..\"")?;
        let target = entry.link_name_bytes().map(|target| target.into_owned()).unwrap_or_default();
        let place = match entry.header().entry_type() {
            EntryType::Regular | EntryType::Continuous => {
                Place::File { at: entry.raw_file_position(), size: entry.size() }
            }
            // Of a symbolic link the target counts from the link's folder, of a hard link from the top.
            EntryType::Symlink => {
                let folder = name.split_last().map_or(Vec::new(), |(_, folder)| folder.join(&b'/'));
                Place::Link(climb(&[&folder, b"/".as_slice(), &target].concat()))
            }
            EntryType::Link => Place::Link(climb(&target)),
            _ => continue,
        };
        index.insert(name.join(&b'/'), place);
        if index.len() > MAX_FILES {
            return Err(format!("the archive has more than {MAX_FILES} files"));
        }
    }
    Ok(index)
}

/// The path without `.` and `..`; one that climbs too far stays at the top.
fn climb(path: &[u8]) -> Vec<u8> {
    let mut whole: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(whole.pop()),
            name => whole.push(name),
        }
    }
    whole.join(&b'/')
}

fn find(index: &HashMap<Vec<u8>, Place>, name: &str) -> Result<Option<(u64, u64)>, String> {
    let mut name = climb(name.as_bytes());
    for _ in 0..MAX_LINKS {
        match index.get(&name) {
            Some(Place::File { at, size }) => return Ok(Some((*at, *size))),
            Some(Place::Link(target)) => name.clone_from(target),
            None => return Ok(None),
        }
    }
    Err(format!("{:?} is a link that leads nowhere", String::from_utf8_lossy(&name)))
}

/// A part of a file, read without moving the file's own position.
struct Window {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Window {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_inside_the_archive() {
        let mut index = HashMap::new();
        index.insert(b"a/layer.tar".to_vec(), Place::File { at: 512, size: 7 });
        index.insert(b"b/layer.tar".to_vec(), Place::Link(climb(b"b/../a/layer.tar")));
        index.insert(b"c".to_vec(), Place::Link(b"c".to_vec()));
        index.insert(b"up".to_vec(), Place::Link(climb(b"/../../a/./layer.tar")));
        for name in ["a/layer.tar", "./b/layer.tar", "up", "/a/layer.tar"] {
            assert_eq!(find(&index, name).unwrap(), Some((512, 7)), "{name}");
        }
        assert!(find(&index, "c").is_err());
        assert_eq!(find(&index, "d").unwrap(), None);
    }
}
