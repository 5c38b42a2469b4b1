//! `diag stop`

use std::time::Duration;

use container_core::Engine;

use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Seconds to wait before killing.
    #[arg(short, long, value_name = "SECONDS", default_value = "10")]
    time: u64,
    /// Names, ids or their beginnings.
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    Ok(failure::for_each(&args.containers, |name| {
        engine.stop(name, Duration::from_secs(args.time))?;
        outcome::answer(&format!("{name}\n"));
        Ok(())
    }))
}
