//! The keys that leave a container running: found in the stream of what is typed, also when it comes in pieces.

use std::str::FromStr;

/// A sequence of key strokes, by default Ctrl-P Ctrl-Q as docker has it. An empty one never matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetachKeys(Vec<u8>);

impl Default for DetachKeys {
    fn default() -> Self {
        DetachKeys(vec![16, 17])
    }
}

impl DetachKeys {
    /// No keys: the caller stays until the end.
    #[must_use]
    pub fn none() -> DetachKeys {
        DetachKeys(Vec::new())
    }
}

impl FromStr for DetachKeys {
    type Err = String;

    /// Keys with commas between them: one character each, or `ctrl-` and a letter or one of `@ [ \ ] ^ _`.
    fn from_str(text: &str) -> Result<Self, String> {
        let key = |key: &str| {
            let bytes = key.as_bytes();
            match (key.strip_prefix("ctrl-").map(str::as_bytes), bytes) {
                // A control character is the letter without its upper bits, ascii(7).
                (Some([letter]), _) if letter.is_ascii_lowercase() || b"@[\\]^_".contains(letter) => {
                    Ok(letter & 0x1f)
                }
                (None, [plain]) => Ok(*plain),
                _ => Err(format!("{key:?} is no key, like a or ctrl-p")),
            }
        };
        let keys = text.split(',').filter(|part| !part.is_empty()).map(key);
        Ok(DetachKeys(keys.collect::<Result<_, _>>()?))
    }
}

/// Reads along.
#[derive(Debug)]
pub(crate) struct Scanner {
    keys: DetachKeys,
    /// How many of the keys have been typed in a row; they are held back.
    matched: usize,
}

impl Scanner {
    pub(crate) fn new(keys: DetachKeys) -> Scanner {
        Scanner { keys, matched: 0 }
    }

    /// What of `typed` is meant for the container, and whether the keys were completed.
    pub(crate) fn pass(&mut self, typed: &[u8]) -> (Vec<u8>, bool) {
        let keys = &self.keys.0;
        if keys.is_empty() {
            return (typed.to_vec(), false);
        }
        let mut meant = Vec::with_capacity(typed.len() + self.matched);
        for byte in typed {
            if *byte != keys[self.matched] {
                // What was held back was no detaching after all; this key may be the first of another try.
                meant.extend_from_slice(&keys[..self.matched]);
                self.matched = 0;
            }
            if *byte != keys[self.matched] {
                meant.push(*byte);
                continue;
            }
            self.matched += 1;
            if self.matched == keys.len() {
                return (meant, true);
            }
        }
        (meant, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_pieces_and_near_misses_pass() {
        let mut scanner = Scanner::new(DetachKeys::default());
        assert_eq!(scanner.pass(b"ls\n"), (b"ls\n".to_vec(), false));
        assert_eq!(scanner.pass(&[16]), (vec![], false));
        assert_eq!(scanner.pass(b"x"), (vec![16, b'x'], false));
        assert_eq!(scanner.pass(&[16, 16]), (vec![16], false));
        assert_eq!(scanner.pass(&[17, b'z']), (vec![], true));
        let mut never = Scanner::new(DetachKeys::none());
        assert_eq!(never.pass(&[16, 17]), (vec![16, 17], false));
    }

    #[test]
    fn dockers_spelling_is_understood() {
        assert_eq!("ctrl-p,ctrl-q".parse(), Ok(DetachKeys::default()));
        assert_eq!("ctrl-\\,a".parse(), Ok(DetachKeys(vec![28, b'a'])));
        assert_eq!("".parse(), Ok(DetachKeys::none()));
        for bad in ["ctrl-", "ctrl-P", "ctrl-pp", "ab"] {
            assert!(bad.parse::<DetachKeys>().is_err(), "{bad}");
        }
    }
}
