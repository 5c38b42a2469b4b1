//! The function an address belongs to, from /proc/kallsyms, recorded or of the running kernel.

/// Lines of kallsyms, the functions in the order of their addresses.
#[derive(Debug, Default)]
pub(in crate::capture) struct Symbols {
    text: String,
    /// Address; begin and length of the name in `text`.
    functions: Vec<(u64, u32, u16)>,
    /// `__irqentry_text_start` to `__irqentry_text_end`: what is entered here serves an interrupt.
    interrupts: std::ops::Range<u64>,
    /// What was asked for lately, by its address' lower bits.
    lately: Vec<(u64, u32)>,
}

/// Addresses remembered: more than a traced path has functions.
const LATELY: usize = 8192;

impl Symbols {
    pub(in crate::capture) fn parse(text: String) -> Self {
        let mut functions = Vec::with_capacity(text.len() / 40);
        let mut interrupts = 0..0;
        let mut begin = 0;
        for line in text.split_inclusive('\n') {
            let at = begin;
            begin += line.len();
            let Some((address, kind, name)) = parse(line) else { continue };
            match name {
                "__irqentry_text_start" => interrupts.start = address,
                "__irqentry_text_end" => interrupts.end = address,
                _ => {}
            }
            // Data lies elsewhere; addresses of 0 are what those may see who may not see them (kptr_restrict).
            if !matches!(kind, b't' | b'T' | b'w' | b'W') || address == 0 {
                continue;
            }
            let from = at + (name.as_ptr() as usize - line.as_ptr() as usize);
            if let (Ok(from), Ok(length)) = (u32::try_from(from), u16::try_from(name.len())) {
                functions.push((address, from, length));
            }
        }
        // Of several names of one address the kernel prints the first, so the sort is stable.
        functions.sort_by_key(|(address, ..)| *address);
        functions.dedup_by_key(|(address, ..)| *address);
        Self { text, functions, interrupts, lately: vec![(0, u32::MAX); LATELY] }
    }

    /// Only these functions: what a tracer was told to trace.
    pub(in crate::capture) fn of<'a>(functions: impl IntoIterator<Item = (u64, &'a str)>) -> Self {
        let lines = functions.into_iter().map(|(address, name)| format!("{address:016x} t {name}\n"));
        Self::parse(lines.collect())
    }

    pub(in crate::capture) fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    pub(in crate::capture) fn is_interrupt(&self, address: u64) -> bool {
        self.interrupts.contains(&address)
    }

    /// An index for [`Symbols::name`].
    #[inline]
    pub(in crate::capture) fn find(&mut self, address: u64) -> Option<u32> {
        // Functions begin at multiples of 16.
        let place = (address >> 4) as usize % LATELY;
        if let Some((known, index)) = self.lately.get(place)
            && *known == address
        {
            return (*index != u32::MAX).then_some(*index);
        }
        let after = self.functions.partition_point(|(start, ..)| *start <= address);
        let index = u32::try_from(after.checked_sub(1)?).ok()?;
        if let Some(place) = self.lately.get_mut(place) {
            *place = (address, index);
        }
        Some(index)
    }

    #[inline]
    pub(in crate::capture) fn name(&self, index: u32) -> &str {
        let name = |(_, from, length): &(u64, u32, u16)| {
            self.text.get(*from as usize..*from as usize + usize::from(*length))
        };
        self.functions.get(index as usize).and_then(name).unwrap_or("?")
    }
}

/// `ffffffff81000000 T _text` or `ffffffffc0000000 t f\t[module]`.
fn parse(line: &str) -> Option<(u64, u8, &str)> {
    let (address, rest) = line.split_once(' ')?;
    let (kind, name) = rest.split_once(' ')?;
    let name = name.split(['\t', '\n', ' ']).next()?;
    let kind = *kind.as_bytes().first()?;
    (!name.is_empty()).then_some((u64::from_str_radix(address, 16).ok()?, kind, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_function_an_address_lies_in() {
        let mut symbols = Symbols::parse(
            "0000000000001000 T a\n0000000000001000 T also_a\n0000000000000900 t first\t[mod]\nxx\n\
             0000000000001008 d data\n0000000000002000 T __irqentry_text_start\n0000000000002000 t sysvec\n\
             0000000000002100 T __irqentry_text_end\n0000000000003000 W last\n"
                .to_owned(),
        );
        let mut name = |address| symbols.find(address).map(|index| symbols.name(index).to_owned());
        for _ in 0..2 {
            assert_eq!(name(0x8ff), None);
            assert_eq!(name(0x900).as_deref(), Some("first"));
            assert_eq!(name(0x1000).as_deref(), Some("a"));
            assert_eq!(name(0x1009).as_deref(), Some("a"));
            assert_eq!(name(u64::MAX).as_deref(), Some("last"));
        }
        assert!(symbols.is_interrupt(0x2000) && !symbols.is_interrupt(0x2100));
        assert!(Symbols::parse("0000000000000000 T a\n".to_owned()).is_empty());
        // A traced function is known by the place of its call of the tracer, behind an `endbr64`.
        let mut few = Symbols::of([(0x2000, "later"), (0x1000, "a.isra.0")]);
        let found = few.find(0x1004);
        assert_eq!(found.map(|index| few.name(index)), Some("a.isra.0"));
        assert_eq!(Symbols::default().find(1), None);
    }
}
