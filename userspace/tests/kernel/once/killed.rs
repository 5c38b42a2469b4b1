//! Killed with SIGKILL at any instant: the next command finds and removes what was left.
//!
//! `DIAG_TEST_KILLS` says how often each of the two is killed; a few times without it.

use crate::bench_of_one::{Bench, DEADLINE, Watch, text};
use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

const FEW: u32 = 5;

/// Numbers that differ from run to run; the seed is printed, so that a failure can be had again.
struct Random(u64);

impl Random {
    fn seeded() -> Self {
        let given = std::env::var("DIAG_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed = given.unwrap_or_else(now) | 1;
        println!("DIAG_TEST_SEED={seed}");
        Self(seed)
    }

    /// xorshift64, which is enough to spread instants.
    fn below(&mut self, end: Duration) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        end.mul_f64((self.0 >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

fn kills() -> u32 {
    std::env::var("DIAG_TEST_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(FEW)
}

/// Starts, kills after `after`, and waits until nothing with `mark` among its words is alive: the command
/// that is being explained must not outlive its end, nor wait forever for a word to start.
fn kill_after(command: &mut Command, after: Duration, mark: &str) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let deadline = Instant::now() + DEADLINE;
    while let Some(pid) = alive_with(mark) {
        assert!(Instant::now() < deadline, "process {pid} outlived the diag that started it");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn alive_with(mark: &str) -> Option<String> {
    fs::read_dir("/proc").unwrap().flatten().find_map(|entry| {
        let words = fs::read(entry.path().join("cmdline")).ok()?;
        let own = entry.file_name().to_string_lossy().parse::<u32>().ok()? == std::process::id();
        let found = !own && String::from_utf8_lossy(&words).contains(mark);
        found.then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

/// The command that finds what the dead left.
fn sweep(bench: &Bench) {
    let out = bench.run(&["explain", "--", "true"]);
    assert_eq!(out.status.code(), Some(0), "{}{}", text(&out.stdout), text(&out.stderr));
}

#[test]
fn a_watch_killed_at_any_instant() {
    let Some(bench) = Bench::open() else { return };
    let (mut random, count) = (Random::seeded(), kills());
    let started = Instant::now();
    Watch::start(&bench).end();
    // From before the first system call of its own to well after everything is armed.
    let span = started.elapsed().mul_f64(1.3);
    for round in 0..count {
        let after = random.below(span);
        println!("{round}: killed after {after:?} of {span:?}");
        kill_after(&mut bench.diag(&["watch", "--json"]), after, "no process carries this mark");
        sweep(&bench);
        bench.nothing_left_yet();
    }
    println!("{count} kills, nothing left");
    bench.nothing_left();
}

#[test]
fn an_explained_command_killed_at_any_instant() {
    let Some(bench) = Bench::open() else { return };
    let (mut random, count) = (Random::seeded(), kills());
    let mark = bench.dir.path().display().to_string();
    // Failures of a traced call, one after the other, so that graphs are on their way when the end comes.
    let script = "i=0; while [ $i -lt 5 ]; do mount -t no-such-type none /; i=$((i+1)); done";
    let words = ["explain", "--json", "--", "sh", "-c", script, &mark];
    let started = Instant::now();
    bench.run(&words);
    let span = started.elapsed();
    for round in 0..count {
        let after = random.below(span);
        println!("{round}: killed after {after:?} of {span:?}");
        kill_after(&mut bench.diag(&words), after, &mark);
        sweep(&bench);
        bench.nothing_left_yet();
    }
    println!("{count} kills, nothing left");
    bench.nothing_left();
}
