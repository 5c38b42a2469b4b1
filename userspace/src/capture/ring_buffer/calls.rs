//! Events of the function_graph tracer: what was entered and left (kernel/trace/trace_entries.h).

use super::format::{Field, Format};
use super::words::Words;

/// TRACE_FLAG_SOFTIRQ, TRACE_FLAG_HARDIRQ, TRACE_FLAG_NMI (include/linux/trace_events.h).
const SOFTIRQ: u64 = 0x10;
const HARDIRQ: u64 = 0x08;
const NMI: u64 = 0x40;

/// One entry or exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) struct Record {
    pub(in crate::capture) tid: u32,
    /// 0 for the thread's own calls; above that softirq, hardirq, NMI: what may interrupt what.
    pub(in crate::capture) context: u8,
    pub(in crate::capture) function: u64,
    pub(in crate::capture) depth: u32,
    pub(in crate::capture) what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::capture) enum What {
    Enter,
    Exit { duration_ns: Option<u64>, ret: Option<u64> },
}

/// Which events are the tracer's, and where their fields lie.
#[derive(Debug)]
pub(in crate::capture) struct Decoder {
    words: Words,
    kind: Field,
    tid: Field,
    flags: Field,
    /// By the event's number.
    known: Vec<Option<Known>>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    function: Field,
    depth: Field,
    exit: Option<Exit>,
}

#[derive(Debug, Clone, Copy)]
struct Exit {
    times: Option<(Field, Field)>,
    ret: Option<Field>,
}

impl Decoder {
    /// `None` when there is no function_graph among the formats.
    pub(in crate::capture) fn new(words: Words, formats: &[Format]) -> Option<Self> {
        let mut known = Vec::new();
        for format in formats {
            let exit = match format.name.as_str() {
                // With the caller's address since 6.13 (CONFIG_FUNCTION_GRAPH_RETADDR).
                "funcgraph_entry" | "fgraph_retaddr_entry" => None,
                "funcgraph_exit" => Some(Exit {
                    times: format.field("calltime").zip(format.field("rettime")),
                    ret: format.field("retval"),
                }),
                _ => continue,
            };
            let (Some(function), Some(depth)) = (format.field("func"), format.field("depth")) else {
                continue;
            };
            let at = usize::from(format.id);
            if known.len() <= at {
                known.resize(at + 1, None);
            }
            known[at] = Some(Known { function, depth, exit });
        }
        let common = |name| formats.iter().find_map(|format| format.field(name));
        (!known.is_empty()).then_some(())?;
        Some(Self {
            words,
            kind: common("common_type")?,
            tid: common("common_pid")?,
            flags: common("common_flags")?,
            known,
        })
    }

    /// `None` for events of others, and for what is too short to be one of ours.
    #[inline]
    pub(in crate::capture) fn decode(&self, event: &[u8]) -> Option<Record> {
        let of = |field: Field| field.of(self.words, event);
        let known = (*self.known.get(of(self.kind)? as usize)?)?;
        // The kernel's depth is an int, and -1 where it does not look.
        let depth = u32::try_from(of(known.depth)? as u32 as i32).ok()?;
        let what = known.exit.map_or(What::Enter, |exit| What::Exit {
            duration_ns: exit.times.and_then(|(call, ret)| of(ret)?.checked_sub(of(call)?)),
            ret: exit.ret.and_then(of),
        });
        Some(Record {
            tid: of(self.tid)? as u32,
            context: context(of(self.flags)?),
            function: of(known.function)?,
            depth,
            what,
        })
    }
}

fn context(flags: u64) -> u8 {
    match flags {
        flags if flags & NMI != 0 => 3,
        flags if flags & HARDIRQ != 0 => 2,
        flags if flags & SOFTIRQ != 0 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture::trace_dat::made::{ENTRY, EXIT, enter, exit};

    const WORDS: Words = Words { big_endian: false, long: 8 };

    #[test]
    fn entries_and_exits() {
        let formats = [Format::parse(ENTRY).unwrap(), Format::parse(EXIT).unwrap()];
        let decoder = Decoder::new(WORDS, &formats).unwrap();
        let entered = decoder.decode(&enter(7, 0x1000, 2, 0x08 | 0x10)).unwrap();
        assert_eq!((entered.tid, entered.function, entered.depth, entered.context), (7, 0x1000, 2, 2));
        let left = decoder.decode(&exit(7, 0x1000, 2, 250, 0xffff_ffe4)).unwrap();
        assert_eq!(left.what, What::Exit { duration_ns: Some(250), ret: Some(0xffff_ffe4) });
        assert_eq!(decoder.decode(&enter(7, 1, -1, 0)), None);
        assert_eq!(decoder.decode(&[99, 0, 0, 0, 1, 0, 0, 0]), None);
        assert_eq!(decoder.decode(&enter(7, 1, 0, 0)[..10]), None);
        assert!(Decoder::new(WORDS, &[Format::parse("name: x\nID: 1\n").unwrap()]).is_none());
    }
}
