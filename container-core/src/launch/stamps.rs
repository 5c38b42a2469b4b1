//! When the container's first process took which step. It can call nobody between clone(2) and execve(2), so it notes the
//! time, and its last word before the workload carries the notes.

use crate::clock;
use crate::steps::Step;

/// More steps are not noted; a start marks some twenty.
const MOST: usize = 32;

/// Bytes of one note: a step's number, and CLOCK_MONOTONIC in nanoseconds.
const NOTE: usize = 2 + 8;

/// Bytes of all notes in a report: their count, and room for each.
pub(super) const SIZE: usize = 1 + MOST * NOTE;

/// The notes; of a fixed size, for nothing may be allocated where they are taken.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamps {
    bytes: [u8; SIZE],
}

impl Stamps {
    pub(crate) fn new() -> Stamps {
        Stamps { bytes: [0; SIZE] }
    }

    /// From here on it is at this step. clock_gettime(2) is on the list of signal-safety(7).
    pub(crate) fn mark(&mut self, step: Step) {
        let count = usize::from(self.bytes[0]);
        if count == MOST {
            return;
        }
        let at = 1 + count * NOTE;
        self.bytes[at..at + 2].copy_from_slice(&(step as u16).to_ne_bytes());
        self.bytes[at + 2..at + NOTE].copy_from_slice(&clock::monotonic_ns().to_ne_bytes());
        self.bytes[0] += 1;
    }

    pub(super) fn bytes(&self) -> &[u8; SIZE] {
        &self.bytes
    }

    /// The notes in a report, in order.
    pub(super) fn read(bytes: &[u8]) -> Vec<(Step, u64)> {
        let count = bytes.first().map_or(0, |count| usize::from(*count));
        let notes = bytes.get(1..).unwrap_or_default().chunks_exact(NOTE).take(count);
        let read = |note: &[u8]| {
            let step = Step::from_number(u16::from_ne_bytes(note.get(..2)?.try_into().ok()?))?;
            Some((step, u64::from_ne_bytes(note.get(2..)?.try_into().ok()?)))
        };
        notes.filter_map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_come_back_in_order_and_are_bounded() {
        let mut stamps = Stamps::new();
        stamps.mark(Step::JoinCgroup);
        (0..100).for_each(|_| stamps.mark(Step::PivotRoot));
        let read = Stamps::read(stamps.bytes());
        assert_eq!((read.len(), read[0].0, read[1].0), (MOST, Step::JoinCgroup, Step::PivotRoot));
        assert!(read.is_sorted_by_key(|(_, ns)| *ns));
        assert_eq!(Stamps::read(&[]), []);
    }
}
