//! The ring buffer as something to wait for.

use aya::maps::{MapData, RingBuf};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Reads records and, inside a tokio runtime, waits for them.
pub struct RingReader {
    /// Created by the first wait, because only then a runtime must exist. Before `ring`, so that it is
    /// dropped first.
    readable: Option<AsyncFd<RingFd>>,
    ring: RingBuf<MapData>,
    /// Something arrived and has not been drained yet: the kernel signals only a reader that has caught
    /// up (kernel/bpf/ringbuf.c `bpf_ringbuf_commit`), so waiting now could be waiting forever.
    undrained: bool,
}

/// The ring's descriptor, borrowed from the `RingBuf` beside it.
struct RingFd(RawFd);

impl AsRawFd for RingFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl RingReader {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { readable: None, ring, undrained: false }
    }

    /// Waits until there is something to read. Can be dropped at any await without losing anything.
    pub async fn ready(&mut self) -> io::Result<()> {
        if self.undrained {
            return Ok(());
        }
        let readable = match &mut self.readable {
            Some(readable) => readable,
            none => {
                let fd = RingFd(self.ring.as_raw_fd());
                // SAFETY: the descriptor belongs to `self.ring`, which lives as long as this and is neither
                // replaced nor closed before; field order drops the registration first.
                let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::READABLE) };
                none.insert(registered.map_err(io::Error::from)?)
            }
        };
        // Cleared before the drain: whatever is committed afterwards is either found by the drain, which
        // goes on until the ring is empty, or signalled again because the reader had caught up.
        readable.readable_mut().await?.clear_ready();
        self.undrained = true;
        Ok(())
    }

    /// Hands every record to `each` until the ring is empty.
    pub fn drain(&mut self, mut each: impl FnMut(&[u8])) {
        while let Some(record) = self.ring.next() {
            each(&record);
        }
        self.undrained = false;
    }
}
