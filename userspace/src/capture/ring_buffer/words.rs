//! Numbers in the byte order and the word size of the machine that wrote them.

use serde::{Deserialize, Serialize};

/// How a machine writes numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::capture) struct Words {
    pub(in crate::capture) big_endian: bool,
    /// Of the kernel's `long`.
    pub(in crate::capture) long: usize,
}

impl Words {
    /// The number in `bytes`, which is 1, 2, 4 or 8 of them; `None` for any other length.
    #[inline]
    pub(in crate::capture) fn number(self, bytes: &[u8]) -> Option<u64> {
        Some(match (bytes.len(), self.big_endian) {
            (8, false) => u64::from_le_bytes(bytes.try_into().ok()?),
            (8, true) => u64::from_be_bytes(bytes.try_into().ok()?),
            (4, false) => u32::from_le_bytes(bytes.try_into().ok()?).into(),
            (4, true) => u32::from_be_bytes(bytes.try_into().ok()?).into(),
            (2, false) => u16::from_le_bytes(bytes.try_into().ok()?).into(),
            (2, true) => u16::from_be_bytes(bytes.try_into().ok()?).into(),
            (1, _) => bytes[0].into(),
            _ => return None,
        })
    }

    /// The number of `size` bytes at `at`, if it lies inside.
    #[inline]
    pub(in crate::capture) fn at(self, bytes: &[u8], at: usize, size: usize) -> Option<u64> {
        self.number(bytes.get(at..at.checked_add(size)?)?)
    }

    #[inline]
    pub(in crate::capture) fn u32_at(self, bytes: &[u8], at: usize) -> Option<u32> {
        let four = bytes.get(at..)?.first_chunk::<4>()?;
        Some(if self.big_endian { u32::from_be_bytes(*four) } else { u32::from_le_bytes(*four) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_orders() {
        let (little, big) = (Words { big_endian: false, long: 8 }, Words { big_endian: true, long: 4 });
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(little.at(&bytes, 1, 2), Some(0x0302));
        assert_eq!(big.at(&bytes, 1, 2), Some(0x0203));
        assert_eq!(little.number(&bytes), Some(0x0807_0605_0403_0201));
        assert_eq!((big.u32_at(&bytes, 4), big.at(&bytes, 4, 4)), (Some(0x0506_0708), Some(0x0506_0708)));
        assert_eq!(
            (little.u32_at(&bytes, 5), little.at(&bytes, 7, 2), little.at(&bytes, 0, 3)),
            (None, None, None)
        );
        assert_eq!(little.at(&bytes, usize::MAX, 8), None);
    }
}
