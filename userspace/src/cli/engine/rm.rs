//! `diag rm`

use container_core::{Engine, Error};

use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Kill those that run.
    #[arg(short, long)]
    force: bool,
    /// All containers; those that run only with --force.
    #[arg(short, long, conflicts_with = "containers")]
    all: bool,
    /// Names, ids or their beginnings.
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    if !args.all {
        return Ok(failure::for_each(&args.containers, |name| remove(engine, name, args.force)));
    }
    let listed = engine.list()?;
    let ids: Vec<String> = listed
        .iter()
        .filter(|container| args.force || !container.state.is_live())
        .map(|container| container.id().to_owned())
        .collect();
    Ok(failure::for_each(&ids, |id| match remove(engine, id, args.force) {
        // It removed itself, or somebody else did.
        Err(Error::NoSuchContainer { .. }) => Ok(()),
        done => done,
    }))
}

fn remove(engine: &Engine, name: &str, force: bool) -> Result<(), Error> {
    engine.remove(name, force)?;
    outcome::answer(&format!("{name}\n"));
    Ok(())
}
