//! Signals on the command line: `TERM`, `SIGTERM`, `15`, as the engine reads them in images.

/// The signal's number.
pub(super) fn number(text: &str) -> Result<i32, String> {
    container_core::signal::parse(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_spellings() {
        assert_eq!(number("term"), Ok(15));
        assert_eq!(number("SIGKILL"), Ok(9));
        assert_eq!(number("64"), Ok(64));
        assert!(number("65").is_err() && number("NOPE").is_err());
    }
}
