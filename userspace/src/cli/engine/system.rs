//! `diag system`

use container_core::Engine;

use crate::cli::{Form, outcome};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List what nothing accounts for in the store, and in the kernel because of it: leftovers of killed engines, unused
    /// layers, stray mounts and cgroups. Exit code 1 when there is any.
    Check(Check),
}

#[derive(Debug, clap::Args)]
struct Check {
    /// Remove what can be removed, and list what remains.
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    form: Form,
}

pub(super) fn run(args: Args, engine: &Engine) -> anyhow::Result<i32> {
    let What::Check(check) = args.what;
    let found = if check.repair { engine.repair_store()? } else { engine.check()? };
    if check.form.is_json() {
        outcome::answer_json(&found)?;
    } else {
        outcome::answer(&found.iter().map(|leftover| format!("{leftover}\n")).collect::<String>());
    }
    Ok(i32::from(!found.is_empty()))
}
