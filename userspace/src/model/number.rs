//! Numbers for people.

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_grouped() {
        assert_eq!(spaced(7), "7");
        assert_eq!(spaced(1000), "1 000");
        assert_eq!(spaced(1_234_567), "1 234 567");
    }
}
