//! Ids and names that nobody chose: 64 hexadecimal digits from getrandom(2), and two words.

use std::fmt::Write as _;

use nix::errno::Errno;

/// Fill `bytes` from the kernel's random number generator.
fn random(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: the pointer and length describe `rest`, which the kernel fills.
        match unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) } {
            n if n > 0 => filled += n as usize,
            // getrandom(2) with no flags fails only when a signal interrupts it before the pool is ready.
            _ => debug_assert_eq!(Errno::last(), Errno::EINTR),
        }
    }
}

/// A new container id: 64 lower-case hexadecimal digits.
pub(crate) fn container_id() -> String {
    let mut bytes = [0; 32];
    random(&mut bytes);
    hex(&bytes)
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether `text` could be the start of an id.
pub(crate) fn is_id_prefix(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// A name to propose for a container; later attempts are made unique by a number.
pub(crate) fn proposed_name(attempt: u32) -> String {
    let mut bytes = [0; 4];
    random(&mut bytes);
    let quality = QUALITIES[usize::from(bytes[0]) % QUALITIES.len()];
    let thing = THINGS[usize::from(bytes[1]) % THINGS.len()];
    match attempt {
        0 => format!("{quality}_{thing}"),
        _ => format!("{quality}_{thing}_{}", u16::from_le_bytes([bytes[2], bytes[3]])),
    }
}

const QUALITIES: [&str; 24] = [
    "amber", "bold", "brisk", "calm", "clear", "cosy", "deft", "eager", "fair", "fleet", "frank", "glad",
    "keen", "kind", "lucid", "merry", "neat", "plain", "quiet", "ready", "sober", "swift", "warm", "wise",
];

const THINGS: [&str; 24] = [
    "anchor", "barge", "beacon", "buoy", "cargo", "crane", "crate", "dock", "ferry", "gull", "harbour",
    "hull", "jetty", "keel", "lantern", "mast", "pier", "quay", "raft", "rudder", "sail", "tide", "tug",
    "wharf",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_long_and_different() {
        let (a, b) = (container_id(), container_id());
        assert_eq!(a.len(), 64);
        assert!(is_id_prefix(&a) && a != b);
        assert!(!is_id_prefix("") && !is_id_prefix("XYZ"));
    }
}
