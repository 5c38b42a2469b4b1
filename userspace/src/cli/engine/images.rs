//! `diag images`

use container_core::Engine;

use super::table;
use crate::cli::{Form, outcome};

#[derive(Debug, Clone, Copy, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let images = engine.images()?;
    if args.form.is_json() {
        outcome::answer_json(&images)?;
        return Ok(0);
    }
    let mut table = table::columns(["IMAGE", "LAYER", "CREATED", "FILES", "SIZE"]);
    for image in &images {
        let top = image.layers.last().map_or("", |digest| digest.trim_start_matches("sha256:"));
        table.add_row([
            image.name.clone(),
            top.chars().take(12).collect(),
            table::ago(image.created_unix_ns),
            image.entries.to_string(),
            table::bytes(image.bytes),
        ]);
    }
    outcome::answer(&table::text(&table));
    Ok(0)
}
