//! `cargo xtask faults`: every fault of the catalogue on real kernels, each explained by its own cause; the table
//! goes to docs/accuracy.md.
//!
//! Guests run `diag repro CAUSE --variant V --json` for each variant and print the answers between marks. What
//! counts is the first finding of the first incident: the fault's own cause, and how sure. One kernel after the other;
//! its answers are kept as they come, so a run that was broken off goes on with `--resume`, and kernels may be run
//! on different days: the table is made of what is kept.

mod guests;
mod kept;
mod page;
mod verdict;

use crate::artifacts;
use crate::kernels;
use crate::progress::seconds;
use crate::setup::{self, Need};
use crate::vm;
use anyhow::{Context, Result};
use kept::Kept;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;
use verdict::Verdict;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kernels to run them on
    #[arg(long, value_delimiter = ',', default_value = kernels::EVERY)]
    kernels: Vec<String>,
    /// Only faults whose `CAUSE VARIANT` contains this; nothing is kept, and the table is only printed
    #[arg(long, value_name = "TEXT")]
    filter: Option<String>,
    /// Leave out what has an answer already from a run before, of whatever build
    #[arg(long, conflicts_with = "filter")]
    resume: bool,
    /// Run nothing: write the table of what is kept
    #[arg(long, conflicts_with_all = ["filter", "resume"])]
    table: bool,
}

/// A cause and one of its variants.
type Fault = (String, String);

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let cache = setup::ensure(Need::Guests(&options.kernels))?;
    let diag = artifacts::diag()?.path;
    let faults = known(&diag, options.filter.as_deref())?;
    let scratch = cache.scratch()?;
    let small = artifacts::stripped(&diag, scratch.path())?;
    let started = Instant::now();
    let mut all = Vec::new();
    for kernel in vm::kernels_of(&cache, &options.kernels)?.into_iter().filter(|_| !options.table) {
        let mut kept = match (&options.filter, options.resume) {
            (Some(_), _) => Kept::nowhere(&kernel),
            (None, resume) => Kept::of(&kernel, resume)?,
        };
        let open: Vec<Fault> = faults.iter().filter(|fault| kept.answer(fault).is_none()).cloned().collect();
        guests::answer(&cache, &kernel, &small, &open, &mut kept)?;
        all.push(kept);
    }
    if options.filter.is_none() {
        all = kept::every()?;
    }
    let table = page::table(&faults, &all);
    println!("{table}");
    eprintln!("{} faults in {}", faults.len(), seconds(started.elapsed()));
    if options.filter.is_none() {
        page::write(&table)?;
    }
    let wrong = |fault| all.iter().any(|kept| kept.answer(fault).is_some_and(Verdict::is_wrong));
    Ok(ExitCode::from(u8::from(faults.iter().any(wrong))))
}

/// All variants of all causes, as the program itself lists them.
fn known(diag: &Path, filter: Option<&str>) -> Result<Vec<Fault>> {
    let output = Command::new(diag).args(["causes", "--json"]).output().context("cannot run diag causes")?;
    let causes: Value = serde_json::from_slice(&output.stdout).context("diag causes printed no JSON")?;
    let mut faults = Vec::new();
    for cause in causes.as_array().into_iter().flatten() {
        let name = cause["cause"].as_str().unwrap_or_default();
        let variants = cause["faults"].as_array().into_iter().flatten().filter_map(Value::as_str);
        faults.extend(variants.map(|variant| (name.to_owned(), variant.to_owned())));
    }
    faults.retain(|(cause, variant)| filter.is_none_or(|text| format!("{cause} {variant}").contains(text)));
    Ok(faults)
}
