//! The word to a fault that it may repeat the call that was refused: once its path is probed, or at once without
//! repeating anything where that would tell nothing new.

use crate::pipeline::Closer;
use crate::repro::{AGAIN, READY};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;

/// Our end of the line to the fault; closing it is the word to end.
pub(in crate::cli) struct Again {
    line: UnixStream,
    heard: Vec<u8>,
}

impl Again {
    pub(in crate::cli) fn over(line: UnixStream) -> std::io::Result<Self> {
        line.set_nonblocking(true)?;
        Ok(Self { line, heard: Vec::new() })
    }

    /// To be called after every turn of the pipeline. Keeps quiet as long as the fault, or what looks at it, is not so
    /// far; `None` when all is said.
    pub(super) fn advise(mut self, closer: Closer) -> Option<Self> {
        // What was refused before it was heard of has been taken in only after the turn that follows.
        let was_ready = self.is_ready();
        self.listen()?;
        match closer {
            _ if !was_ready => Some(self),
            Closer::NotYet => Some(self),
            Closer::No => None,
            Closer::Now => {
                // A fault that is gone needs no word.
                let _ = self.line.write_all(AGAIN.as_bytes());
                None
            }
        }
    }

    /// Whether the fault was refused and waits.
    fn is_ready(&self) -> bool {
        self.heard.ends_with(READY.as_bytes())
    }

    /// `None` when the fault is gone.
    fn listen(&mut self) -> Option<()> {
        let mut bytes = [0; 64];
        match self.line.read(&mut bytes) {
            Ok(0) => return None,
            Ok(read) => self.heard.extend_from_slice(&bytes[..read]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};

    #[test]
    fn the_word_comes_when_both_are_so_far() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let again = Again::over(ours).unwrap();
        let again = again.advise(Closer::No).expect("nothing was refused yet");
        let again = again.advise(Closer::Now).expect("another path is probed, and the fault is not ready");
        theirs.write_all(READY.as_bytes()).unwrap();
        let again = again.advise(Closer::Now).expect("what it was refused is not taken in yet");
        let again = again.advise(Closer::NotYet).expect("its path is not probed yet");
        assert!(again.advise(Closer::Now).is_none());
        let mut word = String::new();
        BufReader::new(theirs).read_line(&mut word).unwrap();
        assert_eq!(word, AGAIN);
    }

    #[test]
    fn a_fault_that_needs_no_second_look_is_let_go() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let again = Again::over(ours).unwrap();
        theirs.write_all(READY.as_bytes()).unwrap();
        let again = again.advise(Closer::No).expect("what it was refused is not taken in yet");
        assert!(again.advise(Closer::No).is_none());
        let mut word = String::new();
        assert_eq!(BufReader::new(theirs).read_line(&mut word).unwrap(), 0);
    }
}
