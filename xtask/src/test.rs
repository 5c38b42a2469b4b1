//! `cargo xtask test`: all that decides whether a change is good, on this machine and in guests.
//!
//! | ring | what | where |
//! | --- | --- | --- |
//! | 1 | unit tests beside the code, examples in the documentation | anywhere |
//! | 2 | integration tests: recorded incidents in, reports out; the command line | anywhere |
//! | 3 | tests that need root and this machine's kernel | here, as root |
//! | 4 | the same, on other kernels | guests |
//!
//! Rings 1 to 4 use one build. Format, lints and house rules come first, because they are fast to fix.

mod here;
mod libtest;
mod rules;
mod shards;
mod stopwatch;
mod there;

use crate::artifacts::{self, Executable};
use crate::cache::Cache;
use crate::kernels;
use crate::progress::seconds;
use crate::setup::{self, Need};
use crate::vm;
use anyhow::{Context, Result};
use libtest::Tally;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Integration tests that need root and a real kernel, here and in guests: (package folder, test).
const NEEDS_ROOT: [(&str, &str); 4] =
    [("userspace", "probes"), ("userspace", "ftrace"), ("userspace", "kernel"), ("container-core", "kernel")];

/// Those that need root and programs of this machine, which guests lack.
const NEEDS_THIS_MACHINE: [(&str, &str); 2] = [("container-core", "registry"), ("userspace", "pulling")];

/// Packages with a library, whose documentation may hold examples.
const DOCUMENTED: [&str; 3] = ["diag", "container-core", "diag-abi"];

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only this ring (1 to 4); may be given several times. Without it: all, and the rules
    #[arg(long = "ring", value_parser = clap::value_parser!(u8).range(1..=4))]
    rings: Vec<u8>,
    /// Kernels of ring 4
    #[arg(long, value_delimiter = ',', default_value = kernels::EVERY)]
    kernels: Vec<String>,
    /// Only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// After so many minutes no further guest is booted; what was not run is told at the end
    #[arg(long, value_name = "MINUTES", default_value_t = 75)]
    minutes: u64,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let started = Instant::now();
    let until = started + Duration::from_secs(60 * options.minutes);
    let wants = |ring: u8| options.rings.is_empty() || options.rings.contains(&ring);
    let need = if wants(4) { Need::Guests(&options.kernels) } else { Need::Build };
    let cache = setup::ensure(need)?;
    if wants(3) && nix::unistd::geteuid().is_root() {
        setup::ensure(Need::ImageTools)?;
    }
    let mut total = Tally::default();
    if options.rings.is_empty() {
        total.add(check_rules());
    }
    let build = Build::new()?;
    for ring in 1..=4 {
        if !wants(ring) {
            continue;
        }
        let started = Instant::now();
        println!(
            "\nring {ring}: {}",
            ["unit tests", "integration tests", "this kernel", "guests"][ring as usize - 1]
        );
        let tally = run_ring(ring, &build, &cache, options, until)?;
        let took = seconds(started.elapsed());
        println!("ring {ring}: passed {}, failed {}, in {took}", tally.passed, tally.failed);
        total.add(tally);
    }
    for name in &total.second_try {
        println!("passed at the second try only: {name}");
    }
    for reason in &total.skipped {
        println!("not run: {reason}");
    }
    println!("\nall of it took {}", seconds(started.elapsed()));
    println!("{} passed, {} failed", total.passed, total.failed);
    Ok(if total.failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// Each rule that does not hold counts as a failure, and the tests run all the same.
fn check_rules() -> Tally {
    let mut tally = Tally::default();
    for (name, check) in rules::RULES {
        let started = Instant::now();
        let outcome = check();
        let took = seconds(started.elapsed());
        match outcome {
            Ok(()) => println!("{name}: ok ({took})"),
            Err(error) => {
                println!("{name}: FAILED, {error:#} ({took})");
                tally.failed += 1;
            }
        }
    }
    tally
}

/// All test binaries, and the program itself, built at once.
struct Build {
    tests: Vec<Executable>,
    diag: Executable,
}

impl Build {
    fn new() -> Result<Self> {
        let words = ["test", "--no-run", "--workspace", "--exclude", "diag-probes"];
        let built = artifacts::build("the tests", &words)?;
        let is_program = |built: &&Executable| !built.is_test && built.target == "diag";
        let diag = built.iter().find(is_program).cloned();
        let diag = match diag {
            Some(diag) => diag,
            None => artifacts::diag()?,
        };
        let tests = built.into_iter().filter(|built| built.is_test).collect();
        Ok(Self { tests, diag })
    }

    fn select(&self, wanted: impl Fn(&Executable) -> bool) -> Vec<Executable> {
        self.tests.iter().filter(|test| wanted(test)).cloned().collect()
    }
}

fn run_ring(ring: u8, build: &Build, cache: &Cache, options: &Options, until: Instant) -> Result<Tally> {
    let filter: Vec<&str> = options.filter.as_deref().into_iter().collect();
    match ring {
        1 => {
            let mut tally = run_here(&build.select(|test| test.kind != "test"), &filter, &[])?;
            if filter.is_empty() {
                tally.add(here::run_doc_tests(&DOCUMENTED)?);
            }
            Ok(tally)
        }
        2 => {
            let anywhere =
                |test: &Executable| test.kind == "test" && !needs_root(test) && !needs_this_machine(test);
            run_here(&build.select(anywhere), &filter, &[])
        }
        3 if !nix::unistd::geteuid().is_root() => {
            println!("not run: ring 3 needs root (run `sudo -E cargo xtask test --ring 3`)");
            Ok(Tally::default())
        }
        3 => {
            let busybox = cache.busybox().display().to_string();
            // Tests of one kernel's state, of which there is one: not side by side.
            let arguments = [&["--test-threads=1"], filter.as_slice()].concat();
            let here = build.select(|test| needs_root(test) || needs_this_machine(test));
            run_here(&here, &arguments, &root_environment(&busybox))
        }
        _ => {
            let tests = build.select(needs_root);
            let kernels = vm::kernels_of(cache, &options.kernels)?;
            let mut environment = root_environment("/bin/busybox");
            // Cargo's place for it is this machine's.
            environment.push(("DIAG_BIN".to_owned(), "/bin/diag".to_owned()));
            // An emulated processor takes minutes for what is seconds here, arming a tracer above all.
            let here =
                [("DIAG_TEST_FLOOD", "100000"), ("DIAG_TEST_KILLS", "2"), ("DIAG_TEST_DISPOSABLE", "1")];
            for (name, value) in here {
                // Who asks for more shall have it.
                environment.push((name.to_owned(), std::env::var(name).unwrap_or_else(|_| value.to_owned())));
            }
            let filter = options.filter.as_deref();
            there::run(cache, &kernels, &tests, &build.diag.path, filter, &environment, until)
        }
    }
    .with_context(|| format!("ring {ring}"))
}

fn run_here(tests: &[Executable], arguments: &[&str], environment: &[(String, String)]) -> Result<Tally> {
    let mut tally = Tally::default();
    for test in tests {
        tally.add(here::run(test, arguments, environment)?);
    }
    Ok(tally)
}

/// Here a test that finds no root or no kernel must fail: it was promised both.
fn root_environment(busybox: &str) -> Vec<(String, String)> {
    [("DIAG_REQUIRE_ROOT", "1"), ("DIAG_BUSYBOX", busybox)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec()
}

fn needs_root(test: &Executable) -> bool {
    is_among(&NEEDS_ROOT, test)
}

fn needs_this_machine(test: &Executable) -> bool {
    is_among(&NEEDS_THIS_MACHINE, test)
}

fn is_among(list: &[(&str, &str)], test: &Executable) -> bool {
    test.kind == "test" && list.contains(&(test.folder.as_str(), test.target.as_str()))
}
