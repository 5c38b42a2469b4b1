//! Runs test binaries in guests: the same binaries, other kernels, two guests side by side.

use super::libtest::{Reader, Tally};
use crate::artifacts::{self, Executable};
use crate::cache::Cache;
use crate::guest::{Guest, Outcome, Stream};
use crate::initramfs::GuestFile;
use crate::kernels::Kernel;
use crate::progress::seconds;
use anyhow::{Result, anyhow};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Emulated processors are ten to thirty times slower than real ones.
const DEADLINE: Duration = Duration::from_secs(40 * 60);

/// More than there are cores only makes each slower.
const SIDE_BY_SIDE: usize = 2;

/// Runs every test binary on every kernel. What a guest prints is shown in one piece when it is done, because
/// lines of two guests between each other cannot be read.
pub(crate) fn run(
    cache: &Cache,
    kernels: &[Kernel],
    tests: &[Executable],
    diag: &Path,
    filter: &[&str],
    environment: &[(String, String)],
) -> Result<Tally> {
    let scratch = cache.scratch()?;
    let small_diag = artifacts::stripped(diag, scratch.path())?;
    let mut work = Vec::new();
    for test in tests {
        let small = artifacts::stripped(&test.path, scratch.path())?;
        for kernel in kernels {
            let mut guest = Guest::new(kernel.clone());
            guest.deadline = DEADLINE;
            guest.files.push(GuestFile::executable(&small_diag, "/bin/diag"));
            guest.files.push(GuestFile::executable(&small, "/bin/tests"));
            // Tests know the program by the place where cargo put it.
            guest.links.push((diag.display().to_string(), "/bin/diag".to_owned()));
            guest.environment = environment.to_vec();
            work.push((guest, test));
        }
    }
    let queue = Mutex::new(work.iter());
    let total = Mutex::new(Tally::default());
    thread::scope(|scope| -> Result<()> {
        let worker = || -> Result<()> {
            while let Some((guest, test)) = next(&queue)? {
                let tally = run_one(cache, guest, test, filter);
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

fn next<'a, T>(queue: &Mutex<impl Iterator<Item = &'a T>>) -> Result<Option<&'a T>> {
    Ok(queue.lock().map_err(poisoned)?.next())
}

fn poisoned<T>(_: T) -> anyhow::Error {
    anyhow!("a thread that runs guests panicked")
}

/// What one boot of a guest gave.
struct Boot {
    outcome: Result<Outcome>,
    out: Vec<u8>,
    err: Vec<u8>,
}

impl Boot {
    fn of(cache: &Cache, guest: &Guest, argv: &[String]) -> Self {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = guest.run(cache, argv, &mut |stream, bytes| match stream {
            Stream::Out => out.extend_from_slice(bytes),
            Stream::Err => err.extend_from_slice(bytes),
        });
        Self { outcome, out, err }
    }

    /// Emulated kernels sometimes panic while they boot, long before a test could be the reason: the test
    /// program's first line never comes.
    fn died_before_its_first_word(&self) -> bool {
        self.outcome.is_err() && self.out.is_empty()
    }
}

fn run_one(cache: &Cache, guest: &Guest, test: &Executable, filter: &[&str]) -> Tally {
    let words = [&["/bin/tests", "--show-output", "--test-threads=1"], filter].concat();
    let argv: Vec<String> = words.into_iter().map(str::to_owned).collect();
    let release = &guest.kernel.release;
    let mut text = format!("\n     Running {} {} on kernel {release}\n", test.folder, test.target);
    let mut boot = Boot::of(cache, guest, &argv);
    if boot.died_before_its_first_word() {
        if let Err(error) = &boot.outcome {
            text += &format!("guest {release} did not boot, tried once more: {error:#}\n");
        }
        boot = Boot::of(cache, guest, &argv);
    }
    let Boot { outcome, out, err } = boot;
    let mut reader = Reader::default();
    for line in String::from_utf8_lossy(&out).lines() {
        if reader.line(line) {
            text += &format!("{line}\n");
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
