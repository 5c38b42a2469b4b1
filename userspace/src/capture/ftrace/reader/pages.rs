//! `per_cpu/cpuN/trace_pipe_raw`: the ring buffer's pages as they are, so that the kernel need not print what would
//! have to be read again.
//!
//! Every processor's pages are read up to a time that was taken before the first of them, and no further: what is
//! later may have gone to a processor that had been read by then. Where the fields lie is read from the kernel's own
//! description (`events/ftrace/*/format`, `events/header_page`).

use super::super::tracefs::Tracefs;
use crate::capture::callgraph::Parser;
use crate::capture::ring_buffer::{
    calls::Decoder,
    feed,
    format::{Format, HeaderPage},
    merge::{Found, Merge, Run},
    page::{Cursor, Shape, Step},
    symbols::Symbols,
    words::Words,
};
use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;

/// Descriptions of the tracer's events; a kernel has the first or the second, and the third.
const FORMATS: [&str; 3] = ["funcgraph_entry", "fgraph_retaddr_entry", "funcgraph_exit"];
/// A processor that was never there is asked once a second: a virtual machine may be given hundreds of them one day.
const LOOKS_WITHOUT: u32 = 40;
/// Of the running kernel; diag is built for 64-bit machines alone.
const WORDS: Words = Words { big_endian: cfg!(target_endian = "big"), long: size_of::<libc::c_long>() };

#[derive(Debug)]
pub(in super::super) struct Pages {
    decoder: Decoder,
    symbols: Symbols,
    processors: Vec<Processor>,
    merge: Merge,
}

impl Pages {
    /// `buffer` is the top one or an instance below `top`, where the formats are.
    pub(super) fn open(top: &Tracefs, buffer: &Tracefs, symbols: Symbols) -> Result<Self, String> {
        if symbols.is_empty() {
            return Err("the addresses of functions are hidden".to_owned());
        }
        let formats: Vec<Format> = FORMATS
            .iter()
            .filter_map(|name| Format::parse(&top.read(&format!("events/ftrace/{name}/format")).ok()?))
            .collect();
        let decoder = Decoder::new(WORDS, &formats).ok_or("the kernel does not describe its records")?;
        let header = top.read_at_once("events/header_page").map_err(|error| error.to_string())?;
        let header = HeaderPage::parse(&header).ok_or("the kernel does not describe its pages")?;
        let shape = Shape { words: WORDS, header, size: page_size(buffer, header) };
        let open = |number| Processor::open(buffer, number, shape);
        let processors: Result<Vec<_>, _> = buffer.cpus().into_iter().map(open).collect();
        let processors = processors.map_err(|error| error.to_string())?;
        if processors.is_empty() {
            return Err("the buffer has no processors".to_owned());
        }
        Ok(Self { decoder, symbols, processors, merge: Merge::default() })
    }

    /// Reads everything up to `until`; `pause` is called now and then.
    pub(super) fn drain(
        &mut self,
        until: u64,
        parser: &mut Parser,
        pause: &mut dyn FnMut(&mut Parser),
    ) -> io::Result<()> {
        let Self { decoder, symbols, processors, merge } = self;
        merge.look(processors);
        while merge.row(processors, until, |processor, found| {
            feed::loss(parser, found.lost);
            if let Some(record) = decoder.decode(processor.event(found)) {
                feed::call(parser, processor.number, found.time, record, symbols);
            }
        }) {
            pause(parser);
        }
        processors.iter_mut().find_map(|processor| processor.failed.take()).map_or(Ok(()), Err)
    }
}

/// Of the buffer, where somebody may have chosen another than the machine's page (since 6.8).
fn page_size(buffer: &Tracefs, header: HeaderPage) -> usize {
    let chosen = buffer.value("buffer_subbuf_size_kb").ok().and_then(|kib| kib.parse::<usize>().ok());
    chosen.map_or(header.data.offset + header.data.size, |kib| kib << 10)
}

#[derive(Debug)]
struct Processor {
    number: u32,
    pipe: File,
    shape: Shape,
    page: Vec<u8>,
    /// Of the page, what was read.
    filled: usize,
    cursor: Cursor,
    /// Loss to be told with the next event.
    lost: u64,
    /// Looks for which it is left alone.
    absent: u32,
    failed: Option<io::Error>,
}

impl Processor {
    fn open(buffer: &Tracefs, number: u32, shape: Shape) -> Result<Self, super::FtraceError> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NONBLOCK);
        let pipe = buffer.open(&format!("per_cpu/cpu{number}/trace_pipe_raw"), &options)?;
        let (page, cursor) = (vec![0; shape.size], Cursor::default());
        Ok(Self { number, pipe, shape, page, filled: 0, cursor, lost: 0, absent: 0, failed: None })
    }

    /// `false` when there is no page, or none yet. A page that is still being written is handed out as far as it is.
    fn read(&mut self) -> bool {
        if self.absent > 0 {
            self.absent -= 1;
            return false;
        }
        self.filled = loop {
            match self.pipe.read(&mut self.page) {
                Ok(filled) => break filled,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Possible and never online: it has no buffer (`ring_buffer_alloc_read_page()`).
                Err(error) if error.raw_os_error() == Some(libc::ENODEV) => self.absent = LOOKS_WITHOUT,
                Err(error) => self.failed = Some(error),
            }
            break 0;
        };
        let Some(opened) = self.shape.open(&self.page[..self.filled]) else {
            self.cursor = Cursor::default();
            return false;
        };
        self.cursor = opened.cursor;
        self.lost += opened.lost + u64::from(opened.cut);
        true
    }
}

impl Run for Processor {
    fn cpu(&self) -> u32 {
        self.number
    }

    fn next(&mut self) -> Option<Found> {
        loop {
            match self.cursor.next(self.shape.words, &self.page[..self.filled]) {
                Step::Event { time, start, end } => {
                    return Some(Found { time, lost: std::mem::take(&mut self.lost), start, end });
                }
                Step::End => {}
                Step::Broken => self.lost += 1,
            }
            if !self.read() {
                return None;
            }
        }
    }

    fn event(&self, found: Found) -> &[u8] {
        self.page.get(found.start..found.end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::ring_buffer::made::Page;
    use crate::capture::trace_dat::made::{ENTRY, EXIT, HEADER_PAGE, enter, exit};
    use crate::model::Graph;
    use std::fs;
    use std::path::Path;

    const MOUNT: u64 = 0x1000;
    const COUNT: u64 = 0x2000;
    /// A function is recorded where it calls the tracer.
    const CALL: u64 = 4;

    fn names() -> Symbols {
        Symbols::of([(MOUNT, "__x64_sys_mount"), (COUNT, "count_mounts")])
    }

    fn put(root: &Path, file: &str, bytes: impl AsRef<[u8]>) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// A buffer of so many processors.
    fn buffer(pages: &[Vec<Page>]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        put(dir.path(), "events/ftrace/funcgraph_entry/format", ENTRY);
        put(dir.path(), "events/ftrace/funcgraph_exit/format", EXIT);
        put(dir.path(), "events/header_page", HEADER_PAGE);
        for (cpu, pages) in pages.iter().enumerate() {
            let bytes: Vec<u8> = pages.iter().flat_map(|page| page.clone().bytes()).collect();
            put(dir.path(), &format!("per_cpu/cpu{cpu}/trace_pipe_raw"), bytes);
        }
        dir
    }

    fn open(dir: &tempfile::TempDir, symbols: Symbols) -> Result<Pages, String> {
        let top = Tracefs::at(dir.path());
        Pages::open(&top, &top, symbols)
    }

    fn drain(pages: &mut Pages, parser: &mut Parser, until: u64) -> Vec<Graph> {
        let mut graphs = Vec::new();
        pages.drain(until, parser, &mut |parser| graphs.extend(parser.take())).unwrap();
        graphs
    }

    /// A call that began on the second processor and ended on the first.
    fn moved() -> tempfile::TempDir {
        let words = WORDS;
        let first = Page::new(words, 300)
            .event(0, &exit(7, COUNT + CALL, 1, 50, -28i64 as u64))
            .event(100, &exit(7, MOUNT + CALL, 0, 300, -28i64 as u64));
        let second = Page::new(words, 100)
            .event(0, &enter(7, MOUNT + CALL, 0, 0))
            .event(50, &enter(7, COUNT + CALL, 1, 0));
        buffer(&[vec![first], vec![second]])
    }

    #[test]
    fn a_thread_that_moved_inside_a_call_is_followed() {
        let mut pages = open(&moved(), names()).unwrap();
        let graphs = drain(&mut pages, &mut Parser::default(), u64::MAX);
        let [graph] = &graphs[..] else { panic!("{graphs:?}") };
        assert_eq!((graph.tid, graph.start_ns, graph.end_ns), (7, 100, Some(400)));
        assert_eq!((graph.root.name.as_str(), graph.root.hole), ("__x64_sys_mount", false));
        let inner = &graph.root.children[0];
        assert_eq!((inner.name.as_str(), inner.ret.map(|ret| ret as i64)), ("count_mounts", Some(-28)));
        assert_eq!(inner.duration_ns, Some(50));
    }

    #[test]
    fn what_is_later_than_the_look_waits_for_the_next() {
        let mut pages = open(&moved(), names()).unwrap();
        let mut parser = Parser::default();
        assert_eq!(drain(&mut pages, &mut parser, 399), []);
        assert_eq!(drain(&mut pages, &mut parser, 400).len(), 1);
    }

    #[test]
    fn lost_events_leave_a_hole() {
        let page = Page::new(WORDS, 100).event(0, &enter(7, MOUNT + CALL, 0, 0));
        let after = Page::new(WORDS, 200).event(0, &exit(7, MOUNT + CALL, 0, 100, 0)).lost(Some(12));
        let mut pages = open(&buffer(&[vec![page, after]]), names()).unwrap();
        let graphs = drain(&mut pages, &mut Parser::default(), u64::MAX);
        assert_eq!(
            graphs.iter().map(|graph| (graph.lost, graph.root.hole)).collect::<Vec<_>>(),
            [(12, true)]
        );
    }

    #[test]
    fn without_names_or_descriptions_the_text_is_read() {
        let dir = moved();
        assert!(open(&dir, Symbols::default()).unwrap_err().contains("hidden"));
        fs::remove_file(dir.path().join("events/header_page")).unwrap();
        assert!(open(&dir, names()).is_err());
        fs::remove_dir_all(dir.path().join("events/ftrace")).unwrap();
        assert!(open(&dir, names()).unwrap_err().contains("records"));
    }
}
