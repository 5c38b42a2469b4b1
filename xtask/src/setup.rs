//! `cargo xtask setup`: brings a machine that has Rust to the state where everything else works.
//!
//! A table of steps; each knows whether it is done, how to do it, and what to tell a person when it fails. What
//! is there is left alone, so running it again costs a second, and two runs at once wait for each other.

mod rust;
mod system;

pub(crate) use rust::Toolchain;
pub(crate) use system::{QEMU, install_engines, install_peers, install_runtimes, install_trace_cmd};

use crate::cache::Cache;
use crate::kernels::{self, Series};
use crate::progress::{Working, seconds};
use anyhow::{Result, bail};
use std::process::ExitCode;
use std::time::Instant;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Only say what is there and what is missing (exit code 1 when something is)
    #[arg(long)]
    check: bool,
    /// Kernels for the guests: 5.10, 6.1, 6.12, newest
    #[arg(long, value_delimiter = ',', default_value = kernels::DEFAULT)]
    kernels: Vec<String>,
}

/// What a verb is going to need.
#[derive(Clone, Copy)]
pub(crate) enum Need<'a> {
    /// Building diag with its probes, and a busybox to put into containers.
    Build,
    /// That, and the registry and image tools that tests of this machine's kernel use.
    ImageTools,
    /// Building, and booting guests with these kernels.
    Guests(&'a [String]),
    /// All of it.
    Everything(&'a [String]),
}

/// One line of the table.
struct Step<'a> {
    name: String,
    purpose: &'static str,
    /// What is there, or nothing.
    state: Box<dyn Fn() -> Option<String> + 'a>,
    /// Makes it so.
    perform: Box<dyn Fn() -> Result<()> + 'a>,
    by_hand: &'static str,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let cache = Cache::open()?;
    let toolchain = Toolchain::current()?;
    let steps = steps(&cache, &toolchain, Need::Everything(&options.kernels))?;
    if options.check {
        return Ok(check(&steps));
    }
    let started = Instant::now();
    perform(&cache, &steps)?;
    eprintln!("set up in {}: all there (cache: {})", seconds(started.elapsed()), cache.root().display());
    Ok(ExitCode::SUCCESS)
}

/// For the other verbs: silent about what is there, so a warm machine sees nothing.
pub(crate) fn ensure(need: Need) -> Result<Cache> {
    let cache = Cache::open()?;
    let toolchain = Toolchain::current()?;
    let missing: Vec<Step> =
        steps(&cache, &toolchain, need)?.into_iter().filter(|step| (step.state)().is_none()).collect();
    if !missing.is_empty() {
        perform(&cache, &missing)?;
    }
    drop(missing);
    Ok(cache)
}

fn check(steps: &[Step]) -> ExitCode {
    let mut missing = 0;
    for step in steps {
        match (step.state)() {
            Some(state) => println!("  there    {:<18} {state}", step.name),
            None => {
                missing += 1;
                println!("  missing  {:<18} {}; {}", step.name, step.purpose, step.by_hand);
            }
        }
    }
    if missing == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

fn perform(cache: &Cache, steps: &[Step]) -> Result<()> {
    let _only_one = cache.lock()?;
    for (number, step) in steps.iter().enumerate() {
        let label = format!("[{}/{}] {}", number + 1, steps.len(), step.name);
        // Looked at under the lock: another run may have done it meanwhile.
        if let Some(state) = (step.state)() {
            eprintln!("  {label}: already there, {state}");
            continue;
        }
        let working = Working::on(format!("{label} ({})", step.purpose));
        let outcome = (step.perform)();
        let state = (step.state)();
        match (outcome, state) {
            (Ok(()), Some(state)) => {
                working.done(&state);
            }
            (Ok(()), None) => {
                working.done("failed");
                bail!("{}: done without an error, yet it is not there\nby hand: {}", step.name, step.by_hand);
            }
            (Err(error), _) => {
                working.done("failed");
                bail!("{}: {error:#}\nby hand: {}", step.name, step.by_hand);
            }
        }
    }
    Ok(())
}

fn steps<'a>(cache: &'a Cache, toolchain: &'a Toolchain, need: Need) -> Result<Vec<Step<'a>>> {
    let mut steps = build_steps(cache, toolchain);
    if matches!(need, Need::ImageTools | Need::Everything(_)) {
        steps.push(Step {
            name: "image tools".to_owned(),
            purpose: "a registry, and images that others made, for tests",
            state: Box::new(system::image_tools),
            perform: Box::new(|| system::install_image_tools(cache)),
            by_hand: "apt-get install --no-install-recommends docker-registry buildah podman skopeo umoci \
                      openssl iproute2",
        });
    }
    let (Need::Guests(series) | Need::Everything(series)) = need else { return Ok(steps) };
    steps.push(Step {
        name: "QEMU".to_owned(),
        purpose: "boots the guests",
        state: Box::new(system::qemu_version),
        perform: Box::new(|| system::install_qemu(cache)),
        by_hand: "apt-get install --no-install-recommends qemu-system-x86",
    });
    for name in series {
        let series = Series::find(name)?;
        steps.push(Step {
            name: format!("kernel {name}"),
            purpose: "a guest's kernel, from Debian",
            state: Box::new(|| Some(series.cached(cache)?.release)),
            perform: Box::new(|| series.fetch(cache)),
            by_hand: "leave this kernel out (--kernels), or set DIAG_DEBIAN_MIRROR to an archive that has it",
        });
    }
    Ok(steps)
}

fn build_steps<'a>(cache: &'a Cache, toolchain: &'a Toolchain) -> Vec<Step<'a>> {
    vec![
        Step {
            name: "C toolchain".to_owned(),
            purpose: "links programs, builds SQLite",
            state: Box::new(|| {
                system::missing_build_packages().is_empty().then(|| "cc, make, xz".to_owned())
            }),
            perform: Box::new(|| system::install_build_packages(cache)),
            by_hand: "apt-get install gcc g++ make binutils xz-utils",
        },
        Step {
            name: "rust-src".to_owned(),
            purpose: "core for the BPF target",
            state: Box::new(|| Some(rust::rust_src(cache, toolchain)?.display().to_string())),
            perform: Box::new(|| rust::install_rust_src(cache, toolchain)),
            by_hand: "rustup component add rust-src",
        },
        Step {
            name: "bpf-linker".to_owned(),
            purpose: "links the probes",
            state: Box::new(|| rust::bpf_linker_version(cache, toolchain)),
            perform: Box::new(|| rust::build_bpf_linker(cache, toolchain)),
            by_hand: "see docs/development.md, \"bpf-linker by hand\"",
        },
        Step {
            name: "busybox".to_owned(),
            purpose: "the root file system of guests and of the demo's containers",
            state: Box::new(|| system::busybox_version(&cache.busybox())),
            perform: Box::new(|| system::fetch_busybox(cache)),
            by_hand: "put a statically linked busybox at busybox/busybox in the cache folder",
        },
    ]
}
