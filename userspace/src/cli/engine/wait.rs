//! `diag wait`

use container_core::Engine;

use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Names, ids or their beginnings.
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    Ok(failure::for_each(&args.containers, |name| {
        let exit = engine.wait(name)?;
        outcome::answer(&format!("{}\n", exit.shell_code()));
        Ok(())
    }))
}
