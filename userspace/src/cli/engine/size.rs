//! Amounts on the command line: `64m` of memory, `1.5` cpus.

/// Bytes, with k, m or g for powers of 1024.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches('b').trim_end_matches(['k', 'm', 'g']);
    let shift = match lower.trim_end_matches('b').strip_prefix(digits) {
        Some("") => 0,
        Some("k") => 10,
        Some("m") => 20,
        Some("g") => 30,
        _ => return Err("one of k, m, g may follow the number".to_owned()),
    };
    let count: u64 = digits.parse().map_err(|_| format!("{text:?} is no number of bytes, like 64m"))?;
    count.checked_mul(1 << shift).ok_or_else(|| format!("{text} is too much"))
}

/// Thousandths of a CPU, from a decimal number of CPUs.
pub(super) fn cpu_millis(text: &str) -> Result<u32, String> {
    let cpus: f64 = text.parse().map_err(|_| format!("{text:?} is no number of cpus, like 1.5"))?;
    match cpus.is_finite() && (0.01..=100_000.0).contains(&cpus) {
        true => Ok((cpus * 1000.0).round() as u32),
        false => Err("at least 0.01 cpus".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_understood() {
        assert_eq!(bytes("512"), Ok(512));
        assert_eq!(bytes("64m"), Ok(64 << 20));
        assert_eq!(bytes("1Gb"), Ok(1 << 30));
        for bad in ["", "m", "1x", "1kk", "99999999999g", "-1"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        assert_eq!(cpu_millis("1.5"), Ok(1500));
        assert!(cpu_millis("0").is_err() && cpu_millis("nan").is_err());
    }
}
