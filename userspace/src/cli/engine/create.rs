//! `diag create`

use container_core::Engine;

use super::spec::Description;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    description: Description,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let container = engine.create(&args.description.into_spec()?)?;
    outcome::answer(&format!("{}\n", container.id()));
    Ok(0)
}
