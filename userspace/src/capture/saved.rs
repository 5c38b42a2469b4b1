//! Call graphs that somebody saved: function_graph text (of the kernel, or of `trace-cmd report`) or trace.dat. Either
//! is read as a stream, so that its size does not matter.

use super::callgraph::Parser;
use super::trace_dat::{self, TraceDatError};
use crate::model::Graph;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// A line longer than this is no line of a trace; what is beyond is dropped.
const LONGEST_LINE: usize = 64 * 1024;
/// Read at once.
const BLOCK: usize = 256 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    #[error("cannot read {file}: {source}", file = file.display())]
    Read { file: PathBuf, source: io::Error },
    #[error("cannot read {file} as trace.dat: {source}", file = file.display())]
    Dat { file: PathBuf, source: TraceDatError },
    #[error(
        "{file} holds no function_graph text (a trace.dat, a saved `trace` or `trace_pipe` file, or what `trace-cmd \
         report` prints is wanted)",
        file = file.display()
    )]
    NoTrace { file: PathBuf },
}

/// What a file held, and what it did not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub graphs: u64,
    /// Events known to be missing.
    pub lost: u64,
    /// Why a part of it could not be read.
    pub broken: Option<String>,
    /// Functions have addresses, but no names.
    pub nameless: bool,
}

/// Hands each graph of the file to `sink` as soon as it is whole.
pub fn read(path: &Path, sink: &mut dyn FnMut(Graph)) -> Result<Seen, SavedError> {
    let failed = |source| SavedError::Read { file: path.to_owned(), source };
    let mut file = BufReader::with_capacity(BLOCK, File::open(path).map_err(failed)?);
    let mut seen = Seen::default();
    let mut counted = |graph| {
        seen.graphs += 1;
        sink(graph);
    };
    if file.fill_buf().map_err(failed)?.starts_with(trace_dat::MAGIC) {
        let summary = trace_dat::read(path, &mut counted)
            .map_err(|source| SavedError::Dat { file: path.to_owned(), source })?;
        let trace_dat::Summary { lost, broken, nameless, .. } = summary;
        return Ok(Seen { lost, broken, nameless, ..seen });
    }
    let mut parser = Parser::default();
    text(file, &mut parser, &mut counted).map_err(failed)?;
    seen.lost = parser.stats().lost;
    if seen.graphs == 0 {
        return Err(SavedError::NoTrace { file: path.to_owned() });
    }
    Ok(seen)
}

fn text(mut file: impl BufRead, parser: &mut Parser, sink: &mut dyn FnMut(Graph)) -> io::Result<()> {
    // The beginning of a line whose end is in the next block.
    let mut begun = Vec::new();
    loop {
        let block = file.fill_buf()?;
        let length = block.len();
        if length == 0 {
            break;
        }
        let mut rest = block;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            if begun.is_empty() {
                feed(parser, &rest[..end]);
            } else {
                begun.extend_from_slice(&rest[..end.min(LONGEST_LINE)]);
                feed(parser, &begun);
                begun.clear();
            }
            parser.take_each(sink);
            rest = &rest[end + 1..];
        }
        let room = LONGEST_LINE.saturating_sub(begun.len());
        begun.extend_from_slice(&rest[..rest.len().min(room)]);
        file.consume(length);
    }
    feed(parser, &begun);
    parser.finish().into_iter().for_each(sink);
    Ok(())
}

fn feed(parser: &mut Parser, line: &[u8]) {
    match std::str::from_utf8(line) {
        Ok(line) => parser.feed(line),
        Err(_) => parser.feed(&String::from_utf8_lossy(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_bytes(bytes: &[u8]) -> Result<(Vec<String>, Seen), String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        let mut names = Vec::new();
        let seen = read(file.path(), &mut |graph| names.push(graph.root.name)).map_err(|e| e.to_string())?;
        Ok((names, seen))
    }

    #[test]
    fn text_and_what_is_none() {
        let (names, seen) = read_bytes(
            b" 0)   1.000 us    |  a();\n\xff\xfe\nCPU:0 [LOST 3 EVENTS]\n 0)   1.000 us    |  b();\n",
        )
        .unwrap();
        assert_eq!((names.join(" ").as_str(), seen.graphs, seen.lost), ("a b", 2, 3));
        assert!(read_bytes(b"no trace at all\n").unwrap_err().contains("no function_graph text"));
        assert!(read_bytes(b"").unwrap_err().contains("no function_graph text"));
        assert!(read_bytes(b"\x17\x08\x44tracing5\0").unwrap_err().contains("trace.dat"));
        let missing = read(Path::new("/no/such/file"), &mut |_| {}).unwrap_err().to_string();
        assert!(missing.contains("/no/such/file"), "{missing}");
    }

    #[test]
    fn a_line_without_an_end_costs_no_memory() {
        let mut bytes = vec![b'x'; 3 * BLOCK];
        bytes.extend(b"\n 0)   1.000 us    |  a();\n");
        assert_eq!(read_bytes(&bytes).unwrap().0, ["a"]);
    }
}
