//! `diag rmi`

use container_core::Engine;

use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Names of images.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    Ok(failure::for_each(&args.images, |name| {
        for layer in engine.remove_image(name)? {
            outcome::answer(&format!("deleted {layer}\n"));
        }
        Ok(())
    }))
}
