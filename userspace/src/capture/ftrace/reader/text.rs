//! `trace_pipe`: the kernel prints every event and merges the processors by time.
//!
//! On newer kernels `poll` on the merged pipe waits for `buffer_percent` of the buffer to fill, so it is only read.

use crate::capture::callgraph::Parser;
use std::fs::File;
use std::io::{self, Read};

/// The kernel hands out at most a page or two at a time.
const CHUNK: usize = 16 * 1024;

#[derive(Debug)]
pub(in super::super) struct Text {
    /// Opened without blocking.
    pipe: File,
    /// The beginning of a line.
    pending: Vec<u8>,
}

impl Text {
    pub(super) fn new(pipe: File) -> Self {
        Self { pipe, pending: Vec::new() }
    }

    /// Reads until the pipe is empty; `pause` is called now and then.
    pub(super) fn drain(
        &mut self,
        parser: &mut Parser,
        pause: &mut dyn FnMut(&mut Parser),
    ) -> io::Result<()> {
        let mut chunk = [0; CHUNK];
        loop {
            match self.pipe.read(&mut chunk) {
                // End of file: tracing was switched off. It may be switched on again.
                Ok(0) => return Ok(()),
                Ok(read) => self.split(parser, &chunk[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            pause(parser);
        }
    }

    fn split(&mut self, parser: &mut Parser, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.pending.extend_from_slice(part);
            if part.ends_with(b"\n") {
                parser.feed(&String::from_utf8_lossy(&self.pending));
                self.pending.clear();
            }
        }
    }
}
