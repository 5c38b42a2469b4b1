//! `diag create`

use container_core::Engine;

use super::pull;
use super::spec::Description;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    pull: pull::Choice,
    #[command(flatten)]
    description: Description,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let spec = args.description.into_spec()?;
    pull::ensure(engine, &spec.image, args.pull)?;
    let container = engine.create(&spec)?;
    outcome::answer(&format!("{}\n", container.id()));
    Ok(0)
}
