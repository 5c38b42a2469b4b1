//! `diag load`

use std::path::PathBuf;

use container_core::{Engine, LoadOptions};

use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// What `docker save`, `podman save`, skopeo or buildah wrote: a docker-archive, an OCI archive, or a folder with
    /// an OCI layout; archives also with gzip or zstd. `-` reads standard input.
    #[arg(value_name = "FILE")]
    path: PathBuf,
    /// The image's name, in place of those in the archive.
    #[arg(long, value_name = "NAME[:TAG]")]
    name: Option<String>,
    /// Take the image for another kind of machine than this.
    #[arg(long, value_name = "OS/ARCH[/VARIANT]")]
    platform: Option<String>,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let options = LoadOptions { name: args.name, platform: args.platform };
    let images = engine.load(super::or_stdin(&args.path), &options)?;
    outcome::answer(&images.iter().map(|image| format!("{}\n", image.name)).collect::<String>());
    Ok(0)
}
