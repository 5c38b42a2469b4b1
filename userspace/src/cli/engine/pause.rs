//! `diag pause` and `diag unpause`

use container_core::Engine;

use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Names, ids or their beginnings.
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine, pause: bool) -> i32 {
    failure::for_each(&args.containers, |name| {
        if pause { engine.pause(name) } else { engine.unpause(name) }?;
        outcome::answer(&format!("{name}\n"));
        Ok(())
    })
}
