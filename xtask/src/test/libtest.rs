//! Reads what a Rust test binary prints (with `--show-output`): counts, and which lines a person wants to see.

/// A test that could not run here prints a line that starts with this, and passes.
const SKIPPED: &str = "skipped:";

/// What one test binary said.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) ignored: u64,
    /// `test name: why`
    pub(crate) skipped: Vec<String>,
    /// The names of those that failed, as far as the binary lived to list them.
    pub(crate) failures: Vec<String>,
    /// Those that failed in a guest and passed when they were run again.
    pub(crate) second_try: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
        self.skipped.extend(other.skipped);
        self.failures.extend(other.failures);
        self.second_try.extend(other.second_try);
    }
}

/// Follows the output line by line.
#[derive(Default)]
pub(crate) struct Reader {
    tally: Tally,
    in_successes: bool,
    in_failures: bool,
    /// Between a test's `---- name stdout ----` and the list of names: the test speaks, not the harness.
    in_captured: bool,
    current: String,
    ended: bool,
}

impl Reader {
    /// Takes a line; true when it is to be shown. The output of tests that passed is not.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        match line {
            "successes:" => (self.in_successes, self.in_failures, self.in_captured) = (true, false, false),
            "failures:" => (self.in_successes, self.in_failures, self.in_captured) = (false, true, false),
            _ => {}
        }
        if self.in_failures
            && !self.in_captured
            && let Some(name) = line.strip_prefix("    ")
        {
            self.tally.failures.push(name.to_owned());
        }
        if let (false, Some(result)) = (self.in_captured, line.strip_prefix("test result:")) {
            (self.in_successes, self.in_failures) = (false, false);
            self.ended = true;
            self.tally.passed += number_before(result, "passed");
            self.tally.failed += number_before(result, "failed");
            self.tally.ignored += number_before(result, "ignored");
        }
        if let Some(name) = line.strip_prefix("---- ").and_then(|rest| rest.strip_suffix(" stdout ----")) {
            name.clone_into(&mut self.current);
            self.in_captured = true;
        }
        if let Some(reason) = line.strip_prefix(SKIPPED) {
            self.tally.skipped.push(format!("{}: {}", self.current, reason.trim()));
        }
        !self.in_successes && !line.trim().is_empty()
    }

    /// The counts; a binary that died before its result line counts as one failure more.
    pub(crate) fn finish(mut self, succeeded: bool) -> Tally {
        if !self.ended || (!succeeded && self.tally.failed == 0) {
            self.tally.failed += 1;
        }
        self.tally
    }
}

fn number_before(result: &str, word: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let at = words.iter().position(|candidate| *candidate == word);
    at.and_then(|at| words.get(at.checked_sub(1)?)?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "\nrunning 3 tests\ntest a::b ... ok\ntest c ... FAILED\ntest d ... ignored\n\nsuccesses:\n\n\
        ---- a::b stdout ----\nskipped: needs a kernel with function_graph\n\
        test result: ok. 7 passed; 0 failed; 0 ignored\nnoise\n\n\nsuccesses:\n    a::b\n\n\
        failures:\n\n---- c stdout ----\nthread panicked\n\n\nfailures:\n    c\n\n\
        test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n";

    fn read(output: &str) -> (Tally, Vec<&str>) {
        let mut reader = Reader::default();
        let shown = output.lines().filter(|line| reader.line(line)).collect();
        (reader.finish(false), shown)
    }

    #[test]
    fn counts_and_reasons_are_read() {
        let (tally, _) = read(OUTPUT);
        assert_eq!((tally.passed, tally.failed, tally.ignored), (1, 1, 1));
        assert_eq!(tally.failures, ["c"]);
        assert_eq!(tally.skipped, ["a::b: needs a kernel with function_graph"]);
    }

    #[test]
    fn output_of_passed_tests_is_hidden_that_of_failed_ones_shown() {
        let (_, shown) = read(OUTPUT);
        assert!(shown.contains(&"thread panicked") && shown.contains(&"test a::b ... ok"));
        assert!(!shown.contains(&"noise"));
    }

    #[test]
    fn a_binary_that_dies_is_a_failure() {
        assert_eq!(read("running 2 tests\ntest a ... ok\n").0.failed, 1);
        let fine = "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n";
        assert_eq!(read(fine).0.failed, 1, "it exited with an error after a good result");
        let mut reader = Reader::default();
        reader.line(fine.trim());
        assert_eq!(reader.finish(true).passed, 2);
    }
}
