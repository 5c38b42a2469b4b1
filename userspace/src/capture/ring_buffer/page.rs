//! One page of the kernel's ring buffer, event by event (kernel/trace/ring_buffer.c, include/linux/ring_buffer.h).
//!
//! A page is a time, a length with two flags, and events. An event's first word holds a kind in five bits
//! and the time since the event before in 27.

use super::format::HeaderPage;
use super::words::Words;

/// `ring_buffer_type_data_type_len_max` and what follows it in enum ring_buffer_type.
const PADDING: u32 = 29;
const TIME_EXTEND: u32 = 30;
const TIME_STAMP: u32 = 31;
/// Bits of the time since the event before.
const DELTA_BITS: u32 = 27;
/// An absolute time has 59 bits; the rest is that of the time before.
const TIME_STAMP_BITS: u64 = (1 << 59) - 1;

/// RB_MISSED_EVENTS, RB_MISSED_STORED and the length below them.
const MISSED: u64 = 1 << 31;
const MISSED_STORED: u64 = 1 << 30;
const LENGTH: u64 = (1 << 27) - 1;

/// How the pages of one buffer are made.
#[derive(Debug, Clone, Copy)]
pub(in crate::capture) struct Shape {
    pub(in crate::capture) words: Words,
    pub(in crate::capture) header: HeaderPage,
    /// Of a page, its header included: several of the machine's pages since 6.8, if somebody said so.
    pub(in crate::capture) size: usize,
}

/// Where in a page the reader is. It holds no bytes, so that pages can lie in a buffer that is used again.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::capture) struct Cursor {
    at: usize,
    end: usize,
    time: u64,
}

/// How a page begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::capture) struct Opened {
    pub(in crate::capture) cursor: Cursor,
    /// Events that were lost before it; at least one where the kernel did not count them.
    pub(in crate::capture) lost: u64,
    /// The page says that it holds more than there is.
    pub(in crate::capture) cut: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) enum Step {
    /// An event and where its bytes lie in the page.
    Event {
        time: u64,
        start: usize,
        end: usize,
    },
    End,
    /// Not a ring buffer's page from here on.
    Broken,
}

impl Shape {
    /// `None` when there is not even a header.
    pub(in crate::capture) fn open(&self, page: &[u8]) -> Option<Opened> {
        let time = self.header.timestamp.of(self.words, page)?;
        let commit = self.header.commit.of(self.words, page)?;
        let start = self.header.data.offset;
        let claimed = start.saturating_add((commit & LENGTH) as usize);
        let end = claimed.min(page.len());
        let lost = match (commit & MISSED != 0, commit & MISSED_STORED != 0) {
            (false, _) => 0,
            (true, false) => 1,
            (true, true) => self.words.at(page, end, self.header.commit.size).unwrap_or(1),
        };
        Some(Opened { cursor: Cursor { at: start, end, time }, lost, cut: claimed > page.len() })
    }
}

impl Cursor {
    /// The next event of the page that was opened.
    #[inline]
    pub(in crate::capture) fn next(&mut self, words: Words, page: &[u8]) -> Step {
        while self.at < self.end {
            let Some(word) = words.u32_at(page, self.at) else { return self.broken() };
            let (kind, delta) = if words.big_endian {
                (word >> DELTA_BITS, u64::from(word & ((1 << DELTA_BITS) - 1)))
            } else {
                (word & 31, u64::from(word >> 5))
            };
            let second = |at: usize| words.u32_at(page, at + 4);
            let (start, length) = match kind {
                // Its length counts its own word; without one the rest of the page is empty.
                PADDING if delta == 0 => break,
                PADDING => {
                    let Some(length) = second(self.at) else { return self.broken() };
                    self.time = self.time.wrapping_add(delta);
                    self.at = self.at.saturating_add(4).saturating_add(length as usize);
                    continue;
                }
                TIME_EXTEND | TIME_STAMP => {
                    let Some(high) = second(self.at) else { return self.broken() };
                    let value = (u64::from(high) << DELTA_BITS) | delta;
                    self.time = if kind == TIME_EXTEND {
                        self.time.wrapping_add(value)
                    } else {
                        (self.time & !TIME_STAMP_BITS) | (value & TIME_STAMP_BITS)
                    };
                    self.at += 8;
                    continue;
                }
                // Too long for the first word; its length counts the word it is in.
                0 => match second(self.at) {
                    Some(length) if length >= 4 => (self.at + 8, (length as usize - 4).next_multiple_of(4)),
                    _ => return self.broken(),
                },
                words => (self.at + 4, 4 * words as usize),
            };
            let end = start.saturating_add(length);
            if end > self.end {
                return self.broken();
            }
            self.time = self.time.wrapping_add(delta);
            self.at = end;
            return Step::Event { time: self.time, start, end };
        }
        Step::End
    }

    fn broken(&mut self) -> Step {
        self.at = self.end;
        Step::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::ring_buffer::made;

    const LITTLE: Words = Words { big_endian: false, long: 8 };
    const BIG: Words = Words { big_endian: true, long: 4 };

    fn read(words: Words, page: &[u8]) -> (u64, bool, Vec<(u64, Vec<u8>)>, Step) {
        let opened = made::shape(words).open(page).unwrap();
        let mut cursor = opened.cursor;
        let mut events = Vec::new();
        loop {
            match cursor.next(words, page) {
                Step::Event { time, start, end } => events.push((time, page[start..end].to_vec())),
                last => return (opened.lost, opened.cut, events, last),
            }
        }
    }

    #[test]
    fn times_add_up() {
        for words in [LITTLE, BIG] {
            let page = made::Page::new(words, 1000)
                .event(5, &[1; 4])
                .extend(1 << 40)
                .event(0, &[2; 8])
                .discarded(7, 12)
                .event(1, &[3; 200])
                .stamp(77)
                .event(3, &[4; 4])
                .padding()
                .bytes();
            let (lost, cut, events, last) = read(words, &page);
            assert_eq!((lost, cut, last), (0, false, Step::End));
            let far = 1005 + (1 << 40);
            let times: Vec<u64> = events.iter().map(|(time, _)| *time).collect();
            assert_eq!(times, [1005, far, far + 8, 80]);
            assert_eq!(events[2].1, [3; 200]);
        }
    }

    #[test]
    fn an_absolute_time_keeps_the_bits_it_has_no_room_for() {
        let base = 0b10101 << 59;
        let page = made::Page::new(LITTLE, base | 9).stamp(77).event(1, &[0; 4]).bytes();
        assert_eq!(read(LITTLE, &page).2[0].0, base | 78);
    }

    #[test]
    fn loss_is_told_with_its_number_where_there_is_one() {
        for words in [LITTLE, BIG] {
            let page = |n| made::Page::new(words, 0).event(1, &[0; 4]).lost(n).bytes();
            assert_eq!(read(words, &page(Some(1234))).0, 1234);
            assert_eq!(read(words, &page(None)).0, 1);
        }
    }

    #[test]
    fn what_is_cut_or_wrong_ends_the_page() {
        let page = made::Page::new(LITTLE, 0).event(1, &[0; 4]).event(1, &[0; 40]).bytes();
        let (_, cut, events, last) = read(LITTLE, &page[..40]);
        assert_eq!((cut, events.len(), last), (true, 1, Step::Broken));
        assert!(made::shape(LITTLE).open(&page[..15]).is_none());
        // A length of zero would go on for ever.
        let mut wrong = made::Page::new(LITTLE, 0).event(1, &[0; 200]).bytes();
        wrong[20..24].fill(0);
        assert_eq!(read(LITTLE, &wrong).3, Step::Broken);
    }
}
