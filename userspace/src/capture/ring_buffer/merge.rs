//! Events of several processors in the order of their times.
//!
//! Each processor has a buffer of its own, so a thread that moved in the middle of a call left its events in two of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// An event, and where it lies in [`Run::event`].
#[derive(Debug, Clone, Copy)]
pub(in crate::capture) struct Found {
    pub(in crate::capture) time: u64,
    /// Events lost just before it.
    pub(in crate::capture) lost: u64,
    pub(in crate::capture) start: usize,
    pub(in crate::capture) end: usize,
}

/// One processor's events.
pub(in crate::capture) trait Run {
    fn cpu(&self) -> u32;
    /// The next one; `None` when there is none, or none yet.
    fn next(&mut self) -> Option<Found>;
    /// The bytes of the one that came last.
    fn event(&self, found: Found) -> &[u8];
}

/// The first event of each run that was not handed out yet.
#[derive(Debug, Default)]
pub(in crate::capture) struct Merge {
    heads: Vec<Option<Found>>,
    order: BinaryHeap<Reverse<(u64, usize)>>,
}

impl Merge {
    /// Asks the runs that had nothing.
    pub(in crate::capture) fn look<R: Run>(&mut self, runs: &mut [R]) {
        self.heads.resize(runs.len(), None);
        for (at, run) in runs.iter_mut().enumerate() {
            if self.heads[at].is_none() {
                self.heads[at] = run.next();
                self.order.extend(self.heads[at].map(|found| Reverse((found.time, at))));
            }
        }
    }

    /// Hands out the earliest event, if it is not later than `until`, and those behind it in the same run while no
    /// other run has something earlier: most events come in long rows. Of two at the same time the lower run's comes
    /// first. `false` when there was none.
    #[inline]
    pub(in crate::capture) fn row<R: Run>(
        &mut self,
        runs: &mut [R],
        until: u64,
        mut each: impl FnMut(&R, Found),
    ) -> bool {
        if self.order.peek().is_none_or(|Reverse((time, _))| *time > until) {
            return false;
        }
        let Some(Reverse((_, at))) = self.order.pop() else { return false };
        let other = self.order.peek().map_or((u64::MAX, usize::MAX), |Reverse(next)| *next);
        let limit = other.min((until, usize::MAX));
        let run = &mut runs[at];
        while let Some(found) = self.heads[at] {
            if (found.time, at) > limit {
                self.order.push(Reverse((found.time, at)));
                break;
            }
            each(run, found);
            self.heads[at] = run.next();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;

    /// Times; the byte of an event is where it came from. Nothing comes behind a gap until it is asked again.
    struct Few(u8, VecDeque<Option<u64>>);

    impl Run for Few {
        fn cpu(&self) -> u32 {
            self.0.into()
        }

        fn next(&mut self) -> Option<Found> {
            self.1.pop_front()?.map(|time| Found { time, lost: 0, start: 0, end: 1 })
        }

        fn event(&self, _: Found) -> &[u8] {
            std::slice::from_ref(&self.0)
        }
    }

    fn rows(merge: &mut Merge, runs: &mut [Few], until: u64) -> Vec<Vec<(u64, u8)>> {
        merge.look(runs);
        let mut rows = Vec::new();
        loop {
            let mut row = Vec::new();
            if !merge.row(runs, until, |run, found| row.push((found.time, run.event(found)[0]))) {
                return rows;
            }
            rows.push(row);
        }
    }

    #[test]
    fn the_earliest_comes_first_and_of_two_the_lower_runs() {
        let times = |times: &[u64]| times.iter().map(|time| Some(*time)).collect();
        let mut runs = [Few(0, times(&[1, 2, 5])), Few(1, times(&[2, 3, 9])), Few(2, VecDeque::new())];
        let all = rows(&mut Merge::default(), &mut runs, u64::MAX);
        assert_eq!(all, [vec![(1, 0), (2, 0)], vec![(2, 1), (3, 1)], vec![(5, 0)], vec![(9, 1)]]);
    }

    #[test]
    fn what_is_later_than_the_look_waits_for_the_next() {
        // While the second run is read, the first one's event of time 4 may still be on its way.
        let mut runs = [Few(0, [Some(1), None, Some(4)].into()), Few(1, [Some(2), Some(6)].into())];
        let mut merge = Merge::default();
        assert_eq!(rows(&mut merge, &mut runs, 3), [vec![(1, 0)], vec![(2, 1)]]);
        assert_eq!(rows(&mut merge, &mut runs, 9), [vec![(4, 0)], vec![(6, 1)]]);
    }
}
