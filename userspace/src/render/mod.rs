//! Words and pictures, made last: nothing here judges, and no errno or cause is known by name.

mod called_from;
pub mod compared;
pub mod graph;
pub mod html;
pub mod json;
mod silent;
pub mod text;
pub mod theme;
pub mod trace_events;

use jiff::Timestamp;

/// RFC 3339 in UTC, to the microsecond.
pub fn rfc3339(unix_ns: i64) -> String {
    match Timestamp::from_nanosecond(i128::from(unix_ns)) {
        Ok(t) => t.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        Err(_) => format!("{unix_ns} ns"),
    }
}

/// The time of day in UTC, for lines that come as things happen.
pub fn clock(unix_ns: i64) -> String {
    rfc3339(unix_ns).get(11..19).unwrap_or_default().to_string()
}

/// `12 s ago`, for the first line of a report.
pub fn ago(unix_ns: i64, now_unix_ns: i64) -> String {
    let s = now_unix_ns.saturating_sub(unix_ns).max(0) / 1_000_000_000;
    match s {
        0 => "just now".into(),
        1..=119 => format!("{s} s ago"),
        120..=7199 => format!("{} min ago", s / 60),
        7200..=172_799 => format!("{} h ago", s / 3600),
        _ => format!("{} days ago", s / 86_400),
    }
}

/// Bytes as people write them.
fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::from("0x"), |mut out, byte| {
        let _ = write!(out, "{byte:02x}");
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_numbers_read_well() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(ago(0, 12_000_000_000), "12 s ago");
        assert_eq!(ago(0, 7_200_000_000_000), "2 h ago");
    }
}
