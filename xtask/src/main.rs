//! `cargo xtask VERB`: everything the project does to itself, so that a fresh clone needs no other instructions.
//!
//! One file per verb; what several verbs share (the cache folder, running commands, guests) has a file of its own.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "these are the project's own commands: stdout is the answer, stderr the progress"
)]

mod artifacts;
mod bench;
mod cache;
mod cpio;
mod debian;
mod demo;
mod engines;
mod faults;
mod guest;
mod initramfs;
mod kernel_modules;
mod kernels;
mod programs;
mod progress;
mod service;
mod setup;
mod shell;
mod test;
mod tidy;
mod vm;

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's own commands", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Install what a fresh machine lacks to build, test and demonstrate diag
    Setup(setup::Options),
    /// See diag explain a real failure: a limit set too low, a container refused, gone, and explained
    Demo(demo::Options),
    /// Check format, lints and house rules, and run the tests, here and in guests
    Test(test::Options),
    /// Check the house rules: layers, sizes, comments, causes
    Tidy,
    /// Run a command in a guest with another kernel
    Vm(vm::Options),
    /// Run every fault of the catalogue on real kernels and write the table of docs/accuracy.md
    Faults(faults::Options),
    /// Let every engine meet every limit on this machine, and write the table of docs/accuracy.md
    Engines(engines::Options),
    /// Install diag as a service of a real systemd, in a guest, and see it through restarts, an upgrade and a kill
    Service(service::Options),
    /// Measure what watching costs, beside other tools
    Bench(bench::Options),
    /// What the bench measures
    #[command(hide = true, name = bench::loops::VERB)]
    BenchLoops(bench::loops::Options),
    /// What the demo's guard runs as
    #[command(hide = true, name = demo::guard::VERB)]
    RestoreWhenClosed(demo::guard::Options),
}

fn main() -> ExitCode {
    match run(Cli::parse().verb) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    match verb {
        Verb::Setup(options) => setup::run(&options),
        Verb::Demo(options) => demo::run(&options),
        Verb::RestoreWhenClosed(options) => demo::guard::run(&options).map(|()| ExitCode::SUCCESS),
        Verb::Test(options) => test::run(&options),
        Verb::Tidy => tidy::run(),
        Verb::Vm(options) => vm::run(&options),
        Verb::Faults(options) => faults::run(&options),
        Verb::Engines(options) => engines::run(&options),
        Verb::Service(options) => service::run(&options),
        Verb::Bench(options) => bench::run(&options),
        Verb::BenchLoops(options) => bench::loops::run(&options).map(|()| ExitCode::SUCCESS),
    }
}
