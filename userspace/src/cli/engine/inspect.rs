//! `diag inspect`

use container_core::{Engine, Error};
use serde_json::Value;

use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Containers, by name, id or its beginning, or images.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    let found = args.names.iter().map(|name| look(name, engine)).collect::<anyhow::Result<Vec<Value>>>()?;
    outcome::answer_json(&found)?;
    Ok(0)
}

/// A container of that name, else an image.
fn look(name: &str, engine: &Engine) -> anyhow::Result<Value> {
    match engine.inspect(name) {
        Ok(container) => Ok(serde_json::to_value(container)?),
        Err(Error::NoSuchContainer { .. }) => match engine.image(name) {
            Ok(image) => Ok(serde_json::to_value(image)?),
            Err(_) => anyhow::bail!("no container and no image is called {name:?}"),
        },
        Err(error) => Err(error.into()),
    }
}
