//! A file of lines that several processes append to, that rotates at a bound and can be followed.
//!
//! Both the event log and the containers' logs are such files. One old generation is kept beside the current
//! one (`name.1`). A write holds flock(2) on the file, and checks after getting it that the path still leads to
//! this file, so nothing is appended to a generation that has already been rotated away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::store::lock::lock_file;

/// The appending side.
pub(crate) struct LineFile {
    path: PathBuf,
    max_bytes: u64,
}

impl LineFile {
    /// Appends to `path`, which is rotated once it has reached `max_bytes`.
    pub(crate) fn new(path: PathBuf, max_bytes: u64) -> LineFile {
        LineFile { path, max_bytes }
    }

    /// Append whole lines (the last one ended by a newline) with a single write(2).
    pub(crate) fn append(&self, lines: &[u8]) -> io::Result<()> {
        let (mut file, size) = self.open_locked()?;
        if ends_torn(&file, size)? {
            // A writer died, or the disk was full, in the middle of a line: keep the damage to that line.
            let mut repaired = Vec::with_capacity(lines.len() + 1);
            repaired.push(b'\n');
            repaired.extend_from_slice(lines);
            file.write_all(&repaired)
        } else {
            file.write_all(lines)
        }
    }

    /// The current generation, locked until it is dropped, rotated before if it is full; and its size.
    fn open_locked(&self) -> io::Result<(File, u64)> {
        loop {
            let file =
                OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path)?;
            lock_file(&file)?;
            let held = file.metadata()?;
            let is_current = fs::metadata(&self.path).is_ok_and(|now| now.ino() == held.ino());
            if !is_current {
                continue;
            }
            if held.len() < self.max_bytes {
                return Ok((file, held.len()));
            }
            fs::rename(&self.path, rotated(&self.path))?;
        }
    }
}

fn ends_torn(file: &File, size: u64) -> io::Result<bool> {
    if size == 0 {
        return Ok(false);
    }
    let mut last = [0];
    file.read_exact_at(&mut last, size - 1)?;
    Ok(last[0] != b'\n')
}

/// Where the old generation of `path` lies.
fn rotated(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

/// The reading side: remembers which file it read and how far.
#[derive(Debug)]
pub(crate) struct LineFollower {
    path: PathBuf,
    /// Inode and offset of the generation being read; `None` before the first read.
    position: Option<(u64, u64)>,
}

impl LineFollower {
    /// Starts at the oldest line that is kept.
    pub(crate) fn from_start(path: PathBuf) -> LineFollower {
        LineFollower { path, position: None }
    }

    /// Starts behind the last line that is there now.
    pub(crate) fn from_end(path: PathBuf) -> io::Result<LineFollower> {
        let mut follower = LineFollower::from_start(path);
        follower.read_new(&mut |_| {})?;
        Ok(follower)
    }

    /// Hand every complete line that is new to `each`, without its newline. A last line without newline is
    /// left for the next call. A file that does not exist has no lines.
    pub(crate) fn read_new(&mut self, each: &mut dyn FnMut(&[u8])) -> io::Result<()> {
        let Some(current) = open_if_there(&self.path)? else { return Ok(()) };
        let current_ino = current.metadata()?.ino();
        match self.position {
            Some((ino, _)) if ino == current_ino => {}
            // First call, or rotated since: what the old generation still holds comes first.
            position => {
                if let Some(old) = open_if_there(&rotated(&self.path))? {
                    let old_ino = old.metadata()?.ino();
                    let from = match position {
                        Some((ino, offset)) if ino == old_ino => offset,
                        _ => 0,
                    };
                    // Two openings of one file when it was rotated between them: it is read below.
                    if old_ino != current_ino {
                        read_lines(old, from, each)?;
                    }
                }
                self.position = Some((current_ino, 0));
            }
        }
        if let Some((_, offset)) = &mut self.position {
            *offset = read_lines(current, *offset, each)?;
        }
        Ok(())
    }
}

fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}

/// Read complete lines from `offset`; returns the offset behind the last one.
fn read_lines(mut file: File, offset: u64, each: &mut dyn FnMut(&[u8])) -> io::Result<u64> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let complete = bytes.iter().rposition(|b| *b == b'\n').map_or(0, |last| last + 1);
    for line in bytes[..complete].split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        each(line);
    }
    Ok(offset + complete as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    fn lines(follower: &mut LineFollower) -> Vec<String> {
        let mut all = Vec::new();
        follower.read_new(&mut |line| all.push(String::from_utf8_lossy(line).into_owned())).unwrap();
        all
    }

    #[test]
    fn a_follower_misses_nothing_across_a_rotation() {
        let dir = Scratch::new("lines");
        let path = dir.path().join("log");
        let file = LineFile::new(path.clone(), 64);
        let mut follower = LineFollower::from_start(path.clone());
        assert!(lines(&mut follower).is_empty());
        let mut seen = Vec::new();
        for i in 0..40 {
            file.append(format!("line number {i}\n").as_bytes()).unwrap();
            if i % 3 == 0 {
                seen.extend(lines(&mut follower));
            }
        }
        seen.extend(lines(&mut follower));
        let expected: Vec<String> = (0..40).map(|i| format!("line number {i}")).collect();
        assert_eq!(seen, expected);
        assert!(fs::metadata(&path).unwrap().len() < 128, "the bound holds");
    }

    #[test]
    fn a_torn_line_spoils_only_itself() {
        let dir = Scratch::new("torn");
        let path = dir.path().join("log");
        fs::write(&path, "whole\n{\"to").unwrap();
        let mut follower = LineFollower::from_start(path.clone());
        assert_eq!(lines(&mut follower), ["whole"]);
        LineFile::new(path, 1000).append(b"next\n").unwrap();
        assert_eq!(lines(&mut follower), ["{\"to", "next"]);
    }

    #[test]
    fn following_from_the_end_sees_only_what_comes() {
        let dir = Scratch::new("end");
        let path = dir.path().join("log");
        let file = LineFile::new(path.clone(), 1000);
        file.append(b"old\n").unwrap();
        let mut follower = LineFollower::from_end(path).unwrap();
        file.append(b"new\n").unwrap();
        assert_eq!(lines(&mut follower), ["new"]);
    }
}
