//! `cargo xtask tidy`: the house rules as a program, one file each below `tidy/`.
//!
//! Rules that a person must remember are forgotten; a rule that has an exception names it here, with its reason.

mod causes;
mod comments;
mod layers;
mod sizes;
mod words;

use crate::artifacts;
use crate::shell::output_of;
use anyhow::Result;
use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// A file of the repository, by its path below the root.
pub(crate) struct Source {
    path: String,
    text: String,
}

/// What a rule does not like, and where.
#[derive(Debug, PartialEq)]
pub(crate) struct Complaint {
    path: String,
    line: usize,
    what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        write!(formatter, "{}:{}: {}", self.path, self.line, self.what)
    }
}

impl Source {
    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    fn complaint(&self, line: usize, what: impl Into<String>) -> Complaint {
        Complaint { path: self.path.clone(), line, what: what.into() }
    }
}

pub(crate) fn run() -> Result<ExitCode> {
    let complaints = complaints(&artifacts::workspace())?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    if complaints.is_empty() {
        println!("tidy");
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{} complaints", complaints.len());
    Ok(ExitCode::from(1))
}

/// Everything every rule has to say about the repository at `root`.
pub(crate) fn complaints(root: &Path) -> Result<Vec<Complaint>> {
    let sources = sources(root)?;
    let machine = words::Machine::this(root);
    let mut found = Vec::new();
    for source in &sources {
        found.extend(words::check(source, &machine));
        if source.is_rust() {
            found.extend(comments::check(source));
            found.extend(sizes::check(source));
            found.extend(layers::check(source));
        }
    }
    found.extend(sizes::unused_exceptions(&sources));
    found.extend(causes::check(&sources));
    Ok(found)
}

/// Text files that are committed, or would be by `git add .`
fn sources(root: &Path) -> Result<Vec<Source>> {
    let words = ["ls-files", "--cached", "--others", "--exclude-standard", "-z"];
    let list = output_of(Command::new("git").args(words).current_dir(root))?;
    let mut found = Vec::new();
    for path in list.split('\0').filter(|path| !path.is_empty()) {
        // Not everything listed is there (deleted, not yet committed), and not everything there is text.
        if let Ok(text) = fs::read_to_string(root.join(path)) {
            found.push(Source { path: path.to_owned(), text });
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }

    #[test]
    fn a_complaint_can_be_clicked() {
        let complaint = source("a/b.rs", "").complaint(3, "too long");
        assert_eq!(complaint.to_string(), "a/b.rs:3: too long");
    }
}
