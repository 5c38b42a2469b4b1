//! Each file opens by saying what it is for, and no file carries a note to fix it later.

use super::{Complaint, Source};

pub(super) fn check(source: &Source) -> Vec<Complaint> {
    let mut found = Vec::new();
    // A build script's or program's `#!` line may come first.
    let first = source.text.lines().find(|line| !line.starts_with("#!/"));
    if !first.is_some_and(|line| line.starts_with("//!")) {
        found.push(source.complaint(1, "does not open with a `//!` that says what it is for"));
    }
    // Put together here, so that this file does not complain about itself.
    let notes = [concat!("FIX", "ME"), concat!("XX", "X:"), concat!("todo", "!(")];
    for (number, line) in source.text.lines().enumerate() {
        for note in notes {
            if line.contains(note) {
                found.push(source.complaint(number + 1, format!("has a {note} left")));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::tests::source;
    use super::*;

    #[test]
    fn a_file_without_an_opening_is_found() {
        assert_eq!(check(&source("a.rs", "use x;\n")).len(), 1);
        assert_eq!(check(&source("a.rs", "//! Reads.\nuse x;\n")), []);
        assert_eq!(check(&source("a.rs", "")).len(), 1);
    }

    #[test]
    fn notes_are_found_with_their_line() {
        let text = format!("//! Reads.\n\n// {} later\n", concat!("FIX", "ME"));
        let found = check(&source("a.rs", &text));
        assert_eq!(found.iter().map(|complaint| complaint.line).collect::<Vec<_>>(), [3]);
    }
}
