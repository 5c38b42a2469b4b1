//! Runs test binaries in guests: the same binaries, other kernels, two guests side by side.

use super::libtest::{Reader, Tally};
use super::shards::{self, Shard};
use super::stopwatch::Stopwatch;
use crate::artifacts::{self, Executable};
use crate::cache::Cache;
use crate::guest::{Guest, Outcome, Stream};
use crate::initramfs::GuestFile;
use crate::kernels::{self, Kernel};
use crate::progress::seconds;
use anyhow::{Context, Result, anyhow};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Emulated processors are ten to thirty times slower than real ones.
const DEADLINE: Duration = Duration::from_secs(40 * 60);

/// More than there are cores only makes each slower.
const SIDE_BY_SIDE: usize = 2;

/// So many failures in one guest are no accident of emulation.
const MOST_TRIED_AGAIN: usize = 3;

/// Runs every test binary on every kernel. What a guest prints is shown in one piece when it is done, because
/// lines of two guests between each other cannot be read.
pub(crate) fn run(
    cache: &Cache,
    kernels: &[Kernel],
    tests: &[Executable],
    diag: &Path,
    filter: Option<&str>,
    environment: &[(String, String)],
    until: Instant,
) -> Result<Tally> {
    let scratch = cache.scratch()?;
    let small_diag = artifacts::stripped(diag, scratch.path())?;
    let mut work = Vec::new();
    for shard in shards::of(tests, filter)? {
        let small = artifacts::stripped(&shard.test.path, scratch.path())?;
        let on = if shard.once { vec![first_of(kernels)?] } else { kernels.iter().collect() };
        for kernel in on {
            let mut guest = Guest::new(kernel.clone());
            guest.deadline = DEADLINE;
            guest.files.push(GuestFile::executable(&small_diag, "/bin/diag"));
            guest.files.push(GuestFile::executable(&small, "/bin/tests"));
            guest.environment = environment.to_vec();
            work.push((guest, shard.clone()));
        }
    }
    // One kernel whole before the others begin: should the time be over, that is more than a part of each.
    work.sort_by_key(|(guest, _)| guest.kernel.series != kernels::DEFAULT);
    let queue = Mutex::new(work.iter());
    let total = Mutex::new(Tally::default());
    thread::scope(|scope| -> Result<()> {
        let worker = || -> Result<()> {
            while let Some((guest, shard)) = next(&queue)? {
                let in_time = Instant::now() < until;
                let tally = if in_time { run_shard(cache, guest, shard) } else { out_of_time(guest, shard) };
                total.lock().map_err(poisoned)?.add(tally);
            }
            Ok(())
        };
        let workers: Vec<_> = (0..SIDE_BY_SIDE).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().map_err(|_| anyhow!("a thread that runs guests panicked"))??;
        }
        Ok(())
    })?;
    total.into_inner().map_err(poisoned)
}

/// Not begun, and said at the end.
fn out_of_time(guest: &Guest, shard: &Shard<'_>) -> Tally {
    let (release, count) = (&guest.kernel.release, shard.names.len());
    let skipped = vec![format!("{release}: {shard}: {count} tests, for want of time (--minutes)")];
    Tally { skipped, ..Tally::default() }
}

/// Where tests run that are run once.
fn first_of(kernels: &[Kernel]) -> Result<&Kernel> {
    let usual = kernels.iter().find(|kernel| kernel.series == kernels::DEFAULT);
    usual.or(kernels.first()).context("no kernel was asked for")
}

fn next<'a, T>(queue: &Mutex<impl Iterator<Item = &'a T>>) -> Result<Option<&'a T>> {
    Ok(queue.lock().map_err(poisoned)?.next())
}

fn poisoned<T>(_: T) -> anyhow::Error {
    anyhow!("a thread that runs guests panicked")
}

/// One part of a binary's tests in one guest. Few failures are tried once more in a guest of their own, as
/// cargo-nextest's `retries` do: an emulated processor that shares a busy machine loses seconds now and then. What
/// fails twice has failed, and what passed only then is named at the end.
fn run_shard(cache: &Cache, guest: &Guest, shard: &Shard<'_>) -> Tally {
    let mut first = run_once(cache, guest, shard);
    let failed = first.failures.len();
    if failed == 0 || failed > MOST_TRIED_AGAIN || failed as u64 != first.failed {
        return first;
    }
    let names = std::mem::take(&mut first.failures);
    let second = run_once(cache, guest, &shard.only(names.clone()));
    let again = |name: &String| !second.failures.contains(name);
    let passed: Vec<String> = match second.passed + second.failed {
        // It ran to its end.
        count if count == failed as u64 => names.iter().filter(|name| again(name)).cloned().collect(),
        _ => Vec::new(),
    };
    first.failed -= passed.len() as u64;
    first.passed += passed.len() as u64;
    first.failures = names.into_iter().filter(|name| !passed.contains(name)).collect();
    first.second_try.extend(passed.into_iter().map(|name| format!("{}: {name}", guest.kernel.release)));
    first
}

/// What one boot of a guest gave.
struct Boot {
    outcome: Result<Outcome>,
    out: Vec<u8>,
    err: Vec<u8>,
    times: Stopwatch,
}

impl Boot {
    fn of(cache: &Cache, guest: &Guest, argv: &[String]) -> Self {
        let (mut out, mut err, mut times) = (Vec::new(), Vec::new(), Stopwatch::default());
        let outcome = guest.run(cache, argv, &mut |stream, bytes| match stream {
            Stream::Out => {
                out.extend_from_slice(bytes);
                times.heard(&out);
            }
            Stream::Err => err.extend_from_slice(bytes),
        });
        Self { outcome, out, err, times }
    }

    /// Emulated kernels sometimes panic while they boot, long before a test could be the reason: the test
    /// program's first line never comes.
    fn died_before_its_first_word(&self) -> bool {
        self.outcome.is_err() && self.out.is_empty()
    }
}

fn run_once(cache: &Cache, guest: &Guest, shard: &Shard<'_>) -> Tally {
    let words = ["/bin/tests", "--show-output", "--test-threads=1", "--exact"].map(str::to_owned);
    let argv: Vec<String> = words.into_iter().chain(shard.names.iter().cloned()).collect();
    let release = &guest.kernel.release;
    let mut text = format!("\n     Running {shard} on kernel {release}\n");
    let mut boot = Boot::of(cache, guest, &argv);
    if boot.died_before_its_first_word() {
        if let Err(error) = &boot.outcome {
            text += &format!("guest {release} did not boot, tried once more: {error:#}\n");
        }
        boot = Boot::of(cache, guest, &argv);
    }
    let Boot { outcome, out, err, times } = boot;
    let mut reader = Reader::default();
    for (number, line) in String::from_utf8_lossy(&out).lines().enumerate() {
        if reader.line(line) {
            let took = times.of(number).map(|took| format!(" ({})", seconds(took))).unwrap_or_default();
            text += &format!("{line}{took}\n");
        }
    }
    let succeeded = outcome.as_ref().is_ok_and(|outcome| outcome.code == 0);
    match outcome {
        Ok(outcome) => text += &format!("guest {release}: {}\n", seconds(outcome.took)),
        Err(error) => text += &format!("guest {release}: {error:#}\n"),
    }
    if !succeeded {
        text += &String::from_utf8_lossy(&err);
    }
    print!("{text}");
    let mut tally = reader.finish(succeeded);
    for reason in &mut tally.skipped {
        *reason = format!("{release}: {reason}");
    }
    tally
}
