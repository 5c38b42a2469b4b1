//! `diag start`

use container_core::{Attach, Engine};

use super::failure;
use crate::cli::outcome;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Stay until it has ended, with its output.
    #[arg(short, long)]
    attach: bool,
    /// Names, ids or their beginnings.
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

pub(super) fn run(args: &Args, engine: &Engine) -> anyhow::Result<i32> {
    if !args.attach {
        return Ok(failure::for_each(&args.containers, |name| {
            engine.start(name)?;
            outcome::answer(&format!("{name}\n"));
            Ok(())
        }));
    }
    let [name] = args.containers.as_slice() else { anyhow::bail!("--attach takes one container") };
    Ok(match engine.start_attached(name, &Attach::own_streams(false)?) {
        Ok(finished) => finished.exit.shell_code(),
        Err(error) => failure::report(&error, name),
    })
}
