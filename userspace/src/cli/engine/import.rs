//! `diag import`

use std::path::PathBuf;

use container_core::Engine;

use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// A root file system: a folder, or a tar archive, plain or with gzip or zstd. `-` reads an archive from
    /// standard input.
    path: PathBuf,
    /// The image's name, with or without :TAG.
    name: String,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    let image = engine.import(&args.name, super::or_stdin(&args.path))?;
    outcome::answer(&format!("{}\n", image.layers.join("\n")));
    Ok(0)
}
