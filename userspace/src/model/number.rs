//! Numbers as people and the kernel write them.

use std::collections::BTreeSet;

/// `100000` as `100 000`.
pub fn spaced(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(c);
    }
    out
}

/// `0-2,5` as numbers, the kernel's own form for processors, memory nodes and ports (lib/bitmap-str.c,
/// `bitmap_parselist()`; kernel/sysctl.c, `proc_do_large_bitmap()`), none of which has more than 65 536; `None` when
/// the text is no such list. Groups of a range (`0-31:1/2`) are not read.
pub fn number_list(text: &str) -> Option<BTreeSet<u32>> {
    let mut set = BTreeSet::new();
    for part in text.trim().split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let (from, to): (u32, u32) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        if from > to || to > 1 << 16 {
            return None;
        }
        set.extend(from..=to);
    }
    Some(set)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_numbers_and_ranges() {
        assert_eq!(number_list("0-2,5\n").unwrap().into_iter().collect::<Vec<_>>(), [0, 1, 2, 5]);
        assert_eq!(number_list("").unwrap().len(), 0);
        assert!(
            number_list("3-1").is_none()
                && number_list("x").is_none()
                && number_list("0-4294967295").is_none()
        );
    }

    #[test]
    fn digits_are_grouped() {
        assert_eq!(spaced(7), "7");
        assert_eq!(spaced(1000), "1 000");
        assert_eq!(spaced(1_234_567), "1 234 567");
    }
}
