//! Keeping to a budget: what tracing takes of the machine is counted, and where it is too much there is less of it.
//!
//! The kernel's part is the number of traced calls times the price of one, which was measured when the tracer was
//! armed; diag's own part is the processor time of the thread that reads the trace. First, functions go that run
//! often outside of every watched system call: they cost and tell nothing. When that is not enough, diag steps down:
//! from all families to the one whose functions rest on a machine that mounts nothing, and from there to no
//! tracing at all. It says so each time, and does not step up again by itself.

use crate::capture::ftrace::Spent;
use std::collections::BTreeMap;
use std::time::Duration;

/// Between two accounts, and how many in a row must be over the budget: a few containers that start are no reason to
/// step down.
const WINDOW: Duration = Duration::from_secs(10);
const PATIENCE: u32 = 3;

/// Outside of the watched calls nothing should run this often.
const MOST_FOREIGN_A_SECOND: u64 = 1_000;

/// How much of the kernel's paths is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Paths {
    None,
    /// Calls that are rare on every machine: mounts.
    Rare,
    /// Those of all families, whatever they take, up to the budget.
    Full,
}

impl Paths {
    fn less(self) -> Self {
        match self {
            Self::Full => Self::Rare,
            Self::Rare | Self::None => Self::None,
        }
    }
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Nothing,
    /// These cost and tell nothing.
    Drop(Vec<String>),
    Down(Paths),
}

/// The account of one capture.
#[derive(Debug)]
pub(super) struct Budget {
    /// Parts of a million of one processor.
    most: u64,
    paths: Paths,
    since_ns: u64,
    /// Windows in a row that were over it.
    over: u32,
    spent: Spent,
    foreign: BTreeMap<String, u64>,
}

impl Budget {
    pub(super) fn new(percent: f64, paths: Paths, now_ns: u64) -> Self {
        let most = (percent.max(0.0) * 10_000.0) as u64;
        Self { most, paths, since_ns: now_ns, over: 0, spent: Spent::default(), foreign: BTreeMap::new() }
    }

    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns.saturating_sub(self.since_ns) >= WINDOW.as_nanos() as u64
    }

    /// Closes a window. The words say what was found, where it was too much.
    pub(super) fn close(
        &mut self,
        now_ns: u64,
        spent: Spent,
        foreign: BTreeMap<String, u64>,
    ) -> (Step, String) {
        let ns = now_ns.saturating_sub(self.since_ns).max(1);
        let took = spent.since(self.spent);
        let per_million = u128::from(took.ns()) * 1_000_000 / u128::from(ns);
        let often: Vec<(String, u64)> = foreign
            .iter()
            .map(|(name, count)| (name, count - self.foreign.get(name).copied().unwrap_or(0).min(*count)))
            .map(|(name, count)| (name.clone(), a_second(count, ns)))
            .filter(|(_, rate)| *rate > MOST_FOREIGN_A_SECOND)
            .collect();
        (self.since_ns, self.spent, self.foreign) = (now_ns, spent, foreign);
        self.over = if per_million > u128::from(self.most) { self.over + 1 } else { 0 };
        if self.over < PATIENCE {
            return (Step::Nothing, String::new());
        }
        self.over = 0;
        let calls = a_second(took.calls, ns);
        let taken = format!("tracing took {:.1} % of one processor", per_million as f64 / 10_000.0);
        let limit = format!("the budget is {} %", self.most as f64 / 10_000.0);
        if !often.is_empty() {
            let named: Vec<_> =
                often.iter().map(|(name, rate)| format!("{name} ({rate} a second)")).collect();
            let words = format!("{taken}, {limit}: no longer traced: {}", named.join(", "));
            return (Step::Drop(often.into_iter().map(|(name, _)| name).collect()), words);
        }
        self.paths = self.paths.less();
        let less = match self.paths {
            Paths::None => "kernel paths are no longer traced",
            _ => "only the paths of mounts are traced from now on",
        };
        (Step::Down(self.paths), format!("{taken} ({calls} calls a second), {limit}: {less}"))
    }
}

fn a_second(count: u64, ns: u64) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000_000 / u128::from(ns.max(1))).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn spent(calls: u64, cpu_ns: u64) -> Spent {
        Spent { calls, price_ns: Some(500), cpu_ns }
    }

    /// The same in every window until something is done about it.
    fn steadily(budget: &mut Budget, calls: u64, foreign: u64) -> (Step, String) {
        for window in 1..=PATIENCE {
            let names = BTreeMap::from([("fs_noise".to_owned(), foreign), ("get_fs_type".to_owned(), 5)]);
            let before = budget.spent.calls;
            let foreign = names.into_iter().map(|(name, count)| (name, count * u64::from(window))).collect();
            let (step, words) = budget.close(budget.since_ns + 10 * S, spent(before + calls, 0), foreign);
            if step != Step::Nothing {
                assert_eq!(window, PATIENCE);
                return (step, words);
            }
        }
        (Step::Nothing, String::new())
    }

    #[test]
    fn within_the_budget_nothing_happens_nor_in_a_burst() {
        let mut budget = Budget::new(1.0, Paths::Full, 0);
        assert!(!budget.is_due(9 * S) && budget.is_due(10 * S));
        // 100 000 calls of 500 ns are 50 ms: 0.5 % of ten seconds.
        assert_eq!(steadily(&mut budget, 100_000, 0).0, Step::Nothing);
        // Ten times as much for a while, then quiet again.
        for calls in [1_000_000, 1_000_000, 0, 1_000_000] {
            let spent = spent(budget.spent.calls + calls, 0);
            assert_eq!(budget.close(budget.since_ns + 10 * S, spent, BTreeMap::new()).0, Step::Nothing);
        }
    }

    #[test]
    fn too_much_for_long_is_a_step_down() {
        let mut budget = Budget::new(1.0, Paths::Full, 0);
        let (step, words) = steadily(&mut budget, 1_000_000, 0);
        assert_eq!(step, Step::Down(Paths::Rare));
        assert!(words.contains("5.0 %") && words.contains("100000 calls a second"), "{words}");
        assert_eq!(steadily(&mut budget, 1_000_000, 0).0, Step::Down(Paths::None));
    }

    #[test]
    fn what_runs_outside_of_watched_calls_goes_first_and_is_named() {
        let mut budget = Budget::new(1.0, Paths::Rare, 0);
        let (step, words) = steadily(&mut budget, 1_000_000, 500_000);
        assert_eq!(step, Step::Drop(vec!["fs_noise".into()]));
        assert!(words.contains("fs_noise (50000 a second)"), "{words}");
    }

    #[test]
    fn without_a_price_the_reader_s_own_time_still_counts() {
        let mut budget = Budget::new(1.0, Paths::Rare, 0);
        let mut close = |seconds: u64| {
            let spent = Spent { calls: u64::MAX, price_ns: None, cpu_ns: seconds * S };
            budget.close(10 * seconds * S, spent, BTreeMap::new()).0
        };
        assert_eq!([1, 2, 3].map(&mut close), [Step::Nothing, Step::Nothing, Step::Down(Paths::None)]);
    }
}
