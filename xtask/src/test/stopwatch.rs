//! How long each test of a guest took. Without it a test that costs minutes on four kernels hides in a part's sum;
//! libtest's own `--report-time` is not for stable toolchains.

use std::time::{Duration, Instant};

/// Follows a test binary's output as it grows (`--test-threads=1`: one test after the other).
pub(super) struct Stopwatch {
    /// How much of the output was seen, and how many lines of it.
    seen: usize,
    lines: usize,
    /// When the line before was heard.
    before: Instant,
    /// (number of the line, time since the line before)
    took: Vec<(usize, Duration)>,
}

impl Default for Stopwatch {
    fn default() -> Self {
        Self { seen: 0, lines: 0, before: Instant::now(), took: Vec::new() }
    }
}

impl Stopwatch {
    /// Takes all that was printed so far.
    pub(super) fn heard(&mut self, output: &[u8]) {
        while let Some(length) = output[self.seen..].iter().position(|byte| *byte == b'\n') {
            let line = &output[self.seen..self.seen + length];
            let now = Instant::now();
            if line.starts_with(b"test ") && !line.starts_with(b"test result:") {
                self.took.push((self.lines, now - self.before));
            }
            self.seen += length + 1;
            self.lines += 1;
            self.before = now;
        }
    }

    /// The time of the test that the line with this number (from 0) ended.
    pub(super) fn of(&self, line: usize) -> Option<Duration> {
        let at = self.took.binary_search_by_key(&line, |(line, _)| *line).ok()?;
        Some(self.took[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_has_the_time_since_the_line_before() {
        let mut watch = Stopwatch::default();
        let output = b"\nrunning 2 tests\ntest a ... ok\ntest b ... ok\n\ntest result: ok.\n";
        let second = output.len() - 30;
        watch.heard(&output[..20]);
        std::thread::sleep(Duration::from_millis(20));
        watch.heard(&output[..second]);
        watch.heard(output);
        assert!(watch.of(2).unwrap() >= Duration::from_millis(20));
        assert!(watch.of(3).is_some());
        assert_eq!([0, 1, 4, 5].map(|line| watch.of(line)), [None; 4]);
    }
}
