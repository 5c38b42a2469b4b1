//! `diag kill`

use container_core::Engine;

use super::{failure, signal};
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// The signal, by name or number.
    #[arg(short, long, default_value = "KILL", value_parser = signal::number)]
    signal: i32,
    /// Names, ids or their beginnings.
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    Ok(failure::for_each(&args.containers, |name| {
        engine.kill(name, args.signal)?;
        outcome::answer(&format!("{name}\n"));
        Ok(())
    }))
}
