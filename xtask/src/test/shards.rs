//! A test binary's tests in parts of their own, so that two guests can share the work of one.

use crate::artifacts::Executable;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::process::Command;

/// Tests that one guest runs, of a program that tests start many times. A boot takes five to ten seconds and a test that
/// starts diag about as long: with fewer, boots would be felt; with more, one guest is waited for at the end.
const MOST: usize = 12;

/// The same for tests that take a second or three each.
const MOST_OF_SHORT_ONES: usize = 36;

/// The folder of tests that say nothing about a kernel: it is enough to run them on one.
const ONCE: &str = "once::";

/// Some of a binary's tests.
#[derive(Clone, Debug)]
pub(crate) struct Shard<'a> {
    pub(crate) test: &'a Executable,
    pub(crate) names: Vec<String>,
    /// Its tests are for the first of several kernels alone.
    pub(crate) once: bool,
    /// Which part it is, of how many.
    part: (usize, usize),
}

impl Shard<'_> {
    /// The same part with some of its tests.
    pub(crate) fn only(&self, names: Vec<String>) -> Self {
        Self { names, ..self.clone() }
    }
}

impl fmt::Display for Shard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (part, parts) = self.part;
        let once = if self.once { " (on one kernel)" } else { "" };
        write!(f, "{} {}{once}, part {part} of {parts}", self.test.folder, self.test.target)
    }
}

/// The tests of all binaries whose names contain `filter`, the long parts first: what comes last should be short, or
/// one guest is waited for.
pub(crate) fn of<'a>(tests: &'a [Executable], filter: Option<&str>) -> Result<Vec<Shard<'a>>> {
    let mut shards = Vec::new();
    for test in tests {
        let wanted = names(test)?.into_iter().filter(|name| filter.is_none_or(|f| name.contains(f)));
        let (once, everywhere): (Vec<_>, Vec<_>) = wanted.partition(|name| name.starts_with(ONCE));
        for (once, names) in [(true, once), (false, everywhere)] {
            let parts = split(&names, most(test));
            let count = parts.len();
            let of_part = |(at, names)| Shard { test, names, once, part: (at + 1, count) };
            shards.extend(parts.into_iter().enumerate().map(of_part));
        }
    }
    shards.sort_by_key(|shard| std::cmp::Reverse(shard.names.len() * MOST_OF_SHORT_ONES / most(shard.test)));
    Ok(shards)
}

fn most(test: &Executable) -> usize {
    match (test.folder.as_str(), test.target.as_str()) {
        ("userspace", "kernel") => MOST,
        _ => MOST_OF_SHORT_ONES,
    }
}

/// Dealt like cards: neighbours in a file take about as long as each other.
fn split(names: &[String], most: usize) -> Vec<Vec<String>> {
    let parts = names.len().div_ceil(most);
    (0..parts).map(|part| names.iter().skip(part).step_by(parts).cloned().collect()).collect()
}

/// The binary's own list; it is static and runs here as well as in a guest.
fn names(test: &Executable) -> Result<Vec<String>> {
    let output = Command::new(&test.path)
        .args(["--list", "--format", "terse"])
        .output()
        .with_context(|| format!("cannot run {}", test.path.display()))?;
    ensure!(output.status.success(), "{} --list ended with {}", test.path.display(), output.status);
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().filter_map(|line| line.strip_suffix(": test")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_is_in_one_part() {
        let names: Vec<String> = (0..51).map(|n| n.to_string()).collect();
        let parts = split(&names, 12);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [11, 10, 10, 10, 10]);
        let mut all = parts.concat();
        all.sort_unstable_by_key(|name| name.parse::<u32>().unwrap());
        assert_eq!(all, names);
        assert!(split(&[], 12).is_empty());
    }

    #[test]
    fn a_binary_that_is_none_is_an_error() {
        let test = Executable {
            folder: "x".into(),
            target: "x".into(),
            kind: "test".into(),
            is_test: true,
            path: "/bin/false".into(),
        };
        assert!(names(&test).is_err());
    }
}
