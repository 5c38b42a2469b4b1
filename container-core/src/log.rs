//! A container's log: what its workload printed, one JSON object per line, bounded in size.
//!
//! `{"time_unix_ns":1,"stream":"stdout","text":"hello"}`; `partial` marks a piece of a line longer than
//! [`MAX_LINE_BYTES`]. Bytes that are not UTF-8 are replaced by U+FFFD.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Error, StepError};
use crate::lines::{LineFile, LineFollower};
use crate::steps::Step;

/// Size at which a log is rotated, in bytes; one old generation is kept.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// A longer line is kept in pieces of this size, in bytes.
pub const MAX_LINE_BYTES: usize = 16 * 1024;

/// Which of the two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// One line of output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When the engine read it, nanoseconds since the epoch.
    pub time_unix_ns: u64,
    /// Where it was printed.
    pub stream: Stream,
    /// The line without its newline.
    pub text: String,
    /// The line goes on in the next entry of the same stream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// Cuts one stream into lines and appends them.
pub(crate) struct LogWriter {
    path: PathBuf,
    file: LineFile,
    stream: Stream,
    /// The beginning of a line whose end has not come yet.
    pending: Vec<u8>,
}

impl LogWriter {
    pub(crate) fn new(path: PathBuf, stream: Stream) -> LogWriter {
        LogWriter { file: LineFile::new(path.clone(), MAX_BYTES), path, stream, pending: Vec::new() }
    }

    /// Take what was read.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StepError> {
        let mut out = Vec::new();
        self.pending.extend_from_slice(bytes);
        let pending = std::mem::take(&mut self.pending);
        let mut rest = pending.as_slice();
        loop {
            let newline = rest.iter().take(MAX_LINE_BYTES).position(|b| *b == b'\n');
            match newline {
                Some(end) => {
                    self.push(&mut out, &rest[..end], false)?;
                    rest = &rest[end + 1..];
                }
                None if rest.len() >= MAX_LINE_BYTES => {
                    self.push(&mut out, &rest[..MAX_LINE_BYTES], true)?;
                    rest = &rest[MAX_LINE_BYTES..];
                }
                None => break,
            }
        }
        self.pending = rest.to_vec();
        self.append(&out)
    }

    /// The stream ended: a last line without newline is a line.
    pub(crate) fn finish(&mut self) -> Result<(), StepError> {
        let pending = std::mem::take(&mut self.pending);
        if pending.is_empty() {
            return Ok(());
        }
        let mut out = Vec::new();
        self.push(&mut out, &pending, false)?;
        self.append(&out)
    }

    fn push(&self, out: &mut Vec<u8>, text: &[u8], partial: bool) -> Result<(), StepError> {
        let line = LogLine {
            time_unix_ns: clock::unix_ns(),
            stream: self.stream,
            text: String::from_utf8_lossy(text).into_owned(),
            partial,
        };
        serde_json::to_writer(&mut *out, &line).map_err(|e| self.failed(&e.into()))?;
        out.push(b'\n');
        Ok(())
    }

    fn append(&self, out: &[u8]) -> Result<(), StepError> {
        if out.is_empty() {
            return Ok(());
        }
        self.file.append(out).map_err(|e| self.failed(&e))
    }

    fn failed(&self, error: &std::io::Error) -> StepError {
        StepError::from_io(Step::WriteLog, "write", &self.path, error)
    }
}

/// Reads a log, and what is added to it later.
#[derive(Debug)]
pub struct LogFollow {
    path: PathBuf,
    lines: LineFollower,
}

impl LogFollow {
    pub(crate) fn new(path: PathBuf) -> LogFollow {
        LogFollow { lines: LineFollower::from_start(path.clone()), path }
    }

    /// The lines that are new since the last call; the first call gives all that are kept.
    pub fn read_new(&mut self) -> Result<Vec<LogLine>, Error> {
        let mut lines = Vec::new();
        self.lines
            .read_new(&mut |line| lines.extend(serde_json::from_slice(line).ok()))
            .map_err(Error::store("read", &self.path))?;
        Ok(lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Scratch;

    #[test]
    fn output_comes_back_as_lines() {
        let dir = Scratch::new("log");
        let path = dir.path().join("log");
        let mut out = LogWriter::new(path.clone(), Stream::Stdout);
        let mut follow = LogFollow::new(path.clone());
        out.write(b"one\ntw").unwrap();
        let texts = |lines: Vec<LogLine>| lines.into_iter().map(|l| (l.text, l.partial)).collect::<Vec<_>>();
        assert_eq!(texts(follow.read_new().unwrap()), [("one".to_owned(), false)]);
        out.write(b"o\n\n\xff").unwrap();
        out.finish().unwrap();
        let expected = [("two".to_owned(), false), (String::new(), false), ("\u{fffd}".to_owned(), false)];
        assert_eq!(texts(follow.read_new().unwrap()), expected);
        out.write(&vec![b'x'; MAX_LINE_BYTES + 1]).unwrap();
        out.write(b"\n").unwrap();
        let lines = texts(follow.read_new().unwrap());
        assert_eq!((lines.len(), lines[0].1, lines[1].0.as_str()), (2, true, "x"));
    }
}
